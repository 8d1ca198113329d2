"""Expected precision: closed forms and integrals on the toy, the spread and the intervals of toys, a table of tHj."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from bank_examples import toy_bank
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.neyman import BeltSettings, make_belt
from bmem.calibration.power import Expectation, Power, power_at
from bmem.calibration.toys import ToyScan
from bmem.calibration.yardstick import yardstick_coefficients
from bmem.errors import InputError, RangeError
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.process.thj import THJ
from bmem.process.toy import LinearGaussian
from bmem.rng import generator, numpy_generator

RESOLVED = LinearGaussian(phases=(0.0, 2.1, -2.1))
TRUTHS = np.array([-1.1, 0.7, 2.4])
LIMIT = 4.5
"""Standard errors, two-sided: a false-alarm rate of 7e-6 each."""


@pytest.fixture(scope="module")
def bank() -> Bank:
    return toy_bank(RESOLVED, 8000, (0.0, 2.0, 4.0), seed=1)


@pytest.fixture(scope="module")
def found(bank: Bank) -> Power:
    return power_at(bank, TRUTHS)


def integral(process: LinearGaussian, theta: float, reco: bool) -> float:
    """E[s²] by a sum over a grid of two observables."""
    axis = torch.linspace(-9, 9, 361, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    parts = (process.integrals(x) if reco else process.components(x)).numpy()
    angle = np.array([theta, theta + 1e-4, theta - 1e-4])
    b = process.basis(torch.tensor(angle)[:, None]).numpy()
    density = parts @ b.T / (b @ process.fiducial().numpy())
    score = (np.log(density[:, 1]) - np.log(density[:, 2])) / 2e-4
    return float((density[:, 0] * score**2).sum() * (axis[1] - axis[0]) ** 2)


def test_information_is_the_integral(found: Power) -> None:
    """Three truths, reco and hard and their ratio: 9 pulls, and errors of less than 5 %."""
    for i, truth in enumerate(TRUTHS):
        reco, hard = integral(RESOLVED, truth, True), integral(RESOLVED, truth, False)
        assert abs(found.reco[i] - reco) < LIMIT * found.reco_error[i]
        assert abs(found.hard[i] - hard) < LIMIT * found.hard_error[i]
        assert abs(found.kept[i] - reco / hard) < LIMIT * found.kept_error[i]
    assert (found.reco_error < 0.05 * found.reco).all()
    assert (found.kept_error < found.reco_error / found.hard).all()


def test_sigma_is_the_spread_of_toys(bank: Bank, found: Power) -> None:
    """1000 toys of 400 events at 0.7: the spread is known to 2.2 %, σ from the bank to 1 %; corrections in 1/n: 3 %."""
    half, other = bank.halves(numpy_generator(3))
    toys = ToyScan(other, 720).draw(0.7, np.array([0.7]), (1000, 400), numpy_generator(4))
    spread = np.angle(np.exp(1j * (toys.estimates().place - 0.7))).std(ddof=1)
    expected = power_at(half, [0.7])
    error = np.hypot(1 / np.sqrt(2000), expected.sigma_error(400)[0] / expected.sigma(400)[0])
    assert spread / expected.sigma(400)[0] == pytest.approx(1, abs=0.03 + LIMIT * error)
    assert expected.sigma(400)[0] == pytest.approx(found.sigma(400)[1], rel=0.1)


def test_rate_is_that_of_the_cross_section(found: Power) -> None:
    """σ = Σ σ_k (1 + m_k cos(θ - φ_k)), differentiated by hand."""
    strengths, m, phases = RESOLVED.strengths.numpy(), RESOLVED.modulation.numpy(), RESOLVED.phases.numpy()
    offset = TRUTHS[:, None] - phases
    sigma = (1 + m * np.cos(offset)) @ strengths
    slope = -(m * np.sin(offset)) @ strengths
    np.testing.assert_allclose(found.fiducial, sigma)
    np.testing.assert_allclose(found.rate, (slope / sigma) ** 2)
    np.testing.assert_allclose(found.sigma(50, rate=True), 1 / np.sqrt(50 * (found.reco + found.rate)))


def test_needed_events_reach_the_precision(found: Power) -> None:
    events = found.events_needed(0.05, hard=True)
    for i, n in enumerate(events):
        assert found.sigma(n, hard=True)[i] == pytest.approx(0.05)
    np.testing.assert_allclose(found.luminosity_needed(0.05, hard=True) * found.fiducial, events)
    assert (found.events_needed(0.05) > events).all()


def test_noise_is_no_information(bank: Bank) -> None:
    """Scores that are blurred keep less of the information, though their own variance grows."""
    noise = np.exp(0.8 * numpy_generator(5).standard_normal(bank.integrals.shape))
    blurred = power_at(replace(bank, integrals=bank.integrals * noise), TRUTHS)
    clean = power_at(bank, TRUTHS)
    assert (blurred.reco < 0.8 * clean.reco).all()
    np.testing.assert_allclose(blurred.hard, clean.hard)


def test_no_information_is_an_infinite_sigma() -> None:
    """An even likelihood says nothing at 0 to first order, exactly; its interval is finite all the same."""
    even = toy_bank(LinearGaussian(phases=(0.0, 0.0, 0.0), modulation=(-0.9, 0.8, 0.9)), 3000, (0.0, 2.0), seed=6)
    found = power_at(even, [0.0])
    assert found.reco[0] == found.hard[0] == 0
    assert np.isnan(found.kept[0])
    assert found.sigma(100)[0] == found.events_needed(0.1)[0] == np.inf
    assert 0 < Expectation.of(even, 0.0).interval(100, 0.683).length < np.pi


def test_expected_interval_is_the_median_of_toys(bank: Bank) -> None:
    """Length of the profile interval of 600 toys of 400 events: the median within 5 % (its error is 1 %)."""
    expected = Expectation.of(bank, 0.7).interval(400, 0.683)
    toys = ToyScan(bank, 720).draw(0.7, np.array([0.7]), (600, 400), numpy_generator(8))
    inside = toys.curves - toys.minima().value[:, None] <= stats.chi2.ppf(0.683, 1)
    median = np.median(inside.sum(axis=1)) * 2 * np.pi / 720
    assert expected.length == pytest.approx(median, rel=0.05)
    assert expected.contains(0.7)
    assert expected.length == pytest.approx(2 * power_at(bank, [0.7]).sigma(400)[0], rel=0.06)


def test_a_belt_gives_its_own_threshold(bank: Bank) -> None:
    belt = make_belt(bank, 100, 3, BeltSettings(points=7, toys=400, levels=(0.683,), grid=60, halvings=0))
    expectation = Expectation.of(bank, 0.7)
    region = expectation.interval(100, 0.683, belt)
    ends = np.array(region.intervals[0])
    curve, lowest = expectation.curve(ends, 100), expectation.curve(np.linspace(-np.pi, np.pi, 721), 100).min()
    np.testing.assert_allclose(curve - lowest, belt.critical_value(ends, 0.683), atol=2e-3)
    with pytest.raises(InputError, match="for 100 events, not for 90"):
        expectation.interval(90, 0.683, belt)
    with pytest.raises(InputError, match="another parameter, process or other networks"):
        Expectation.of(replace(bank, fiducial=2 * bank.fiducial), 0.7).interval(100, 0.683, belt)


def test_needed_events_leave_the_wanted_length(bank: Bank) -> None:
    expectation = Expectation.of(bank, 0.7)
    events = expectation.events_needed(0.5, 0.954)
    assert expectation.interval(round(events), 0.954).length == pytest.approx(0.5, rel=0.01)


def test_replicas_that_disagree_set_a_limit(bank: Bank) -> None:
    """A likelihood for α and one for α + 0.6: the region holds both estimates, and four times the events are needed for the
    same total length, as each half of it is half as long (to 5 %: the likelihoods are no parabolas)."""
    basis: Any = bank.basis
    turned = MorphingBasis(basis.parameters, lambda theta: basis.function(theta - 0.6))
    grid = np.linspace(-np.pi, np.pi, 9)[:, None]
    matrix = np.linalg.lstsq(basis.value(grid), turned.value(grid), rcond=None)[0]
    integrals = np.concatenate([bank.integrals, bank.integrals @ matrix.T])
    both = replace(bank, integrals=integrals, fiducial=np.concatenate([bank.fiducial, bank.fiducial @ matrix.T]))
    one, two = (Expectation.of(b, 0.7).interval(500, 0.683) for b in (bank, both))
    assert one.contains(0.7)
    assert not one.contains(1.3)
    np.testing.assert_array_equal(two.contains([0.7, 1.3]), True)
    length = Expectation.of(bank, 0.7).interval(200, 0.683).length
    assert Expectation.of(both, 0.7).events_needed(length, 0.683) == pytest.approx(800, rel=0.05)


def test_expected_curve_is_never_below_its_truth(bank: Bank) -> None:
    """The minimum of E[-2 log p(α)] is at the truth (Gibbs' inequality), within 5 standard errors of the bank."""
    expectation, found = Expectation.of(bank, 0.7), power_at(bank, [0.7])
    grid = np.linspace(-np.pi, np.pi, 721)
    offset = grid[expectation.curve(grid, 1).argmin()] - 0.7
    assert abs(offset) < 5 * found.sigma(found.effective[0])[0] + np.pi / 720


def test_survives_json(found: Power) -> None:
    again = Power.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.sigma(10), found.sigma(10))


def test_what_the_bank_cannot_say_is_refused(bank: Bank, found: Power) -> None:
    expectation = Expectation.of(bank, 0.7)
    with pytest.raises(RangeError, match="to say what 100000 events can tell it must be worth 1000000"):
        expectation.interval(100_000, 0.683)
    with pytest.raises(RangeError, match="the most that this bank can stand for"):
        expectation.events_needed(1e-3, 0.683)
    with pytest.raises(RangeError, match="are needed for its information"):
        power_at(toy_bank(RESOLVED, 40, (0.0, 2.0, 4.0), seed=2), [0.7])
    for wrong in (0, 1.5):
        with pytest.raises(InputError, match="confidence levels"):
            expectation.interval(100, wrong)
    with pytest.raises(InputError, match="length of an interval"):
        expectation.events_needed(7.0, 0.683)
    with pytest.raises(InputError, match="positive number of events"):
        found.sigma(0)
    with pytest.raises(InputError, match="positive number of events"):
        expectation.interval(0, 0.683)
    with pytest.raises(InputError, match="wanted precision"):
        found.events_needed(-1.0)


TABLE = {15: (6.9, 6.7), 30: (5.0, 4.5), 45: (4.6, 3.5), 60: (5.1, 3.2), 90: (8.6, 3.7), 120: (17.5, 5.7), 150: (43, 12)}
"""σ(α) in degrees of 100 tHj events at 13 TeV without cuts, t, H and j measured: shape, shape and rate; an independent
calculation with other matrix elements, printed to two digits."""


@pytest.mark.slow
def test_thj_table() -> None:
    """Within 4.5 standard errors and the rounding of the table."""
    process = THJ()
    angles = mixture_grid(process)
    hard = process.sample(60_000, angles[torch.arange(60_000) % len(angles)], generator(21, "hard"))
    exact = yardstick_coefficients(process, hard.x, torch.ones(len(hard)), process.total.components.numpy())
    bank = Bank.of_mixture(exact, exact, mixture_coefficients(process).numpy(), MorphingBasis.of(process))
    found = power_at(bank, np.radians(list(TABLE)))
    np.testing.assert_allclose(found.reco, found.hard, rtol=1e-9)
    shape, both = np.degrees(found.sigma(100)), np.degrees(found.sigma(100, rate=True))
    error = np.degrees(found.sigma_error(100))
    for i, (expected, with_rate) in enumerate(TABLE.values()):
        rounding = 0.5 if expected >= 20 else 0.05
        assert abs(shape[i] - expected) < LIMIT * error[i] + rounding
        assert abs(both[i] - with_rate) < LIMIT * error[i] * (both[i] / shape[i]) ** 3 + (0.5 if with_rate >= 10 else 0.05)
