"""The master formula on the linear-Gaussian toy, whose integrals are known: I_k, per replica, with errors that are right."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_toy import BroadProposal, ExactTransfer, GaussianAcceptance
from scipy import stats
from torch import Tensor

from bmem.integration.importance import EventIntegrals, integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.networks.contract import Classifier
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.rng import generator

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
EVENTS = 300
POINTS = 2048
SETTINGS = IntegrationSettings(min_points=POINTS, max_points=POINTS)
TOY = LinearGaussian()


class Constant(Classifier):
    """The same acceptance everywhere, as a buffer."""

    def __init__(self, acceptance: float) -> None:
        super().__init__()
        self.register_buffer("log_odds", torch.logit(torch.tensor(acceptance, dtype=torch.float64)))

    def logit(self, features: Tensor) -> Tensor:
        return self.log_odds.expand(features.shape[:-1])


def observed(n: int = EVENTS) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    hard = TOY.sample(n, torch.tensor([1.0], dtype=torch.float64), rng)
    return TOY.response(hard.x, rng)


def integrand(*acceptances: float, scales: tuple[float, ...] | None = None) -> Integrand:
    transfer = Replicas.of(*(ExactTransfer(TOY, scale) for scale in scales or (1.0,) * len(acceptances)))
    return Integrand(TOY, transfer, Replicas.of(*map(Constant, acceptances)), BroadProposal(TOY), observed())


def integrated(function: Integrand, settings: IntegrationSettings = SETTINGS) -> EventIntegrals:
    return integrate(function, len(function.x_reco), mixture_coefficients(TOY), settings, seed=3)


def test_integrals_are_those_of_the_closed_form() -> None:
    """Pulls of I_k over 300 events: mean 0, width 1 within 4.3 standard errors; false-alarm rate 2e-5 for each of 6 numbers.

    The mean of M weights of skewness γ has a mean pull of -γ / (2 √M); here γ < 4, so that much is allowed.
    """
    result = integrated(integrand(0.3))
    exact = 0.3 * TOY.integrals(observed()).numpy()
    sigma = np.sqrt(np.diagonal(result.covariance[0], axis1=-2, axis2=-1))
    assert np.median(sigma / exact) < 0.05
    pulls = (result.values[0] - exact) / sigma
    kurtosis = stats.kurtosis(pulls, axis=0)
    assert (np.abs(pulls.mean(0)) < LIMIT * pulls.std(0) / math.sqrt(EVENTS) + 4 / (2 * math.sqrt(POINTS))).all()
    assert (np.abs(pulls.std(0) - 1) < LIMIT * np.sqrt((2 + kurtosis) / (4 * EVENTS))).all()
    assert not result.flags.any()


def test_errors_know_that_the_components_share_their_points() -> None:
    """χ² of the K pulls of an event with their full covariance follows χ²(K): Kolmogorov-Smirnov, false-alarm rate 2e-5."""
    result = integrated(integrand(1 - 1e-12))
    difference = result.values[0] - TOY.integrals(observed()).numpy()
    chi2 = np.einsum("nk,nk->n", difference, np.linalg.solve(result.covariance[0], difference[..., None])[..., 0])
    assert stats.kstest(chi2, stats.chi2(3).cdf).pvalue > FALSE_ALARM


def test_each_replica_has_its_own_networks_at_the_same_points() -> None:
    """Replica r has the integrals of its own transfer and acceptance; only the points are shared."""
    functions = integrand(0.3, 0.6, scales=(1.0, 1.1)), integrand(0.3), integrand(0.6, scales=(1.1,))
    both, first, second = (integrated(function) for function in functions)
    np.testing.assert_allclose(both.values, np.concatenate([first.values, second.values]), rtol=1e-12)
    scaled = 0.6 * TOY.integrals(observed() / 1.1).numpy() / 1.1**2
    sigma = np.sqrt(np.diagonal(both.covariance[1], axis1=-2, axis2=-1))
    chi2 = ((both.values[1] - scaled) / sigma)[:, 0] ** 2
    assert stats.chi2(EVENTS).sf(chi2.sum()) > FALSE_ALARM


def test_one_replica_of_the_integrand_has_its_weights() -> None:
    function = integrand(1.0, 0.5)
    events, generators = torch.arange(2), [generator(1, "event", n) for n in range(2)]
    both = function(events, 8, generators)
    generators = [generator(1, "event", n) for n in range(2)]
    torch.testing.assert_close(function.replica(1)(events, 8, generators), both[1:])


@pytest.mark.parametrize("points_per_chunk", [1, 10_000, 1 << 22])
def test_chunks_do_not_change_the_result(points_per_chunk: int) -> None:
    """Beyond the last bits: a batch of another size adds in another order."""
    settings = IntegrationSettings(min_points=64, max_points=512, pilot=64, relative_error=0.1, resamples=3)
    short = replace(integrand(0.3), x_reco=observed()[:40])
    whole = integrated(short, settings)
    cut = integrated(short, replace(settings, points_per_chunk=points_per_chunk, block=7))
    assert np.unique(whole.points).size > 1
    for name, values in vars(whole).items():
        np.testing.assert_allclose(getattr(cut, name), values, rtol=1e-10, err_msg=name)


def test_an_event_does_not_depend_on_its_neighbours() -> None:
    every = integrated(integrand(0.3))
    few = integrated(replace(integrand(0.3), x_reco=observed()[:3]))
    np.testing.assert_allclose(few.values, every.values[:, :3], rtol=1e-12)


class Halved(LinearGaussian):
    """Nothing happens at x_0 < 0 or at infinity, as beyond the edge of a phase space; what is NaN must not come here."""

    def components(self, x_hard: Tensor) -> Tensor:
        assert not x_hard.isnan().any()
        inside = (x_hard[..., :1] > 0) & torch.isfinite(x_hard).all(-1, keepdim=True)
        return torch.where(inside, super().components(torch.where(inside, x_hard, 0.0)), 0.0)


class BreaksOutside(ExactTransfer):
    """A network that must not be asked beyond the phase space."""

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        assert (condition[..., 0] > 0).all()
        return super().log_prob(x, condition)


class SometimesNothing(BroadProposal):
    """One point in a hundred is NaN, as an overflow in the tail of a flow makes it."""

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        x, log_q = super().from_noise(noise, condition)
        lost = noise[..., 0] < 0.01
        return x.masked_fill(lost[..., None], math.nan), log_q.masked_fill(lost, math.nan)


def test_points_beyond_the_phase_space_count_with_weight_zero() -> None:
    toy = Halved()
    transfer, acceptance = Replicas.of(BreaksOutside(toy)), Replicas.of(Constant(0.3))
    function = Integrand(toy, transfer, acceptance, SometimesNothing(toy), observed(4))
    weights = function(torch.arange(4), 1000, [torch.Generator().manual_seed(i) for i in range(4)])
    assert weights.shape == (1, 4, 1000, 3)
    assert torch.isfinite(weights).all()
    zero = (weights == 0).all(-1)
    assert 0.05 < zero.double().mean() < 0.95
    whole = Integrand(TOY, Replicas.of(ExactTransfer(TOY)), acceptance, BroadProposal(TOY), observed(4))
    same = whole(torch.arange(4), 1000, [torch.Generator().manual_seed(i) for i in range(4)])
    torch.testing.assert_close(weights[~zero], same[~zero], rtol=1e-12, atol=0)


def test_acceptance_enters_at_the_hard_point() -> None:
    """With a Gaussian ε the weights are those without, times ε at the drawn points."""
    acceptance = GaussianAcceptance()
    proposal, x_reco = BroadProposal(TOY), observed(2)
    with_it, without = (
        Integrand(TOY, Replicas.of(ExactTransfer(TOY)), Replicas.of(network), proposal, x_reco)(
            torch.arange(2), 50, [torch.Generator().manual_seed(i) for i in range(2)]
        )
        for network in (acceptance, Constant(0.5))
    )
    noise = [torch.rand(50, 2, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(2)]
    x, _ = proposal.from_noise(torch.stack(noise), x_reco[:, None])
    expected = without[0] * (acceptance.probability(x) / 0.5)[..., None]
    torch.testing.assert_close(with_it[0], expected, rtol=1e-10, atol=0)


def test_in_turns_every_event_is_integrated_in_its_replica() -> None:
    """Event n in replica n modulo R, with the points that it has in all of them."""
    function, settings = integrand(0.3, 0.6, 0.9), IntegrationSettings(min_points=32, max_points=32, points_per_chunk=320)
    every = integrated(function, settings)
    found = integrate(function.in_turns, EVENTS, mixture_coefficients(TOY), settings, seed=3)
    assert found.values.shape[0] == 1
    events = np.arange(EVENTS)
    np.testing.assert_allclose(found.values[0], every.values[events % 3, events], rtol=1e-12)
