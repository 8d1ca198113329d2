"""tHj behind an analytic Gaussian response: bmem's integrals against vegas, and the fit of α."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from brute_force import BruteForce
from measurements import Exact, coefficients, integrals, known_fiducial, mixture
from oracles import FINE, AllAccepted, GaussianSmearing, SmearedHard, SoftThreshold
from torch import Tensor

from bmem.calibration.yardstick import yardstick_coefficients
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, fiducial_cross_section, mixture_coefficients
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.networks.contract import Classifier, ConditionalDensity, negative_log_likelihood
from bmem.networks.coupling import CouplingSettings
from bmem.process import THJ
from bmem.replicas.contract import Replicas
from bmem.rng import derive_seed, generator
from bmem.training import TrainingSettings, train

NETWORK = CouplingSettings(blocks=6, hidden=48, layers=2, bins=8)
DEFENSIVE = 0.05
FIDUCIAL_EVENTS = 400_000


@dataclass(frozen=True)
class ThjStudy:
    """tHj with a Gaussian response, and events accepted always or with the probability of ``SoftThreshold``."""

    seed: int
    threshold: bool = False
    resolutions: tuple[float, ...] = FINE

    @cached_property
    def process(self) -> THJ:
        return THJ()

    @cached_property
    def transfer(self) -> GaussianSmearing:
        return GaussianSmearing(self.resolutions)

    @cached_property
    def acceptance(self) -> Classifier:
        return SoftThreshold() if self.threshold else AllAccepted()

    @cached_property
    def fiducial(self) -> FiducialCrossSection:
        """σ_k: those of the process if all is accepted, else by the library's own integration."""
        if not self.threshold:
            return known_fiducial(self.process.total.components.numpy())
        rng = generator(self.seed, "fiducial")
        return fiducial_cross_section(self.process, Replicas.of(self.acceptance), FIDUCIAL_EVENTS, rng)

    def pairs(self, n: int, theta: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
        """(x_reco, x_hard) of the accepted ones of ``n`` events at ``theta``."""
        hard = self.process.sample(n, theta, generator(self.seed, purpose, "hard")).x
        drawn = torch.rand(n, generator=generator(self.seed, purpose, "accepted"), dtype=torch.float64)
        hard = hard[drawn < self.acceptance.probability(hard)]
        return self.transfer.sample(hard, generator(self.seed, purpose, "response"))[0], hard

    def heavy_tailed(self, events: int) -> ResidualDensity:
        """A proposal without a trained part: heavy tails in residual coordinates, their widths those of the pairs."""
        x_reco, x_hard = self._training_pairs(events)
        density = ResidualDensity(SmearedHard(), CouplingSettings(blocks=1, hidden=1, layers=1, bins=1))
        density.fit_scales(x_hard, x_reco)
        return density.eval()

    def learned(self, events: int, epochs: int) -> ResidualDensity:
        """A proposal trained on pairs of a mixture over α."""
        x_reco, x_hard = self._training_pairs(events)
        density = ResidualDensity(SmearedHard(), NETWORK, DEFENSIVE)
        density.fit_scales(x_hard, x_reco)
        settings = TrainingSettings(epochs, batch_size=512, learning_rate=2e-3)
        train(density, negative_log_likelihood, (x_hard, x_reco), settings, derive_seed(self.seed, "proposal"))
        return density

    def _training_pairs(self, events: int) -> tuple[Tensor, Tensor]:
        return self.pairs(events, mixture(events, self.process), "training")

    def integrand(self, x_reco: Tensor, proposal: ConditionalDensity) -> Integrand:
        """The master formula of the events ``x_reco`` [N, 7]."""
        return Integrand(self.process, Replicas.of(self.transfer), Replicas.of(self.acceptance), proposal, x_reco)

    def brute_force(self, x_reco: Tensor, evaluations: int = 20_000) -> Exact:
        """I_k by vegas and their covariance, for acceptance 1."""
        method = BruteForce(self.process, self.resolutions, mixture_coefficients(self.process), evaluations)
        found = [method(x, derive_seed(self.seed, "vegas", n)) for n, x in enumerate(x_reco)]
        values, covariances = zip(*found, strict=True)
        return Exact(np.stack(values), np.stack(covariances))

    def measured(self, integrand: Integrand, settings: IntegrationSettings) -> Coefficients:
        """Integrated coefficients of the events of ``integrand``."""
        return coefficients(integrals(integrand, settings, derive_seed(self.seed, "fit")), self.fiducial)

    def known(self, x_hard: Tensor) -> Coefficients:
        """The yardstick: the same events with x_hard [N, 7] known."""
        return yardstick_coefficients(self.process, x_hard, self.acceptance.probability(x_hard), self.fiducial.values[0])


def angle(degrees: float) -> Tensor:
    """θ [1] in radians."""
    return torch.tensor([math.radians(degrees)], dtype=torch.float64)
