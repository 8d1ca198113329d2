"""Event records: what happened at the hard scattering, and what a detector saw of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bmem.errors import InputError


@dataclass(frozen=True)
class HardEvents:
    """Points of the hard-scattering phase space.

    ``x`` [N, D] coordinates of the process (float64); ``theta`` [N, P] parameters at which each was drawn;
    ``weight`` [N], 1 for an unweighted event; ``pdg`` [N, n] particle codes in the order of the process
    (incoming first, the first along +z) or None; ``nuisances`` [N] by name, those that a response is to apply.
    """

    x: Tensor
    theta: Tensor
    weight: Tensor
    pdg: Tensor | None = None
    nuisances: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.x.shape[0]
        parts = {"theta": self.theta, "weight": self.weight, "pdg": self.pdg, **self.nuisances}
        wrong = [name for name, part in parts.items() if part is not None and part.shape[0] != n]
        if wrong:
            raise InputError(f"HardEvents: {', '.join(wrong)} differ in length from x ({n} events)")

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: Tensor | slice) -> HardEvents:
        return self._each(lambda part: part[index])

    @property
    def numbers(self) -> Tensor:
        """See ``event_numbers``."""
        return event_numbers(self.x)

    def repeat(self, times: int) -> HardEvents:
        """Each event ``times`` times in a row (to shower or smear one hard event repeatedly)."""
        return self[torch.arange(len(self), device=self.x.device).repeat_interleave(times)]

    def to(self, device: torch.device | str) -> HardEvents:
        """The same events on a device."""
        return self._each(lambda part: part.to(device))

    def nuisance(self, name: str) -> Tensor:
        """The ν [N] of a name.

        Raises:
            InputError: the events were made without it.
        """
        if name not in self.nuisances:
            known = ", ".join(self.nuisances) or "none"
            raise InputError(f"the events were simulated without the nuisance {name!r} (they have: {known}); simulate again")
        return self.nuisances[name]

    def _each(self, change: Callable[[Tensor], Tensor]) -> HardEvents:
        pdg = None if self.pdg is None else change(self.pdg)
        nuisances = {name: change(part) for name, part in self.nuisances.items()}
        return HardEvents(change(self.x), change(self.theta), change(self.weight), pdg, nuisances)


def event_numbers(x: Tensor) -> Tensor:
    """Which hard event each of the points ``x`` [N, D] is: numbers [N] from 0 on, the same for responses to one event."""
    return torch.unique(x[:, 0], return_inverse=True)[1]


@dataclass(frozen=True)
class Objects:
    """A collection of reconstructed objects of one kind with a varying number per event.

    ``features`` [N, n, F] (zero where masked), ``mask`` [N, n] (True where an object is), ``names`` of the F features.
    """

    features: Tensor
    mask: Tensor
    names: tuple[str, ...]

    def __getitem__(self, index: Tensor | slice) -> Objects:
        return replace(self, features=self.features[index], mask=self.mask[index])

    def to(self, device: torch.device | str) -> Objects:
        """The same objects on a device."""
        return replace(self, features=self.features.to(device), mask=self.mask.to(device))

    def feature(self, name: str) -> Tensor:
        """One feature [N, n] by name."""
        return self.features[..., self.names.index(name)]


PHOTON_FEATURES = ("pt", "eta", "phi", "isolated")
JET_FEATURES = ("pt", "eta", "phi", "mass", "btag")


@dataclass(frozen=True)
class RecoEvents:
    """Reconstructed events: named collections, of a detector ``photons`` and ``jets``, each ordered by falling pT."""

    collections: Mapping[str, Objects]

    def __len__(self) -> int:
        return next(iter(self.collections.values())).mask.shape[0]

    def __getitem__(self, index: Tensor | slice) -> RecoEvents:
        return RecoEvents({name: objects[index] for name, objects in self.collections.items()})

    def to(self, device: torch.device | str) -> RecoEvents:
        """The same events on a device."""
        return RecoEvents({name: objects.to(device) for name, objects in self.collections.items()})

    @property
    def photons(self) -> Objects:
        return self.collections["photons"]

    @property
    def jets(self) -> Objects:
        return self.collections["jets"]


@dataclass(frozen=True)
class PairedEvents:
    """Hard events with what a response and a selection made of them.

    ``hard`` all N events; ``accepted`` [N] bool; ``reco`` only the accepted ones, in the same order.
    """

    hard: HardEvents
    accepted: Tensor
    reco: RecoEvents

    def __post_init__(self) -> None:
        if int(self.accepted.sum()) != len(self.reco):
            raise InputError(f"{int(self.accepted.sum())} events are marked accepted, but {len(self.reco)} are recorded")

    def __len__(self) -> int:
        return len(self.hard)

    def to(self, device: torch.device | str) -> PairedEvents:
        """The same events on a device."""
        return PairedEvents(self.hard.to(device), self.accepted.to(device), self.reco.to(device))

    @property
    def accepted_hard(self) -> HardEvents:
        """The hard events of the accepted pairs, aligned with ``reco``."""
        return self.hard[self.accepted]


def pad_to(objects: Objects, n: int) -> Objects:
    """Return ``objects`` with room for ``n`` per event."""
    missing = n - objects.mask.shape[1]
    if missing <= 0:
        return objects
    features = torch.nn.functional.pad(objects.features, (0, 0, 0, missing))
    return replace(objects, features=features, mask=torch.nn.functional.pad(objects.mask, (0, missing)))


def concatenate_hard(parts: Sequence[HardEvents]) -> HardEvents:
    """Join hard events; ``pdg`` and nuisances are kept where every part has them."""
    codes = [part.pdg for part in parts]
    pdg = torch.cat([code for code in codes if code is not None]) if all(c is not None for c in codes) else None
    names = [name for name in parts[0].nuisances if all(name in part.nuisances for part in parts)]
    return HardEvents(
        torch.cat([p.x for p in parts]),
        torch.cat([p.theta for p in parts]),
        torch.cat([p.weight for p in parts]),
        pdg,
        {name: torch.cat([p.nuisances[name] for p in parts]) for name in names},
    )


def concatenate_reco(parts: Sequence[RecoEvents]) -> RecoEvents:
    """Join reconstructed events, padding each collection to the largest multiplicity."""
    joined = {}
    for name in parts[0].collections:
        longest = max(part.collections[name].mask.shape[1] for part in parts)
        padded = [pad_to(part.collections[name], longest) for part in parts]
        joined[name] = replace(
            padded[0], features=torch.cat([p.features for p in padded]), mask=torch.cat([p.mask for p in padded])
        )
    return RecoEvents(joined)


def concatenate_pairs(parts: Sequence[PairedEvents]) -> PairedEvents:
    """Join paired events."""
    return PairedEvents(
        concatenate_hard([p.hard for p in parts]),
        torch.cat([p.accepted for p in parts]),
        concatenate_reco([p.reco for p in parts]),
    )
