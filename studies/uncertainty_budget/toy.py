"""The linear-Gaussian toy with Bayesian networks: does the exact answer lie within the claimed error?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from learning import trained
from numpy.typing import NDArray
from torch import Tensor

from bmem.inference.combine import Budget, budget
from bmem.inference.minima import FitResult, difference, fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.integration.importance import EventIntegrals, integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.networks.contract import Classifier, negative_log_likelihood
from bmem.networks.coupling import CouplingSettings
from bmem.process.toy import LinearGaussian
from bmem.replicas import PosteriorSettings, Replicas
from bmem.rng import derive_seed, generator
from bmem.training.loop import train
from bmem.training.settings import TrainingSettings

Array = NDArray[np.float64]
TRUTH = 60.0
PROCESS = LinearGaussian()
BASIS = MorphingBasis.of(PROCESS)
PROPOSAL_EVENTS = 30_000
NETWORK = CouplingSettings(blocks=4, hidden=32, layers=2, bins=8)
TRAINING = TrainingSettings(epochs=30, batch_size=128, learning_rate=2e-3, patience=30)
POSTERIOR = PosteriorSettings("bootstrap", replicas=12, epochs=10)


class AllAccepted(Classifier):
    """The toy's acceptance, 1; its only weight is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unused", torch.zeros(1))

    def logit(self, features: Tensor) -> Tensor:
        return torch.full_like(features[..., 0], 60.0)


@dataclass(frozen=True)
class Toy:
    """How a network of the toy is trained: ``events`` pairs, its ``network``, its ``training`` and its ``posterior``."""

    events: int
    network: CouplingSettings = NETWORK
    training: TrainingSettings = TRAINING
    posterior: PosteriorSettings = POSTERIOR

    def sized(self, events: int) -> Toy:
        """The same with another number of pairs and, to within an epoch, as many steps of training."""
        share = self.events / events
        training = replace(self.training, epochs=max(1, round(self.training.epochs * share)))
        posterior = replace(self.posterior, epochs=max(1, round(self.posterior.epochs * share)))
        return replace(self, events=events, training=training, posterior=posterior)

    def replicas(self, seed: int) -> Replicas:
        """Train on an independent sample of pairs and draw the replicas of the transfer density."""
        rows = pairs(self.events, seed)
        return trained(density(self.network, *rows), negative_log_likelihood, rows, (self.training, self.posterior), seed)


def pairs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """(x_reco, x_hard) of ``n`` events from a mixture over θ."""
    grid = mixture_grid(PROCESS)
    hard = PROCESS.sample(n, grid[torch.arange(n) % len(grid)], generator(seed, "pairs", "hard")).x
    return PROCESS.response(hard, generator(seed, "pairs", "response")), hard


def density(network: CouplingSettings, x: Tensor, condition: Tensor, defensive: float = 0.0) -> ResidualDensity:
    """A density that is not trained yet."""
    module = ResidualDensity(Difference(2), network, defensive)
    module.fit_scales(x, condition)
    return module


@dataclass(frozen=True)
class Bench:
    """Samples of the toy and their integrals with one proposal, which carries no uncertainty and is trained once."""

    points: int = 256
    resamples: int = 50

    @cached_property
    def proposal(self) -> ResidualDensity:
        x_reco, x_hard = pairs(PROPOSAL_EVENTS, 0)
        module = density(CouplingSettings(blocks=4, hidden=48, layers=2, bins=10), x_hard, x_reco, 0.1)
        train(module, negative_log_likelihood, (x_hard, x_reco), TrainingSettings(12, 512, 3e-3), 0)
        return module

    def observed(self, n: int, seed: int) -> Tensor:
        """``n`` events at the true θ, [n, 2]."""
        theta = torch.deg2rad(torch.tensor([TRUTH], dtype=torch.float64))
        hard = PROCESS.sample(n, theta, generator(seed, "observed", "hard")).x
        return PROCESS.response(hard, generator(seed, "observed", "response"))

    def measure(self, transfer: Replicas, x_reco: Tensor, seed: int) -> Measurement:
        """θ̂ with its budget, and θ̂ of the same events from the closed form."""
        weights = Integrand(PROCESS, transfer, Replicas.of(AllAccepted()), self.proposal, x_reco)
        settings = IntegrationSettings(min_points=self.points, max_points=self.points, resamples=self.resamples)
        found = integrate(weights, len(x_reco), mixture_coefficients(PROCESS), settings, derive_seed(seed, "integrate"))
        _, result = budget(_coefficients(found, len(transfer)), BASIS)
        exact = fit(NegativeTwoLogLikelihood(PROCESS.integrals(x_reco).numpy(), PROCESS.fiducial().numpy(), BASIS))
        return Measurement(result, exact)


def _coefficients(found: EventIntegrals, replicas: int) -> Coefficients:
    fiducial = np.tile(PROCESS.fiducial().numpy(), (replicas, 1))
    resamples = 0 if found.bootstrap is None else found.bootstrap.shape[1]
    return Coefficients(
        values=found.values,
        covariance=found.covariance,
        fiducial=fiducial,
        fiducial_covariance=np.zeros((*fiducial.shape, fiducial.shape[1])),
        bootstrap=found.bootstrap,
        fiducial_bootstrap=np.repeat(fiducial[:, None], resamples, axis=1) if resamples else None,
    )


@dataclass(frozen=True)
class Measurement:
    """One measurement with learned networks, and the ``exact`` one."""

    result: Budget
    exact: FitResult

    @property
    def error(self) -> float:
        """θ̂ - θ̂(exact), between corresponding minima."""
        nearest = np.array(self.result.estimate.nearest(self.exact.theta).theta)
        return float(difference(nearest, self.exact.theta, BASIS.parameters)[0])

    @property
    def integration(self) -> float:
        return self.result.integration_linear[0] if self.result.integration is None else self.result.integration.std[0]

    @property
    def network(self) -> float:
        assert self.result.network is not None
        return self.result.network.std[0]

    @property
    def pull(self) -> float:
        """Error over the claimed one, of networks and integration."""
        return self.error / float(np.hypot(self.network, self.integration))

    @property
    def pull_without_network(self) -> float:
        return self.error / self.integration


def repeated(toy: Toy, bench: Bench, events: int, seeds: range, say: Callable[[Measurement], None]) -> list[Measurement]:
    """Independent trainings, each measuring an independent sample."""
    found = []
    for seed in seeds:
        found.append(bench.measure(toy.replicas(seed), bench.observed(events, seed), seed))
        say(found[-1])
    return found
