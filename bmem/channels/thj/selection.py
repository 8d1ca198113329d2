"""Selection of tHj candidates, H → γγ and hadronic top: which events are analysed, and which of their objects are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bmem.channels.thj.settings import SelectionSettings
from bmem.events.record import Objects, RecoEvents


@dataclass(frozen=True)
class CutFlow:
    """How many of ``total`` events pass the cuts ``names``, one after the other: ``passed``, as long as ``names``."""

    total: int
    names: tuple[str, ...]
    passed: tuple[int, ...]

    @property
    def efficiencies(self) -> dict[str, float]:
        """Fraction of all events that is left after each cut; NaN without events."""
        return {name: n / self.total if self.total else math.nan for name, n in zip(self.names, self.passed, strict=True)}

    @property
    def acceptance(self) -> float:
        """Fraction of all events that passes every cut."""
        return self.efficiencies[self.names[-1]]

    @property
    def acceptance_error(self) -> float:
        """Binomial standard error of ``acceptance``."""
        return math.sqrt(self.acceptance * (1 - self.acceptance) / self.total) if self.total else math.nan

    def __add__(self, other: CutFlow) -> CutFlow:
        """The cut flow of both samples together."""
        passed = tuple(a + b for a, b in zip(self.passed, other.passed, strict=True))
        return CutFlow(self.total + other.total, self.names, passed)


@dataclass(frozen=True)
class Selection:
    """Applies ``settings`` to reconstructed events with the collections ``photons`` and ``jets``.

    ``most_jets`` is the largest number of jets, None without a limit.
    """

    settings: SelectionSettings = field(default_factory=SelectionSettings)
    most_jets: int | None = None

    def keep_objects(self, reco: RecoEvents) -> RecoEvents:
        """Only the photons and jets that pass their own cuts, all of them, ordered by falling pT."""
        return RecoEvents(
            {
                "photons": _ordered(reco.photons, self._good_photons(reco.photons)),
                "jets": _ordered(reco.jets, self._good_jets(reco.jets)),
            }
        )

    def accept(self, reco: RecoEvents) -> Tensor:
        """Whether each event passes all cuts, [N] bool."""
        return torch.stack(list(self._cuts(reco).values())).all(dim=0)

    def cut_flow(self, reco: RecoEvents) -> CutFlow:
        """How many events are left after each cut."""
        cuts = self._cuts(reco)
        left = torch.stack(list(cuts.values())).cumprod(dim=0).sum(dim=1)
        return CutFlow(len(reco), tuple(cuts), tuple(left.tolist()))

    def _cuts(self, reco: RecoEvents) -> Mapping[str, Tensor]:
        """Decision [N] bool of each cut by itself, by name, in the order of the cut flow."""
        cuts = self.settings
        photons, jets = self._good_photons(reco.photons), self._good_jets(reco.jets)
        leading = photons & (reco.photons.feature("pt") > cuts.leading_photon_pt)
        tagged = jets & (reco.jets.feature("btag") > 0.5) & (reco.jets.feature("eta").abs() < cuts.btag_eta)
        found = {
            "two photons": photons.sum(dim=1) >= 2,
            "leading photon": leading.any(dim=1),
            "jets": jets.sum(dim=1) >= cuts.min_jets,
            "b-tag": tagged.sum(dim=1) >= cuts.min_btags,
        }
        return found if self.most_jets is None else found | {"not too many jets": jets.sum(dim=1) <= self.most_jets}

    def _good_photons(self, photons: Objects) -> Tensor:
        """Photons [N, n] that are isolated and within the cuts."""
        isolated = photons.mask & (photons.feature("isolated") > 0.5)
        central = photons.feature("eta").abs() < self.settings.photon_eta
        return isolated & central & (photons.feature("pt") > self.settings.photon_pt)

    def _good_jets(self, jets: Objects) -> Tensor:
        """Jets [N, n] within the cuts."""
        return jets.mask & (jets.feature("pt") > self.settings.jet_pt) & (jets.feature("eta").abs() < self.settings.jet_eta)


def _ordered(objects: Objects, keep: Tensor) -> Objects:
    """The objects of ``keep`` [N, n], by falling pT, without empty places at the end."""
    order = torch.where(keep, objects.feature("pt"), -torch.inf).argsort(dim=1, descending=True, stable=True)
    longest = int(keep.sum(dim=1).max()) if len(keep) else 0
    order = order[:, :longest]
    mask = keep.gather(1, order)
    features = objects.features.gather(1, order[..., None].expand(-1, -1, objects.features.shape[-1]))
    return replace(objects, features=torch.where(mask[..., None], features, 0.0), mask=mask)
