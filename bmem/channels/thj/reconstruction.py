"""From photons and jets to the fixed observables of tHj that the networks read.

The jets are given their roles (b, two W daughters, spectator) by the assignment that fits the W and top masses best.
Roles are a relabelling of what was measured: a wrong assignment costs information but biases nothing, because the
transfer density is trained on the same assignment, right or wrong.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bmem import kinematics as kin
from bmem.errors import InputError
from bmem.events.record import Objects, RecoEvents

OBSERVABLES = ("pt_H", "phi_H", "y_H", "pt_j", "phi_j", "eta_j", "px_t", "py_t", "y_t", "m_t", "m_W")
"""Names of the observables; momenta and masses in GeV, angles in radians."""


@dataclass(frozen=True)
class Reconstruction:
    """How the roles of jets are found: masses and their resolutions in GeV, and how many leading jets may take part.

    ``higgs_mass``: the diphoton momentum is scaled to this mass, which removes most of the energy resolution.
    """

    w_mass: float = 80.4
    top_mass: float = 172.5
    higgs_mass: float = 125.0
    w_resolution: float = 10.0
    top_resolution: float = 14.0
    max_jets: int = 6

    def __call__(self, reco: RecoEvents) -> Tensor:
        """Observables [N, 11] (float64) in the order of ``OBSERVABLES``.

        Raises:
            InputError: an event has fewer than two photons, four jets, or no b-tagged jet.
        """
        higgs = self.higgs(reco.photons)
        objects = self.candidates(reco.jets)
        jets = four_vectors(objects)
        b, w1, w2, spectator = self.roles(objects, jets).unbind(-1)
        w = _pick(jets, w1) + _pick(jets, w2)
        top = w + _pick(jets, b)
        light = _pick(jets, spectator)
        columns = [
            *(kin.pt(higgs), kin.phi(higgs), kin.rapidity(higgs)),
            *(kin.pt(light), kin.phi(light), kin.eta(light)),
            *(top[:, 1], top[:, 2], kin.rapidity(top), kin.mass(top), kin.mass(w)),
        ]
        return torch.stack(columns, dim=-1)

    def higgs(self, photons: Objects) -> Tensor:
        """Diphoton four-vectors [N, 4], scaled to the Higgs mass."""
        pair = photon_pair(photons)
        return pair * (self.higgs_mass / kin.mass(pair))[:, None]

    def candidates(self, jets: Objects) -> Objects:
        """The ``max_jets`` leading jets; the hardest b-tagged jet takes the last place if it would not be among them."""
        tagged = _tagged(jets)
        _require(jets.mask.sum(-1) >= 4, "fewer than four jets")
        _require(tagged.any(-1), "no b-tagged jet")
        rank = torch.arange(tagged.shape[1], dtype=torch.float64, device=tagged.device).repeat(len(tagged), 1)
        hardest = tagged.int().argmax(-1, keepdim=True)
        rank.scatter_(1, hardest, hardest.double().clamp(max=self.max_jets - 1.5))
        chosen = rank.argsort(-1)[:, : self.max_jets]
        features = torch.take_along_dim(jets.features, chosen[..., None], 1)
        return Objects(features, jets.mask.gather(1, chosen), jets.names)

    def roles(self, objects: Objects, jets: Tensor) -> Tensor:
        """Indices [N, 4] of the b jet, the two W daughters and the spectator: of the jets left over the most energetic.

        In the t channel that jet is forward; where radiation adds jets it is right more often than the one of largest pT.
        """
        table = _triplets(jets.shape[1], jets.device)
        b, w1, w2 = table.unbind(-1)
        present = objects.mask[:, table].all(-1) & _tagged(objects)[:, b]
        w = jets[:, w1] + jets[:, w2]
        m_w, m_t = kin.mass(w), kin.mass(w + jets[:, b])
        chi2 = ((m_w - self.w_mass) / self.w_resolution) ** 2
        chi2 = chi2 + ((m_t - m_w - (self.top_mass - self.w_mass)) / self.top_resolution) ** 2
        triplet = table[torch.where(present, chi2, torch.inf).argmin(-1)]
        energy = jets[..., 0].masked_fill(~objects.mask, -torch.inf).scatter(1, triplet, -torch.inf)
        return torch.cat([triplet, energy.argmax(-1, keepdim=True)], -1)


def photon_pair(photons: Objects) -> Tensor:
    """The sum of the two leading photons as measured, [N, 4]; its mass is what tells signal from background.

    Raises:
        InputError: an event has fewer than two photons.
    """
    _require(photons.mask.sum(-1) >= 2, "fewer than two photons")
    return kin.from_pt_eta_phi(*(photons.feature(name)[:, :2].double() for name in ("pt", "eta", "phi"))).sum(1)


def four_vectors(jets: Objects) -> Tensor:
    """Four-vectors [N, n, 4] of jets in float64 (zero momentum where masked)."""
    return kin.from_pt_eta_phi(*(jets.feature(name).double() for name in ("pt", "eta", "phi", "mass")))


def _tagged(jets: Objects) -> Tensor:
    return (jets.feature("btag") > 0.5) & jets.mask


@cache
def _triplets(n: int, device: torch.device) -> Tensor:
    """All (b, w1, w2) of ``n`` jets: [A, 3]."""
    rows = [(b, *pair) for b in range(n) for pair in itertools.combinations([i for i in range(n) if i != b], 2)]
    return torch.tensor(rows, device=device)


def _pick(jets: Tensor, index: Tensor) -> Tensor:
    return jets[torch.arange(len(jets), device=jets.device), index]


def _require(good: Tensor, problem: str) -> None:
    bad = (~good).nonzero().flatten()
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(good)} events cannot be reconstructed, the first is event {int(bad[0])}: {problem}; "
            "apply the selection before the reconstruction"
        )
