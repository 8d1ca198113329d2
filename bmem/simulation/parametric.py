"""The parametric response: decays, partons as jets, detector; no radiation. Some hundred thousand events a second."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from bmem import kinematics
from bmem.events.record import HardEvents, RecoEvents
from bmem.process.phase_space import PhaseSpace
from bmem.simulation.checks import check_numbers
from bmem.simulation.contract import THJ_PHASE_SPACE
from bmem.simulation.decays import LIGHT, DecaySettings, higgs_decay, top_decay
from bmem.simulation.detector import DetectorSettings, TruthEvents, detect, merge_close


@dataclass(frozen=True)
class ParametricSettings:
    """Settings of the parametric response: of the decays, of the detector, and of jets made of one parton."""

    decays: DecaySettings = field(default_factory=DecaySettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    jet_mass: float = 0.15
    """Mean of m/pT of the jet that a parton makes, as Pythia has it; m is Rayleigh, on top of the parton's own mass."""

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True)
class ParametricResponse:
    """tHj hard events → decays → detector, without parton shower; see `bmem.simulation.contract.Response`."""

    settings: ParametricSettings = field(default_factory=ParametricSettings)
    phase_space: PhaseSpace = THJ_PHASE_SPACE

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        return detect(self.truth(hard, rng), self.settings.detector, rng)

    def truth(self, hard: HardEvents, rng: torch.Generator) -> TruthEvents:
        """Photons and parton jets before the detector: j, b, q, q̄' with close ones merged."""
        s = self.settings
        top, higgs, jet = self.phase_space.to_momenta(hard.x)[0].unbind(-2)
        photons = higgs_decay(higgs, rng)
        daughters, flavours = top_decay(top, s.decays, rng)
        partons = torch.cat([jet[:, None], daughters], dim=1)
        flavour = torch.nn.functional.pad(flavours, (1, 0), value=LIGHT)
        jets = _add_mass(partons, s.jet_mass, rng)
        everything = torch.ones(len(hard), 4, dtype=torch.bool, device=jets.device)
        activity = _cone_activity(photons, partons, s.detector.isolation_cone)
        truth = TruthEvents(photons, everything[:, :2], activity, jets, everything, flavour)
        return merge_close(truth, s.detector.jet_radius)


def _add_mass(partons: Tensor, mean: float, rng: torch.Generator) -> Tensor:
    """Give each parton [N, n, 4] the mass of a jet at the same three-momentum."""
    u = torch.rand(partons.shape[:-1], generator=rng, dtype=partons.dtype, device=partons.device)
    squared = -torch.log1p(-u) * (4 / torch.pi) * (mean * kinematics.pt(partons)) ** 2
    energy = torch.sqrt(partons[..., 0] ** 2 + squared)
    return torch.cat([energy[..., None], partons[..., 1:]], dim=-1)


def _cone_activity(photons: Tensor, partons: Tensor, cone: float) -> Tensor:
    """Sum pT [N, P] of the partons [N, n, 4] within ``cone`` of each photon [N, P, 4]."""
    eta, phi = kinematics.eta(photons)[:, :, None], kinematics.phi(photons)[:, :, None]
    near = kinematics.delta_r(eta, phi, kinematics.eta(partons)[:, None], kinematics.phi(partons)[:, None]) < cone
    return (near * kinematics.pt(partons)[:, None]).sum(-1)
