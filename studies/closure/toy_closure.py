"""The linear-Gaussian toy: learned transfer and proposal against the closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from measurements import (
    Array,
    Exact,
    coefficients,
    exact_coefficients,
    integrals,
    known_fiducial,
    mixture,
)
from oracles import AllAccepted, ExactToyTransfer
from torch import Tensor

from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.cross_section import FiducialCrossSection, mixture_coefficients
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.networks.contract import ConditionalDensity, negative_log_likelihood
from bmem.networks.coupling import CouplingSettings
from bmem.process.toy import LinearGaussian
from bmem.replicas.contract import Replicas
from bmem.rng import derive_seed, generator
from bmem.training import TrainingSettings, train

NETWORK = CouplingSettings(blocks=4, hidden=48, layers=2, bins=10)
DEFENSIVE = 0.1


@dataclass(frozen=True)
class ToyStudy:
    """Networks of the toy, and the integrals that they give; ``steps`` of training for each network."""

    seed: int
    steps: int = 2000
    batch_size: int = 512

    @cached_property
    def process(self) -> LinearGaussian:
        return LinearGaussian()

    def pairs(self, n: int, theta: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
        """(x_reco, x_hard) of ``n`` events at ``theta``."""
        hard = self.process.sample(n, theta, generator(self.seed, purpose, "hard")).x
        return self.process.response(hard, generator(self.seed, purpose, "response")), hard

    def learn(self, role: str, events: int) -> ResidualDensity:
        """The "transfer" or "proposal" density from ``events`` pairs of a mixture over θ."""
        x_reco, x_hard = self.pairs(events, mixture(events, self.process), "training")
        rows = (x_reco, x_hard) if role == "transfer" else (x_hard, x_reco)
        density = ResidualDensity(Difference(2), NETWORK, DEFENSIVE if role == "proposal" else 0.0)
        density.fit_scales(*rows)
        epochs = max(1, round(self.steps * self.batch_size / (0.9 * events)))
        settings = TrainingSettings(epochs, self.batch_size, learning_rate=3e-3, patience=max(10, epochs // 5))
        train(density, negative_log_likelihood, rows, settings, derive_seed(self.seed, role, events))
        return density

    def integrand(
        self, x_reco: Tensor, proposal: ConditionalDensity, transfer: ConditionalDensity | None = None
    ) -> Integrand:
        """With the exact transfer unless another one is given."""
        transfer = ExactToyTransfer(self.process) if transfer is None else transfer
        return Integrand(self.process, Replicas.of(transfer), Replicas.of(AllAccepted()), proposal, x_reco)

    def exact(self, x_reco: Tensor) -> Exact:
        """I_k [N, K] in closed form; their covariance is zero."""
        values = self.process.integrals(x_reco).numpy()
        return Exact(values, np.zeros((*values.shape, values.shape[1])))

    @cached_property
    def fiducial(self) -> FiducialCrossSection:
        return known_fiducial(self.process.fiducial().numpy())

    def measured(self, integrand: Integrand, settings: IntegrationSettings) -> Coefficients:
        """Integrated coefficients of the events of ``integrand``."""
        return coefficients(integrals(integrand, settings, derive_seed(self.seed, "fit")), self.fiducial)

    def known(self, x_reco: Tensor) -> Coefficients:
        """The same in closed form."""
        return exact_coefficients(self.exact(x_reco).values, self.fiducial)

    def network_error(self, integrand: Integrand, settings: IntegrationSettings) -> tuple[Array, Array]:
        """Relative error of Σ_k c_k I_k under a learned transfer, and the Monte Carlo error of that ratio, [N] each."""
        found, c = integrals(integrand, settings, self.seed), mixture_coefficients(self.process).numpy()
        exact = self.exact(integrand.x_reco).values @ c
        variance = np.einsum("k,nkl,l->n", c, found.covariance[0], c)
        return found.values[0] @ c / exact - 1, np.sqrt(variance) / exact
