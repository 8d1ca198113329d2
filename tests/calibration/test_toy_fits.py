"""Fits of many samples at once: derivatives are those of the values, minima those that iminuit finds."""

import numpy as np
import pytest
from contaminated import KNOWN, NOMINAL, RATE, ContaminatedBank
from iminuit.cost import NormalConstraint

from bmem.calibration.experiments import Experiments
from bmem.calibration.likelihood_ratio import best_fits, likelihood_ratios, scan
from bmem.calibration.population import Population
from bmem.calibration.toy_fits import Samples, minimised
from bmem.calibration.toys import true_values
from bmem.inference.constraints import Joint
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood

THETA = 0.8
LUMINOSITY = 15.0
TOYS = 6


@pytest.fixture(scope="module")
def bank() -> ContaminatedBank:
    return ContaminatedBank.of(1500, 500, seed=1)


@pytest.fixture(scope="module")
def by_fractions(bank: ContaminatedBank) -> Population:
    return bank.population(60)


@pytest.fixture(scope="module")
def by_rate(bank: ContaminatedBank) -> Population:
    return bank.population(luminosity=LUMINOSITY)


def samples(p: Population, seed: int = 1, toys: int = TOYS) -> Samples:
    rng, true = np.random.default_rng(seed), p.full(THETA, p.nominal)
    return Experiments(p)._of(*p.draw(true, toys, rng), p.known.measured(true, toys, rng))


def objective(p: Population, one: Samples, number: int) -> Joint:
    """As a measurement would be made of one sample, its own measurements from elsewhere included."""
    integrals = p.integrals[one.rows[number][one.weights[number] > 0]]
    own = np.linalg.solve(p.known.precision[1:, 1:], one.pull[number, 1:])
    errors = [np.sqrt(c.covariance[0]) for c in KNOWN[:2]]
    errors.append(RATE[1] if one.luminosity else np.sqrt(KNOWN[2].covariance[0]))
    names = [parameter.name for parameter in p.parameters[1:]]
    known = [NormalConstraint(n, value, error) for n, value, error in zip(names, own, errors, strict=True)]
    return Joint([NegativeTwoLogLikelihood(integrals, p.fiducial, p.basis, one.luminosity)], known)


@pytest.mark.parametrize("kind", ["by_fractions", "by_rate"])
def test_value_is_that_of_the_measurement_up_to_a_constant(kind: str, request: pytest.FixtureRequest) -> None:
    p = request.getfixturevalue(kind)
    one, rng = samples(p), np.random.default_rng(2)
    points = p.full(THETA, p.nominal) + 0.1 * rng.standard_normal((5, 4))
    for number in range(3):
        whole = objective(p, one, number)
        found = np.array([one.value(np.tile(point, (TOYS, 1)))[number] for point in points])
        difference = found - whole.value(points)  # a constant of the sample
        np.testing.assert_allclose(difference, difference[0], atol=1e-8)


@pytest.mark.parametrize("kind", ["by_fractions", "by_rate"])
def test_derivatives_are_those_of_the_measurement(kind: str, request: pytest.FixtureRequest) -> None:
    """Of a measurement they are exact; here they come from differences of the basis: 1e-6 of the largest."""
    p = request.getfixturevalue(kind)
    one, point = samples(p), p.full(0.5, p.nominal) + 0.05
    _, gradient, curvature = one.expanded(np.tile(point, (TOYS, 1)), np.arange(TOYS), range(4))
    for number in range(3):
        whole = objective(p, one, number)
        for found, expected in ((gradient[number], whole.gradient(point)), (curvature[number], whole.curvature(point))):
            np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_some_parameters_are_as_all() -> None:
    p = ContaminatedBank.of(300, 100, seed=2).population(20)
    one, point = samples(p), np.tile(p.full(0.5, p.nominal), (TOYS, 1))
    value, gradient, curvature = one.expanded(point, np.arange(TOYS), range(4))
    part = one.expanded(point[[4, 1]], np.array([4, 1]), (1, 3))
    np.testing.assert_allclose(part[0], value[[4, 1]], rtol=1e-12)
    np.testing.assert_allclose(part[1], gradient[[4, 1]][:, [1, 3]], rtol=1e-9)
    np.testing.assert_allclose(part[2], curvature[[4, 1]][:, [1, 3]][:, :, [1, 3]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["by_fractions", "by_rate"])
def test_minima_are_those_of_iminuit(kind: str, request: pytest.FixtureRequest) -> None:
    """To 5e-3 in -2 log L, twice the distance at which a fit ends, in all parameters and at a fixed θ."""
    p = request.getfixturevalue(kind)
    one = samples(p, seed=3)
    found = likelihood_ratios(one, THETA, p.nominal, true_values(p.parameters[0], 61))
    for number in range(TOYS):
        whole = objective(p, one, number)
        result = fit(whole)
        assert abs(float(whole.value(found.best[number])) - result.best.value) < 5e-3
        there = float(whole.value(np.append(THETA, found.there[number])))
        assert there - result.best.value == pytest.approx(found.t[number], abs=5e-3)
        at_fixed = min(float(whole.value([THETA, *(found.there[number] + step)])) for step in 0.02 * np.eye(3))
        assert there < at_fixed


def test_bounds_are_kept(by_fractions: Population) -> None:
    """Samples of signal alone: many fractions end at the lower bound, none below."""
    p = by_fractions
    rng = np.random.default_rng(4)
    rows = p.sources[0].rows[rng.integers(len(p.sources[0].rows), size=(30, 60))]
    free = Samples(p.basis, p.integrals, p.fiducial, None, p.known, rows, np.ones(rows.shape), np.zeros((30, 4)))
    best, _ = minimised(free, np.tile(p.full(THETA, NOMINAL), (30, 1)), range(4))
    assert (best[:, 3] >= 1e-4).all()
    assert (best[:, 3] == 1e-4).any()


def test_scan_is_the_value_up_to_a_constant(by_rate: Population) -> None:
    p = by_rate
    one, values = samples(p), np.linspace(-3, 3, 7)
    curves = scan(one, p.nominal, values)
    exact = np.stack([one.value(np.tile(p.full(value, p.nominal), (TOYS, 1))) for value in values], axis=1)
    difference = exact - curves
    np.testing.assert_allclose(difference, difference[:, :1] + np.zeros(len(values)), atol=1e-8)


def test_the_second_minimum_of_the_scan_is_followed(by_fractions: Population) -> None:
    """The toy is nearly even in θ: the best of both minima is never above the one that starts from the lowest."""
    p = by_fractions
    one, values = samples(p, seed=5, toys=40), true_values(p.parameters[0], 61)
    best, lowest = best_fits(one, p.nominal, values)
    start = scan(one, p.nominal, values).argmin(axis=1)
    alone = minimised(one, np.column_stack([values[start], np.tile(p.nominal, (40, 1))]), range(4))[1]
    assert (lowest <= alone + 1e-9).all()
    np.testing.assert_allclose(one.value(best), lowest, rtol=1e-12)
