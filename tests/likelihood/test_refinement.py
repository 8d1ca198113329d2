"""Refinement on the linear-Gaussian toy: its transfer density is exact, so a refined proposal can become nearly perfect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from exact_toy import ExactTransfer
from scipy import stats
from torch import Tensor

from bmem.integration.importance import IntegrationSettings, integrate
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.refinement import Refinement, effective_fractions, learned_pairs, negative_log_likelihood, refine
from bmem.networks.contract import Classifier
from bmem.networks.coupling import CouplingSettings
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.training.loop import fit
from bmem.training.settings import TrainingSettings

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


def mixture(n: int, seed: int) -> Tensor:
    """Hard events uniform in θ."""
    rng = torch.Generator().manual_seed(seed)
    theta = 2 * math.pi * torch.rand(n, 1, generator=rng, dtype=torch.float64) - math.pi
    return TOY.sample(n, theta, rng).x


@dataclass(frozen=True)
class Case:
    """A proposal trained on 300 simulated pairs, and the integrand of held-out events with it."""

    proposal: ResidualDensity
    integrand: Integrand

    @classmethod
    def make(cls) -> Case:
        rng = torch.Generator().manual_seed(2)
        x_hard = mixture(300, 1)
        pairs = x_hard, TOY.response(x_hard, rng)
        proposal = ResidualDensity(Difference(2), CouplingSettings(blocks=4, hidden=32, bins=8), 0.02)
        proposal.fit_scales(*pairs)
        fit(proposal, negative_log_likelihood, pairs, TrainingSettings(epochs=6, batch_size=64), seed=3)
        held_out = TOY.response(mixture(EVENTS, 4), rng)
        return cls(proposal, Integrand(TOY, TRANSFER, Replicas.of(Everything()), proposal, held_out))

    def refine(self, pairs: tuple[Tensor, Tensor], epochs: int) -> Refinement:
        training = TrainingSettings(epochs=epochs, batch_size=512, learning_rate=4e-3)
        return refine(self.proposal, pairs, training, partial(effective_fractions, self.integrand, 5), seed=6)


TRANSFER = Replicas.of(Response(TOY))


def pulls(function: Integrand) -> np.ndarray:
    """Pulls [E] of Σ_k c_k I_k against the closed form."""
    settings = IntegrationSettings(min_points=1024, max_points=1024)
    reference = mixture_coefficients(TOY).numpy()
    found = integrate(function, EVENTS, torch.from_numpy(reference), settings, seed=7)
    variance = np.einsum("k,nkl,l->n", reference, found.covariance[0], reference)
    return (found.values[0] - TOY.integrals(function.x_reco).numpy()) @ reference / np.sqrt(variance)


def test_a_refined_proposal_is_nearly_perfect_and_integrates_the_same() -> None:
    """Of 300 simulated pairs the proposal learns little; of the learned density itself, nearly all there is to know.

    χ² of the 200 integrals, before and after, against the closed form: false-alarm rate 2e-5 for each of the two.
    """
    case = Case.make()
    before = pulls(case.integrand)
    pairs = learned_pairs(TRANSFER, mixture(25_000, 8), 25_000, torch.Generator().manual_seed(9))
    result = case.refine(pairs, epochs=5)
    after = pulls(case.integrand)
    assert result.kept
    assert np.median(result.before) < 0.75
    assert np.median(result.after) > 0.93
    assert np.quantile(result.after, 0.05) > 0.85
    for found in (before, after):
        assert stats.chi2(EVENTS).sf((found**2).sum()) > FALSE_ALARM


def test_a_worse_proposal_is_not_kept() -> None:
    """Pairs that do not belong together teach the prior: the weights come back, and with them the effective sample."""
    case = Case.make()
    earlier = {name: value.clone() for name, value in case.proposal.state_dict().items()}
    x_hard, x_reco = learned_pairs(TRANSFER, mixture(5000, 8), 5000, torch.Generator().manual_seed(9))
    result = case.refine((x_hard, x_reco.flip(0)), epochs=2)
    assert not result.kept
    assert result.after.mean() < result.before.mean()
    for name, value in case.proposal.state_dict().items():
        torch.testing.assert_close(value, earlier[name], rtol=0, atol=0)
    np.testing.assert_array_equal(effective_fractions(case.integrand, 5), result.before)


def test_every_replica_responds_to_its_share() -> None:
    """Residuals follow the response of each of two replicas (false-alarm rate 4e-5), and not that of the other."""
    x_hard = mixture(500, 1)
    transfer = Replicas.of(Response(TOY, 1.0), Response(TOY, 3.0))
    drawn, x_reco = learned_pairs(transfer, x_hard, 10_001, torch.Generator().manual_seed(2))
    assert (drawn[:, None] == x_hard).all(-1).any(-1).all()
    assert x_reco.shape == (10_001, 2)
    first, second = (chi2(x[:n], d[:n]) for x, d, n in ((x_reco, drawn, 5001), (x_reco.flip(0) / 3, drawn.flip(0), 5000)))
    assert stats.kstest(first, stats.chi2(2).cdf).pvalue > FALSE_ALARM
    assert stats.kstest(second, stats.chi2(2).cdf).pvalue > FALSE_ALARM
    assert stats.kstest(chi2(x_reco[5001:], drawn[5001:]), stats.chi2(2).cdf).pvalue < FALSE_ALARM


def chi2(x_reco: Tensor, x_hard: Tensor) -> np.ndarray:
    residual = x_reco - x_hard @ TOY.response_matrix.T
    return torch.einsum("ni,ij,nj->n", residual, torch.linalg.inv(TOY.noise), residual).numpy()


def test_pairs_are_reproducible_and_carry_no_gradient() -> None:
    network = ResidualDensity(Difference(2), CouplingSettings(blocks=2, hidden=8, bins=4))
    transfer = Replicas.of(network)
    first, second = (learned_pairs(transfer, mixture(50, 1), 9000, torch.Generator().manual_seed(2)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not first[1].requires_grad


@pytest.mark.parametrize(("before", "after", "kept"), [(0.2, 0.3, True), (0.3, 0.2, False), (0.2, 0.2, False)])
def test_the_larger_effective_sample_is_kept(before: float, after: float, kept: bool) -> None:
    proposal = ResidualDensity(Difference(2), CouplingSettings(blocks=2, hidden=8, bins=4))
    found = iter((np.full(3, before), np.full(3, after)))
    pairs = mixture(200, 1), mixture(200, 2)
    assert refine(proposal, pairs, TrainingSettings(epochs=1, batch_size=50), lambda: next(found), seed=1).kept is kept
