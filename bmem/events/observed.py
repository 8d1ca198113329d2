"""Are observed photons and jets plausible ones in GeV and radians? Checked wherever they come from outside of bmem."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from bmem import kinematics
from bmem.errors import EventFileError, EventWarning
from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, Objects, RecoEvents

FEATURES = {"photons": PHOTON_FEATURES, "jets": JET_FEATURES}
"""What an observed event must have: collections and their features."""

SQRT_S = 14_000.0
"""Collision energy in GeV that no event is believed to exceed: the largest of the LHC."""
_RESOLUTION = 1.2
"""Of an object at the beam energy, measured 20 % too high: twice the resolution of hadron calorimeters there."""
_ROUNDING, _SMALL_MASS = 1e-3, 0.1
"""A mass is taken from E² - p² in single precision, whose rounding is some 1e-7 E²: down to -3e-4 E it may be zero; NanoAOD
cuts mantissas, so three times that, and 0.1 GeV for soft jets, far below any mass that matters."""
_MEV = 1000.0
_RANGES = {
    "pt": (0.0, math.inf, "positive, in GeV"),
    "eta": (-10.0, 10.0, "within ±10"),
    "phi": (-2 * math.pi, 2 * math.pi, "in radians (not degrees)"),
    "mass": (0.0, math.inf, "in GeV and not negative"),
    "isolated": (0.0, 1.0, "0 or 1"),
    "btag": (0.0, 1.0, "0 or 1"),
}
_FLAGS = ("isolated", "btag")


def checked(origin: str, reco: RecoEvents, numbers: Tensor | None = None, sqrt_s: float = SQRT_S) -> RecoEvents:
    """Return ``reco`` with φ wrapped to [-π, π), negative masses of the size of rounding set to 0, and sorted by falling pT.

    Args:
        origin: the file, for messages.
        reco: with the collections and features of ``FEATURES``.
        numbers: [N] of the events in their file, counted from 1; consecutive if None.
        sqrt_s: collision energy in GeV; no object can have more than half of it.

    Raises:
        EventFileError: a value is not finite or out of its range; file, event, object and feature are named.

    Warns:
        EventWarning: masses are read as 0, or events occur twice.
    """
    numbers = torch.arange(1, len(reco) + 1, device="cpu") if numbers is None else numbers
    collections = {}
    for name, objects in reco.collections.items():
        sound = _without_rounding(f"{origin}: {name}", objects)
        for feature in objects.names:
            _demand_range(f"{origin}: event {{}}: {name}[{{}}].{feature}", sound, feature, numbers)
        _demand_energy(f"{origin}: event {{}}: {name}[{{}}]", sound, numbers, sqrt_s)
        collections[name] = _ordered(sound)
    _tell_repeated(origin, collections, numbers)
    return RecoEvents(collections)


def tell_repeated(origin: str, rows: Tensor, numbers: Tensor) -> None:
    """Warn with an EventWarning if some of the ``rows`` [N, F], the events ``numbers`` [N] of a file, are equal."""
    _, groups, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    more = len(rows) - len(counts)
    if more:
        first, second = (groups == groups[counts[groups] > 1][0]).nonzero()[:2, 0].tolist()
        warnings.warn(
            f"{origin}: {more} of {len(rows)} events are there more than once (event {int(numbers[second])} is event "
            f"{int(numbers[first])} again, for one); each counts as an event of its own: drop them if they are not",
            EventWarning,
            stacklevel=2,
        )


def _tell_repeated(origin: str, collections: dict[str, Objects], numbers: Tensor) -> None:
    filled = torch.stack([objects.mask.any(dim=1) for objects in collections.values()]).any(dim=0)
    rows = torch.cat([objects.features.flatten(1).double() for objects in collections.values()], dim=1)
    tell_repeated(origin, rows[filled], numbers[filled])


def _demand_energy(where: str, objects: Objects, numbers: Tensor, sqrt_s: float) -> None:
    """No object has more energy than a beam."""
    pt, eta, energy = objects.feature("pt"), objects.feature("eta"), _energy(objects)
    bad = objects.mask & (energy > _RESOLUTION * sqrt_s / 2)
    if not bad.any():
        return
    event, place = bad.nonzero()[0].tolist()
    in_mev = float(pt[objects.mask].nanmedian()) > _MEV
    mend = "the column looks like MeV (not GeV): divide pt and mass by 1000" if in_mev else "correct or drop the event"
    raise EventFileError(
        f"{where.format(int(numbers[event]), place)}"
        f".pt = {float(pt[event, place]):g} at eta = {float(eta[event, place]):.3g} is an energy of "
        f"{float(energy[event, place]):.3g} GeV, and a beam has {sqrt_s / 2:g} GeV; {mend}"
    )


def _without_rounding(where: str, objects: Objects) -> Objects:
    """Negative masses that are rounding become 0, and are told."""
    if "mass" not in objects.names:
        return objects
    mass = objects.feature("mass")
    rounding = objects.mask & (mass < 0) & (mass >= -(_ROUNDING * _energy(objects)).clamp(min=_SMALL_MASS))
    if not rounding.any():
        return objects
    lowest = float(mass[rounding].min())
    warnings.warn(
        f"{where}: {int(rounding.sum())} masses are negative by rounding (down to {lowest:.3g} GeV) and read as 0",
        EventWarning,
        stacklevel=3,
    )
    features = objects.features.clone()
    features[..., objects.names.index("mass")] = torch.where(rounding, 0.0, mass)
    return replace(objects, features=features)


def _energy(objects: Objects) -> Tensor:
    """Energies [N, n] but for the mass."""
    return objects.feature("pt").double() * torch.cosh(objects.feature("eta").double().clamp(-10, 10))


def _demand_range(where: str, objects: Objects, feature: str, numbers: Tensor) -> None:
    low, high, text = _RANGES[feature]
    values = objects.feature(feature)
    above = values > low if feature == "pt" else values >= low
    bad = objects.mask & ~(above & (values <= high) & values.isfinite())  # NaN is neither above nor below
    if feature in _FLAGS:
        bad |= objects.mask & (values != 0) & (values != 1)
    if bad.any():
        event, place = bad.nonzero()[0].tolist()
        value = float(values[event, place])
        found = f"{where.format(int(numbers[event]), place)} = {value:g} must be {text}"
        score = feature in _FLAGS and math.isfinite(value)
        mend = f"cut a score to a flag: {feature} = score > working point" if score else "correct or drop the event"
        raise EventFileError(f"{found}; {mend}")


def _ordered(objects: Objects) -> Objects:
    phi = objects.names.index("phi")
    features = objects.features.clone()
    features[..., phi] = torch.where(objects.mask, kinematics.wrap(features[..., phi]), 0.0)
    order = torch.where(objects.mask, objects.feature("pt"), -torch.inf).argsort(dim=1, descending=True, stable=True)
    features = features.gather(1, order[..., None].expand_as(features))
    return replace(objects, features=features, mask=objects.mask.gather(1, order))
