"""Calibration over the period: on the toy, where the belt covers exactly and everything else is known too."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bank_examples import toy_bank
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt, BeltSettings, make_belt
from bmem.calibration.period import LEVELS, PeriodPoint, PeriodScan, PeriodSettings
from bmem.calibration.period_verdict import TARGETS, PeriodCalibration
from bmem.calibration.toy_intervals import METHODS
from bmem.calibration.toys import Treatment
from bmem.errors import ArtifactError, InputError, RangeError
from bmem.process.toy import LinearGaussian
from bmem.rng import numpy_generator

QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
DEGREES = tuple(range(0, 181, 15))
TOYS = 4000
RESOLVED = LinearGaussian(phases=(0.0, 2.1, -2.1))
FALSE_ALARM = 2e-5


def calibrate(bank: Bank, degrees: tuple[int, ...], size: int, settings: BeltSettings) -> PeriodCalibration:
    halves = bank.halves(numpy_generator(1))
    belts = [make_belt(half, size, h, settings) for h, half in enumerate(halves)]
    scan = PeriodScan(halves, belts, 3, PeriodSettings(size, TOYS))
    return PeriodCalibration(tuple(scan.at(np.radians(d)) for d in degrees))


@pytest.fixture(scope="module")
def period() -> PeriodCalibration:
    bank = toy_bank(LinearGaussian(), 2000, QUARTERS, seed=1)
    return calibrate(bank, DEGREES, 50, BeltSettings(toys=TOYS, levels=LEVELS, points=25, halvings=0))


def errors(result: PeriodCalibration, method: str) -> np.ndarray:
    """Of coverages: the toys measured, the toys of the belts, and what the halves of the bank tell, [L]."""
    binomial = result.levels * (1 - result.levels) * (1 / TOYS + 1 / (2 * TOYS))
    return np.sqrt(binomial + result.common_error(method) ** 2)


def test_belt_covers_at_all_levels_and_13_truths(period: PeriodCalibration) -> None:
    """12 levels at 13 truths; false alarm 2e-5 over all 156. The targets hold as well."""
    deviation = period.coverage("Feldman-Cousins") - period.levels
    limit = stats.norm.isf(FALSE_ALARM / 2 / deviation.size)
    assert (np.abs(deviation) < limit * errors(period, "Feldman-Cousins")).all()
    verdict = period.verdict("Feldman-Cousins")
    assert verdict.within
    assert "within the targets" in str(verdict)


def test_other_methods_are_found_out(period: PeriodCalibration) -> None:
    """The sign of the toy is hardly resolved: χ² thresholds undercover at 90°, and more so the curvature error."""
    for method in ("Hesse", "profile"):
        verdict = period.verdict(method)
        assert not verdict.within
        assert any(np.isclose(truth, np.pi / 2) for truth, _ in verdict.undercovers)


def test_posterior_covers_on_average_over_its_prior(period: PeriodCalibration) -> None:
    """A flat prior makes highest-density regions cover on average over the circle: 0° and 180° count half. 4 errors."""
    weights = np.ones(len(DEGREES))
    weights[[0, -1]] = 0.5
    mean = weights @ period.coverage("highest density") / weights.sum()
    average = errors(period, "highest density") / np.sqrt(len(DEGREES)) + period.common_error("highest density")
    # the trapezoid over 13 truths, not the circle: coverage varies by 0.1 between them
    assert (np.abs(mean - period.levels) < 4 * average + 0.01).all()


def test_covering_the_magnitude_is_easier(period: PeriodCalibration) -> None:
    for method in METHODS:
        assert (period.coverage(method, magnitude=True) >= period.coverage(method) - 1e-12).all()
    np.testing.assert_array_equal(period.coverage("profile", True)[0], period.coverage("profile")[0])


@pytest.mark.slow
def test_all_methods_agree_for_many_events() -> None:
    """500 events of a resolved toy: the same coverage within 2.5 %, the same lengths within 4 %."""
    settings = BeltSettings(toys=2000, levels=LEVELS, points=5, halvings=0)
    result = calibrate(toy_bank(RESOLVED, 10_000, QUARTERS, seed=1), (45, 90), 500, settings)
    columns = [result.level(level) for level in TARGETS]
    for method in METHODS:
        np.testing.assert_allclose(result.coverage(method)[:, columns], [list(TARGETS)] * 2, atol=0.025)
        np.testing.assert_allclose(result.length(method)[:, columns], result.length("profile")[:, columns], rtol=0.04)
    bias, error = result.bias()
    assert (np.abs(bias) < 4.3 * error).all()
    for point in result.points:
        assert point.pull_width.mean() == pytest.approx(1, abs=0.05)


def test_perfect_response_is_the_yardstick() -> None:
    """Where the integrals are those of x_hard itself, every toy has the estimate of the yardstick."""
    bank = toy_bank(LinearGaussian(), 2000, QUARTERS, seed=2).known()
    halves = bank.halves(numpy_generator(1))
    belts = [make_belt(half, 50, h, BeltSettings(toys=1000, levels=LEVELS, points=9)) for h, half in enumerate(halves)]
    result = PeriodCalibration((PeriodScan(halves, belts, 3, PeriodSettings(50, 400)).at(1.0),))
    np.testing.assert_allclose(result.excess_bias()[0], 0, atol=1e-12)
    np.testing.assert_allclose(result.spread(), result.spread(known=True), rtol=1e-12)
    assert result.points[0].difference.max() < 1e-9


def test_result_survives_json(period: PeriodCalibration) -> None:
    text = json.dumps(period.to_dict(), allow_nan=False)
    back = PeriodCalibration.from_dict(json.loads(text))
    np.testing.assert_array_equal(back.coverage("profile"), period.coverage("profile"))
    assert np.isnan(back.points[0].right_sign).all()
    with pytest.raises(ArtifactError, match="no points"):
        PeriodCalibration.from_dict({"points": []})


def test_verdict_blames_a_perfect_method_rarely() -> None:
    """2000 verdicts on binomial coverages without common errors: blamed in 1 % of them (5 σ: 1.1 %)."""
    rng, toys = np.random.default_rng(5), 4000
    blamed = 0
    for _ in range(2000):
        points = tuple(perfect_point(rng, toys, 0.1 * a) for a in range(6))
        verdict = PeriodCalibration(points).verdict("profile")
        blamed += bool(verdict.undercovers or verdict.overcovers)
    assert blamed / 2000 < 0.01 + 0.011


def perfect_point(rng: np.random.Generator, toys: int, truth: float) -> PeriodPoint:
    levels = np.array(list(TARGETS))
    covered = rng.binomial(toys // 2, levels, size=(2, len(METHODS), 2)) / (toys // 2)
    two = np.ones(2)
    lengths = np.ones((2, len(METHODS), 2))
    return PeriodPoint(truth, 10, toys, levels, *[*[two] * 10, covered, covered, lengths])


def small(bank_events: int = 500) -> tuple[tuple[Bank, Bank], list[Belt]]:
    halves = toy_bank(LinearGaussian(), bank_events, QUARTERS, seed=4).halves(numpy_generator(1))
    settings = BeltSettings(toys=1000, levels=LEVELS, points=5, halvings=0)
    return halves, [make_belt(half, 20, h, settings) for h, half in enumerate(halves)]


def test_a_belt_for_another_configuration_is_refused() -> None:
    halves, belts = small()
    with pytest.raises(InputError, match="20, 'marginal'"):
        PeriodScan(halves, belts, 1, PeriodSettings(size=21))
    with pytest.raises(InputError, match="'drawn'"):
        PeriodScan(halves, belts, 1, PeriodSettings(20, treatment=Treatment("drawn")))
    with pytest.raises(InputError, match="levels"):
        PeriodScan(halves, [belts[0], replace(belts[1], levels=belts[1].levels / 2)], 1, PeriodSettings(20))


def test_a_bank_that_is_too_small_is_refused() -> None:
    halves, belts = small()
    few = [half.select(np.arange(30)) for half in halves]
    with pytest.raises(RangeError, match=r"is worth|cannot be weighted"):
        PeriodScan(few, belts, 1, PeriodSettings(20)).at(1.0)


def test_bad_settings_are_refused() -> None:
    bad: list[dict[str, Any]] = [{"size": 0}, {"toys": 10}, {"grid": 3}]
    for settings in bad:
        with pytest.raises(InputError):
            PeriodSettings(**settings)
