"""The responses of tHj: parametric (decays, partons as jets, detector; some hundred thousand events a second) and Pythia."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from bmem import kinematics
from bmem.channels.thj.lhe import ThjLHE
from bmem.channels.thj.settings import DecaySettings, ParametricSettings
from bmem.events.lhe import LHERecord
from bmem.events.record import HardEvents, RecoEvents
from bmem.kinematics import mass
from bmem.process.phase_space import PhaseSpace
from bmem.rng import uniform
from bmem.simulation.decays import BOTTOM, CHARM, LIGHT, breit_wigner, decay
from bmem.simulation.detector import TruthEvents, detect, merge_close
from bmem.simulation.effects import DetectorEffect, shifts_of
from bmem.simulation.pythia import PythiaResponse
from bmem.simulation.settings import PythiaSettings

THJ_PHASE_SPACE = PhaseSpace(sqrt_s=13_000.0, mt=172.5, mh=125.0)
"""Where the hard events of tHj live unless said otherwise."""


@dataclass(frozen=True)
class ParametricResponse:
    """tHj hard events → decays → detector, without parton shower; see `bmem.simulation.contract.Response`."""

    settings: ParametricSettings = field(default_factory=ParametricSettings)
    phase_space: PhaseSpace = THJ_PHASE_SPACE
    effects: tuple[tuple[str, DetectorEffect], ...] = ()

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        return detect(self.truth(hard, rng), self.settings.detector, rng, shifts_of(self.effects, hard))

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
    u = uniform(partons.shape[:-1], rng, partons)
    squared = -torch.log1p(-u) * (4 / torch.pi) * (mean * kinematics.pt(partons)) ** 2
    energy = torch.sqrt(partons[..., 0] ** 2 + squared)
    return torch.cat([energy[..., None], partons[..., 1:]], dim=-1)


def _cone_activity(photons: Tensor, partons: Tensor, cone: float) -> Tensor:
    """Sum pT [N, P] of the partons [N, n, 4] within ``cone`` of each photon [N, P, 4]."""
    eta, phi = kinematics.eta(photons)[:, :, None], kinematics.phi(photons)[:, :, None]
    near = kinematics.delta_r(eta, phi, kinematics.eta(partons)[:, None], kinematics.phi(partons)[:, None]) < cone
    return (near * kinematics.pt(partons)[:, None]).sum(-1)


def top_decay(top: Tensor, settings: DecaySettings, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Decay tops [N, 4] to b, q, q̄': four-vectors [N, 3, 4] and flavours [N, 3]; a charm quark is the second."""
    w_mass = breit_wigner(settings.w_mass, settings.w_width, mass(top) - settings.b_mass, rng)
    b, w = decay(top, (settings.b_mass, w_mass), rng)
    up, down = decay(w, (0.0, 0.0), rng)
    charm = uniform(top.shape[:1], rng, top) < settings.charm_fraction
    flavour = torch.zeros(top.shape[0], 3, dtype=torch.int64, device=top.device)
    flavour[:, 0] = BOTTOM
    flavour[:, 1] = torch.where(charm, CHARM, LIGHT)
    return torch.stack([b, up, down], dim=1), flavour


def higgs_decay(higgs: Tensor, rng: torch.Generator) -> Tensor:
    """The two photons [N, 2, 4] of H → γγ."""
    return torch.stack(decay(higgs, (0.0, 0.0), rng), dim=1)


@dataclass(frozen=True)
class ThjShower:
    """What Pythia is told of tHj (``bmem.simulation.pythia.Showered``): the top decays to hadrons, the Higgs to photons."""

    phase_space: PhaseSpace = THJ_PHASE_SPACE
    resonance: ClassVar[int] = 25

    @property
    def lines(self) -> tuple[str, ...]:
        """Masses and decay channels in Pythia's words."""
        masses = (f"6:m0 = {self.phase_space.mt}", f"25:m0 = {self.phase_space.mh}")
        return (*masses, "24:onMode = off", "24:onIfAny = 1 2 3 4 5", "25:onMode = off", "25:onIfMatch = 22 22")

    @property
    def content(self) -> ThjLHE:
        """With the masses of the process."""
        return ThjLHE(self.phase_space.mt, self.phase_space.mh)

    def record(self, hard: HardEvents) -> LHERecord:
        """Hard events as an LHE record of unit weights."""
        assert hard.pdg is not None
        space = self.phase_space
        outgoing = space.to_momenta(hard.x.double())[0]
        incoming = torch.zeros_like(outgoing[:, :2])
        total = outgoing.sum(dim=1)
        incoming[:, 0, 0] = incoming[:, 0, 3] = (total[:, 0] + total[:, 3]) / 2
        incoming[:, 1, 0] = (total[:, 0] - total[:, 3]) / 2
        incoming[:, 1, 3] = -incoming[:, 1, 0]
        momenta = torch.cat([incoming, outgoing], dim=1)
        return LHERecord(momenta, hard.pdg, torch.ones_like(momenta[:, 0, 0]), None, cross_section=1.0, sqrt_s=space.sqrt_s)


def pythia_response(settings: PythiaSettings, phase_space: PhaseSpace = THJ_PHASE_SPACE) -> PythiaResponse:
    """tHj hard events → Pythia → detector."""
    return PythiaResponse(settings, ThjShower(phase_space))
