"""Are observed photons and jets plausible ones in GeV and radians? Checked wherever they come from outside of bmem."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from bmem import kinematics
from bmem.errors import EventFileError
from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, Objects, RecoEvents

FEATURES = {"photons": PHOTON_FEATURES, "jets": JET_FEATURES}
"""What an observed tHj candidate must have: collections and their features."""

_RANGES = {
    "pt": (0.0, 1e5, "in GeV (not MeV) and positive"),
    "eta": (-10.0, 10.0, "within ±10"),
    "phi": (-2 * math.pi, 2 * math.pi, "in radians (not degrees)"),
    "mass": (0.0, 1e5, "in GeV (not MeV) and not negative"),
    "isolated": (0.0, 1.0, "0 or 1"),
    "btag": (0.0, 1.0, "0 or 1"),
}


def checked(origin: str, reco: RecoEvents, numbers: Tensor | None = None) -> RecoEvents:
    """Return ``reco`` with φ wrapped to [-π, π) and the objects of each event ordered by falling pT.

    Args:
        origin: the file, for messages.
        reco: with the collections and features of ``FEATURES``.
        numbers: [N] of the events in their file, counted from 1; consecutive if None.

    Raises:
        EventFileError: a value is not finite or out of its range; file, event, object and feature are named.
    """
    numbers = torch.arange(1, len(reco) + 1) if numbers is None else numbers
    for name, objects in reco.collections.items():
        for feature in objects.names:
            _demand_range(f"{origin}: event {{}}: {name}[{{}}].{feature}", objects, feature, numbers)
    return RecoEvents({name: _ordered(objects) for name, objects in reco.collections.items()})


def _demand_range(where: str, objects: Objects, feature: str, numbers: Tensor) -> None:
    low, high, text = _RANGES[feature]
    values = objects.feature(feature)
    above = values > low if feature == "pt" else values >= low
    bad = objects.mask & ~(above & (values <= high))  # NaN is neither above nor below
    if bad.any():
        event, place = bad.nonzero()[0].tolist()
        found = f"{where.format(int(numbers[event]), place)} = {float(values[event, place]):g}"
        raise EventFileError(f"{found} must be {text}; correct or drop the event")


def _ordered(objects: Objects) -> Objects:
    phi = objects.names.index("phi")
    features = objects.features.clone()
    features[..., phi] = torch.where(objects.mask, kinematics.wrap(features[..., phi]), 0.0)
    order = torch.where(objects.mask, objects.feature("pt"), -torch.inf).argsort(dim=1, descending=True, stable=True)
    features = features.gather(1, order[..., None].expand_as(features))
    return replace(objects, features=features, mask=objects.mask.gather(1, order))
