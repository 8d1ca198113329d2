"""Fits with nuisance parameters: exact derivatives, profile, posterior and impacts against brute force, and their closure.

Statistical tests are seeded; each rejects with a probability of ``FALSE_ALARM``.
"""

from __future__ import annotations

import numpy as np
import pytest
from derivatives import assert_exact
from iminuit import Minuit
from iminuit.cost import NormalConstraint
from likelihood_examples import FALSE_ALARM
from scipy import stats
from varied_toy import SHIFTED, exact_coefficients, observed, shifted

from bmem.inference.bayes import posterior
from bmem.inference.constraints import Joint
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.intervals import profile, profile_intervals
from bmem.inference.laplace import LaplaceMarginal
from bmem.inference.minima import fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, Objective
from bmem.inference.ranking import impacts, without_nuisances
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.measurement import measure_hypothesis

BASIS = MorphingBasis.of(shifted(0))
KNOWN = (NormalConstraint("shift", 0.0, 1.0),)


def hypothesis(coefficients: Coefficients) -> Hypothesis:
    return Hypothesis.of(coefficients, BASIS, constraints=KNOWN, nuisances=SHIFTED.basis)


def two_replicas(x: object) -> Coefficients:
    one = exact_coefficients(x)
    values = np.concatenate([one.values, one.values * (1 + 0.05 * np.sin(np.arange(one.n_events)))[None, :, None]])
    return Coefficients.exact(values, np.repeat(one.fiducial, 2, axis=0))


@pytest.fixture(scope="module")
def total() -> Objective:
    found = hypothesis(two_replicas(observed(80, 0.8, 1.0, seed=3)))
    return found.constrained(found.likelihood())


def test_derivatives_and_the_expansion(total: Objective) -> None:
    """All at once is what each alone is, also of one replica and with a rate."""
    theta = [0.4, 0.7]
    assert_exact(total, theta)
    assert isinstance(total, Joint)
    likelihood = total._parts[0][0]
    assert isinstance(likelihood, MarginalLikelihood)
    rated = [NegativeTwoLogLikelihood(r.integrals, r.fiducial, r.basis, 30.0, [2, 3]) for r in likelihood.replicas]
    for one in (total, total.estimator, likelihood, likelihood.replicas[1], MarginalLikelihood(rated), rated[0]):
        for name, part in one.expanded(theta)._asdict().items():
            np.testing.assert_allclose(part, getattr(one, name)(theta), rtol=1e-10, atol=1e-9)


def free(total: Objective, start: list[float], fixed: int) -> Minuit:
    minuit = Minuit(total, *start)
    minuit.fixed[fixed] = True
    minuit.strategy, minuit.tol = 2, 1e-6
    return minuit.migrad()


def test_profile_is_the_minimum_of_minuit(total: Objective) -> None:
    points = np.array([-0.9, 0.3, 0.8, 2.5])
    minima = [free(total, [x, 0.0], 0).fval for x in points]
    np.testing.assert_allclose(profile(total, 0)(points), minima, atol=1e-5)
    best = fit(total)
    shifts = [min(free(total, [m.theta[0], x], 1).fval for m in best.minima) for x in (0.5, 1.5)]
    found = profile(total, 1, [np.array(m.theta) for m in best.minima])(np.array([0.5, 1.5]))
    np.testing.assert_allclose(found, shifts, atol=1e-5)


def test_posterior_is_that_of_a_grid(total: Objective) -> None:
    """Laplace's integral over ν, which is nearly Gaussian, against the sum: quantiles agree to 2 % of the width."""
    nu = np.linspace(-3, 3, 301)
    x = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    grid = np.stack(np.meshgrid(x, nu, indexing="ij"), -1)
    values = total.value(grid)
    exact = np.exp(-(values - values.min()) / 2).sum(1)
    found = posterior(LaplaceMarginal(total))
    cumulative = np.cumsum(exact) / exact.sum()
    at = np.interp([0.1, 0.3, 0.7, 0.9], cumulative, x)
    np.testing.assert_allclose(found.below(at), [0.1, 0.3, 0.7, 0.9], atol=0.02)


def test_draws_have_the_moments_of_the_posterior(total: Objective) -> None:
    """Mean of ν from 8000 draws within 4.3 standard errors and 0.05, for Laplace's sake, of the sum on a grid."""
    grid = np.stack(np.meshgrid(np.linspace(-np.pi, np.pi, 360), np.linspace(-3, 3, 201), indexing="ij"), -1)
    weight = np.exp(-(total.value(grid) - total.value(grid).min()) / 2)
    mean = (weight * grid[..., 1]).sum() / weight.sum()
    chains = LaplaceMarginal(total).draws(4, 2000, np.random.default_rng(1), "flat")
    draws = chains.samples[..., 1].ravel()
    assert abs(draws.mean() - mean) < 4.3 * draws.std() / len(draws) ** 0.5 + 0.05


def test_impacts_are_shifts_of_the_fit(total: Objective) -> None:
    best = fit(total).best
    (impact,) = impacts(total.estimator, best, KNOWN)
    x, nu = best.theta
    for step, shift in zip((-impact.error, impact.error), impact.after, strict=True):
        assert free(total.estimator, [x, nu + step], 1).values[0] - x == pytest.approx(shift, abs=1e-4)
    assert impact.pull == pytest.approx(nu)
    assert impact.constraint == pytest.approx(best.error[1])
    assert 0 < impact.constraint < 1  # the events tell something of it
    held, every = without_nuisances(total.estimator, best)[0], best.error[0]
    assert held < every
    # to first order the two add up in quadrature
    assert np.hypot(held, impact.size) == pytest.approx(every, rel=0.05)


SAMPLES, SIZE, LARGE = 60, 300, 60_000


@pytest.mark.parametrize("nu", [-1.0, 1.0])
def test_closure(nu: float) -> None:
    """Samples made at ν = ±1: with ν free, and nothing known of it, there is no bias; held at 0 there is one.

    60 samples of 300 events at θ = 2, where the likelihood has one minimum: both means have pulls of width 1/√60.
    """
    loose = (NormalConstraint("shift", 0.0, 100.0),)
    free_fits, held_fits = [], []
    for seed in range(SAMPLES):
        coefficients = exact_coefficients(observed(SIZE, 2.0, nu, seed=seed))
        found = Hypothesis.of(coefficients, BASIS, constraints=loose, nuisances=SHIFTED.basis)
        free_fits.append(fit(found.constrained(found.likelihood())).nearest([2.0, nu]))
        held_fits.append(fit(Hypothesis.of(coefficients.nominal(3), BASIS).likelihood()).nearest([2.0]))
    pulls = np.array([(np.array(m.theta) - [2.0, nu]) / m.error for m in free_fits])
    limit = stats.norm.isf(FALSE_ALARM / 4) / SAMPLES**0.5
    assert (np.abs(pulls.mean(0)) < limit + 0.1).all()  # 0.1: the bias of a fit to 300 events
    assert stats.chi2(SAMPLES - 1).sf((SAMPLES - 1) * pulls[:, 0].var(ddof=1) / 1.1**2) > FALSE_ALARM
    held = np.array([(m.theta[0] - 2.0) / m.error[0] for m in held_fits])
    assert abs(held.mean()) > 1.5 * limit
    # as large as that of a sample so large that its own fluctuation is a small part of the error of this mean
    coefficients = exact_coefficients(observed(LARGE, 2.0, nu, seed=SAMPLES)).nominal(3)
    bias = fit(Hypothesis.of(coefficients, BASIS).likelihood()).nearest([2.0]).theta[0] - 2.0
    expected = bias / np.mean([m.error[0] for m in held_fits])
    error = np.hypot(1.1 / SAMPLES**0.5, (SIZE / LARGE) ** 0.5)
    assert abs(held.mean() - expected) < stats.norm.isf(FALSE_ALARM / 2) * error + 0.1


def test_the_interval_holds_the_truth_with_the_nuisance_free() -> None:
    coefficients = exact_coefficients(observed(300, 2.0, 1.0, seed=11))
    found = hypothesis(coefficients)
    total = found.constrained(found.likelihood())
    region = profile_intervals(total, fit(total), (0.954,))[0]
    assert region.contains(2.0)


def test_a_strength_and_backgrounds_beside_it() -> None:
    """Parameters and components are in the order θ, ν, others."""
    coefficients = exact_coefficients(observed(60, 2.0, 0.5, seed=5))
    strong = Hypothesis.of(
        coefficients, BASIS, luminosity=20.0, constraints=KNOWN, nuisances=SHIFTED.basis, strength=True
    )
    assert [p.name for p in strong.basis.parameters] == ["theta", "shift", "mu"]
    assert strong.basis.value([0.3, 0.0, 2.0])[:3] == pytest.approx(2 * BASIS.value([0.3]))
    flat = {"flat": np.full(60, -3.0)}
    mixed = Hypothesis.of(coefficients, BASIS, flat, constraints=KNOWN, nuisances=SHIFTED.basis)
    assert [p.name for p in mixed.basis.parameters] == ["theta", "shift", "f_flat"]
    found = measure_hypothesis(mixed)
    assert len(found.impacts) == 1
    assert found.posterior is not None
    assert np.isfinite(found.budget.total).all()
    lines = str(found).splitlines()
    assert [line.partition(" ")[0] for line in lines[:3]] == ["theta", "fraction", "errors:"]


def test_a_density_that_becomes_negative_far_away_is_a_wall() -> None:
    """Of 40 events one has a slope of -0.4 in ν: there is none beyond 2.5, and the fit does not fail."""
    linear = PolynomialBasis(SHIFTED.parameters, ((0,), (1,)))
    nominal = np.stack([np.linspace(0.2, 1.5, 40), np.full(40, 0.4), np.full(40, 0.5)], axis=1)
    slopes = np.where(np.arange(40) == 7, -0.4, 0.3)
    values = np.concatenate([nominal, slopes[:, None] * nominal], axis=1)
    coefficients = Coefficients.exact(values, np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    found = Hypothesis.of(coefficients, BASIS, constraints=KNOWN, nuisances=linear)
    assert not found.excluded.size
    total = found.constrained(found.likelihood())
    assert np.isfinite(total.value([[0.3, 2.9], [0.3, -2.9]])).all()
    assert total.value([0.3, 2.9]) > total.value([0.3, 2.4]) + 500
    assert fit(total).best.theta[1] < 2.5
