"""The proposal on the linear-Gaussian toy: its transfer density is exact, so that a proposal can become nearly perfect."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from exact_toy import ExactTransfer
from scipy import optimize, stats
from torch import Tensor

from bmem.integration.importance import EventIntegrals, integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.proposal import LearnedPairs, balancing_weights, capacity_prior
from bmem.networks.contract import Classifier, negative_log_likelihood
from bmem.networks.coupling import CouplingSettings
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.training import Rows, Supply, TrainingSettings, train

FALSE_ALARM = 2e-5
EVENTS = 200
TOY = LinearGaussian()


class Response(ExactTransfer):
    """The exact transfer density, which can be sampled too."""

    noise_dim = 2

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        normal = torch.distributions.Normal(0.0, 1.0).icdf(noise)
        x = self.scale * (condition @ TOY.response_matrix.T + normal @ torch.linalg.cholesky(TOY.noise).T)
        return x, self.log_prob(x, condition)


class Everything(Classifier):
    """Accepts all; a buffer, because replicas are carried by their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_odds", torch.tensor(50.0, dtype=torch.float64))

    def logit(self, features: Tensor) -> Tensor:
        return self.log_odds.expand(features.shape[:-1])


TRANSFER = Replicas.of(Response(TOY))


def mixture(n: int, seed: int) -> Tensor:
    """Hard events uniform in θ."""
    rng = torch.Generator().manual_seed(seed)
    theta = 2 * math.pi * torch.rand(n, 1, generator=rng, dtype=torch.float64) - math.pi
    return TOY.sample(n, theta, rng).x


def trained(data: Rows | Supply, scales: Rows) -> ResidualDensity:
    proposal = ResidualDensity(Difference(2), CouplingSettings(blocks=4, hidden=32, layers=2, bins=4), 0.02)
    proposal.fit_scales(*scales)
    train(proposal, negative_log_likelihood, data, TrainingSettings(epochs=5, batch_size=512, learning_rate=4e-3), seed=3)
    return proposal


def integrals(proposal: ResidualDensity) -> tuple[EventIntegrals, np.ndarray]:
    """Integrals of held-out events, and the pulls [E] of Σ_k c_k I_k against the closed form."""
    x_reco = TOY.response(mixture(EVENTS, 4), torch.Generator().manual_seed(2))
    function = Integrand(TOY, TRANSFER, Replicas.of(Everything()), proposal, x_reco)
    reference = mixture_coefficients(TOY)
    found = integrate(function, EVENTS, reference, IntegrationSettings(min_points=1024, max_points=1024), seed=7)
    variance = np.einsum("k,nkl,l->n", reference, found.covariance[0], reference)
    return found, (found.values[0] - TOY.integrals(x_reco).numpy()) @ reference.numpy() / np.sqrt(variance)


def test_learned_pairs_make_a_nearly_perfect_proposal_that_integrates_the_same() -> None:
    """Of 300 simulated pairs a proposal learns little; of the learned density itself, nearly all there is to know.

    χ² of the 200 integrals with either against the closed form: false-alarm rate 2e-5 for each of the two.
    """
    x_hard = mixture(300, 1)
    simulated = x_hard, TOY.response(x_hard, torch.Generator().manual_seed(2))
    learned = LearnedPairs.balanced(TOY, TRANSFER, mixture(25_000, 8))
    poor, poor_pulls = integrals(trained(simulated, simulated))
    good, good_pulls = integrals(trained(Supply(learned.draw, 25_000), simulated))
    assert np.median(poor.effective_fraction) < 0.8
    assert np.median(good.effective_fraction) > 0.93
    assert np.quantile(good.effective_fraction, 0.05) > 0.85
    for pulls in (poor_pulls, good_pulls):
        assert stats.chi2(EVENTS).sf((pulls**2).sum()) > FALSE_ALARM


def test_every_replica_responds_to_its_share() -> None:
    """Residuals follow the response of each of two replicas (false-alarm rate 4e-5), and not that of the other."""
    x_hard = mixture(500, 1)
    pairs = LearnedPairs(Replicas.of(Response(TOY, 1.0), Response(TOY, 3.0)), x_hard, torch.ones(500, dtype=torch.float64))
    drawn, x_reco = pairs.draw(10_001, torch.Generator().manual_seed(2))
    assert (drawn[:, None] == x_hard).all(-1).any(-1).all()
    assert x_reco.shape == (10_001, 2)
    first, second = (chi2(x[:n], d[:n]) for x, d, n in ((x_reco, drawn, 5001), (x_reco.flip(0) / 3, drawn.flip(0), 5000)))
    assert stats.kstest(first, stats.chi2(2).cdf).pvalue > FALSE_ALARM
    assert stats.kstest(second, stats.chi2(2).cdf).pvalue > FALSE_ALARM
    assert stats.kstest(chi2(x_reco[5001:], drawn[5001:]), stats.chi2(2).cdf).pvalue < FALSE_ALARM


def chi2(x_reco: Tensor, x_hard: Tensor) -> np.ndarray:
    residual = x_reco - x_hard @ TOY.response_matrix.T
    return torch.einsum("ni,ij,nj->n", residual, torch.linalg.inv(TOY.noise), residual).numpy()


def test_events_are_drawn_in_proportion_to_their_weights() -> None:
    """χ² of the counts, with false-alarm rate 2e-5; an event of weight 0 never comes."""
    weight = torch.tensor([1.0, 0.0, 3.0, 6.0], dtype=torch.float64)
    pairs = LearnedPairs(TRANSFER, torch.arange(8, dtype=torch.float64).reshape(4, 2), weight)
    counts = torch.bincount((pairs.draw(10_000, torch.Generator().manual_seed(3))[0][:, 0] / 2).long(), minlength=4)
    assert counts[1] == 0
    kept = weight > 0
    assert stats.chisquare(counts[kept], 1000 * weight[kept]).pvalue > FALSE_ALARM


def test_pairs_are_reproducible_and_carry_no_gradient() -> None:
    network = ResidualDensity(Difference(2), CouplingSettings(blocks=2, hidden=8, layers=1, bins=4))
    pairs = LearnedPairs.balanced(TOY, Replicas.of(network), mixture(50, 1))
    first, second = (pairs.draw(9000, torch.Generator().manual_seed(2)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not first[1].requires_grad


def test_the_capacity_prior_of_known_channels() -> None:
    """Two hypotheses that exclude each other and one that is their mean; and a Z channel, whose prior is 3 to 2."""
    apart = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(capacity_prior(apart), torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64), rtol=0, atol=1e-9)
    z = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    information = lambda p: -float(np.mean(z.numpy() * np.log2(z.numpy() + 1e-300), 0) @ [p, 1 - p]) + mean_entropy(p)  # noqa: E731

    def mean_entropy(p: float) -> float:
        density = z.numpy() @ [p, 1 - p]
        return float(np.mean(density * np.log2(density)))

    best = optimize.minimize_scalar(information, bounds=(0.01, 0.99), method="bounded").x
    assert capacity_prior(z)[0].item() == pytest.approx(best, abs=1e-4)
    assert best == pytest.approx(0.6, abs=1e-4)


def test_balanced_events_lower_the_largest_divergence() -> None:
    """The largest over θ of the divergence from the density at θ, over the events themselves."""
    x_hard = mixture(20_000, 5)
    components, uniform = TOY.components(x_hard), mixture_coefficients(TOY)
    densities = components @ TOY.basis(mixture_grid(TOY)).T / (components @ uniform)[:, None]
    densities = densities / densities.mean(0)
    weight = balancing_weights(TOY, x_hard)

    def largest(weight: Tensor) -> float:
        relative = weight / weight.mean()
        return float(torch.xlogy(densities, densities / relative[:, None]).mean(0).max())

    assert (weight >= 0).all()
    assert weight.mean().item() == pytest.approx(1.0, rel=1e-6)
    assert largest(weight) < largest(torch.ones_like(weight)) - 1e-3
