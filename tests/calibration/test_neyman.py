"""The Neyman construction: exact coverage where Wilks' theorem fails, and a belt that refuses what it was not made for."""

from dataclasses import replace

import numpy as np
import pytest
from bank_examples import exact_coefficients, toy_bank, toy_events
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.mirror import fold_pieces
from bmem.calibration.neyman import Belt, BeltSettings, make_belt
from bmem.calibration.toys import ToyScan, minima, quantile, true_values
from bmem.errors import ArtifactError, InputError, RangeError
from bmem.inference.minima import fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.rng import numpy_generator

FALSE_ALARM = 2e-5
EVENTS, TOYS, TRIALS = 100, 4000, 1000
TOY = LinearGaussian()
BASIS = MorphingBasis.of(TOY)
RESOLVED = LinearGaussian(phases=(0.0, 2.1, -2.1))
QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)


@pytest.fixture(scope="module")
def belt() -> Belt:
    return make_belt(toy_bank(TOY, 15_000, QUARTERS, seed=1), EVENTS, seed=1, settings=BeltSettings(toys=TOYS))


def fresh_statistics(process: LinearGaussian, angle: float) -> np.ndarray:
    """t at the truth of ``TRIALS`` experiments of new events, not from the bank."""
    sample = toy_events(process, EVENTS * TRIALS, angle, seed=2)
    curves = Bank.of([sample], MorphingBasis.of(process)).log_densities(np.append(scan(), angle)[:, None])
    curves = -2 * curves.reshape(TRIALS, EVENTS, -1).sum(axis=1)
    return curves[:, -1] - minima(curves[:, :-1], scan(), periodic=True).value


def scan() -> np.ndarray:
    return true_values(TOY.parameters[0], 181)


def measurement(angle: float, seed: int, n: int = EVENTS) -> NegativeTwoLogLikelihood:
    return NegativeTwoLogLikelihood.of(toy_events(TOY, n, angle, seed).observed, BASIS)


def z_of_coverage(covered: np.ndarray, level: float) -> float:
    """Deviation from ``level`` in units of the binomial errors of the trials and of the belt's toys."""
    return (covered.mean() - level) / np.sqrt(level * (1 - level) * (1 / TRIALS + 1 / TOYS))


def test_coverage_is_exact_at_13_values_where_profile_intervals_undercover(belt: Belt) -> None:
    """68.3 and 95.4 %, at values of the belt and between them; false alarm 2e-5 over all 26 comparisons.

    The profile interval, whose threshold is the χ² quantile, must fail the same test at 90° and 135°.
    """
    limit = stats.norm.isf(FALSE_ALARM / 52)
    for degrees in (-165, -150, -110, -90, -64, -30, 0, 15, 45, 90, 105, 135, 180):
        angle = np.radians(degrees)
        t = fresh_statistics(TOY, angle)
        for level in (0.683, 0.954):
            assert abs(z_of_coverage(t <= belt.critical_value(angle, level), level)) < limit, (degrees, level)
        if degrees in (90, 135):
            assert z_of_coverage(t <= stats.chi2.ppf(0.683, 1), 0.683) < -limit, degrees


def test_interval_holds_exactly_the_values_whose_t_is_not_critical(belt: Belt) -> None:
    x = np.linspace(-np.pi, np.pi, 1001)
    for seed in range(5):
        objective = measurement(1.2, seed)
        t = objective.value(x[:, None]) - fit(objective).best.value
        for level in (0.683, 0.954):
            margin = t - belt.critical_value(x, level)
            clear = np.abs(margin) > 1e-6
            inside = belt.interval(objective, level).contains(x)
            np.testing.assert_array_equal(inside[clear], margin[clear] < 0)


def test_folded_interval_is_the_image_of_the_interval(belt: Belt) -> None:
    for seed in range(5):
        objective = measurement(2.0, seed)
        folded = belt.folded_interval(objective, 0.954)
        image = fold_pieces(belt.interval(objective, 0.954).intervals, 1.0, 2 * np.pi)
        np.testing.assert_allclose(folded.intervals, image, atol=1e-6)


def test_critical_values_are_those_of_chi2_for_many_events() -> None:
    """Wilks, away from ambiguities: within 5 σ of the toys and the 1 % by which the bank moves t_c and t is not yet χ²."""
    bank = toy_bank(RESOLVED, 30_000, QUARTERS, seed=3)
    belt = make_belt(bank, 500, seed=3, settings=BeltSettings(points=5, toys=4000))
    expected = stats.chi2.ppf(belt.levels, 1)[:, None]
    assert (np.abs(belt.critical - expected) < 5 * belt.error + 0.01 * expected).all()
    assert belt.effective.min() > 50_000


def test_toys_do_not_depend_on_the_other_values(belt: Belt) -> None:
    bank = toy_bank(TOY, 500, QUARTERS, seed=4)
    few, many = (make_belt(bank, 10, 5, BeltSettings(points=p, toys=300, halvings=0)) for p in (5, 9))
    np.testing.assert_array_equal(few.critical, many.critical[:, ::2])


def test_marginal_likelihood_of_equal_replicas_is_that_of_one() -> None:
    one = toy_bank(TOY, 1000, QUARTERS, seed=6)
    two = replace(one, integrals=np.repeat(one.integrals, 2, axis=0), fiducial=np.repeat(one.fiducial, 2, axis=0))
    of_one, of_two = (ToyScan(bank, 90).statistics(0.5, (200, 50), numpy_generator(1)) for bank in (one, two))
    np.testing.assert_allclose(of_one, of_two, atol=1e-9)
    belt = make_belt(two, 50, seed=1, settings=BeltSettings(points=5, toys=300))
    values = toy_events(TOY, 50, 0.5, seed=7).observed.values
    replicas = [NegativeTwoLogLikelihood(values[0], one.fiducial[0], BASIS) for _ in range(2)]
    belt.check(MarginalLikelihood(replicas))
    with pytest.raises(InputError, match="networks"):
        belt.check(replicas[0])


def test_minimum_between_grid_points_is_exact_for_a_parabola() -> None:
    x = np.linspace(0, 1, 11)
    curves = np.stack([3 * (x - 0.432) ** 2 + 1, (x + 0.3) ** 2, np.ones(11)])
    found = minima(curves, x, periodic=False)
    np.testing.assert_allclose(found.value, [1, 0.09, 1])
    np.testing.assert_allclose(found.place, [0.432, 0, 0])
    np.testing.assert_allclose(found.error, [1 / np.sqrt(3), np.nan, np.nan])
    angle = 2 * np.pi * np.arange(360) / 360
    turned = minima(-np.cos(angle[None] - 6.281), angle, periodic=True)
    np.testing.assert_allclose(turned.value, -1, atol=1e-8)
    np.testing.assert_allclose(turned.place, 6.281 - 2 * np.pi, atol=1e-6)
    np.testing.assert_allclose(turned.error, np.sqrt(2), rtol=1e-4)


def test_quantile_error_is_the_spread_of_quantiles() -> None:
    """400 repetitions of 2000 exponential numbers; the mean error agrees with the spread within 20 % (5.6 σ)."""
    t = np.random.default_rng(8).exponential(size=(400, 2000))
    values, errors = np.array([quantile(row, 0.683) for row in t]).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)


def test_saved_belt_comes_back(belt: Belt, tmp_path) -> None:
    path = tmp_path / "belt.json"
    belt.save(path, settings={"seed": 1})
    loaded = Belt.load(path)
    objective = measurement(0.3, 9)
    assert loaded.interval(objective, 0.954) == belt.interval(objective, 0.954)
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(ArtifactError, match="checksum"):
        Belt.load(path)


def test_another_configuration_is_refused(belt: Belt) -> None:
    with pytest.raises(InputError, match="100 events, the measurement has 99"):
        belt.interval(measurement(0.3, 10, n=99), 0.683)
    with pytest.raises(RangeError, match="levels"):
        belt.interval(measurement(0.3, 10), 0.9)
    observed = toy_events(TOY, EVENTS, 0.3, 11).observed
    with pytest.raises(InputError, match="extended"):
        belt.check(NegativeTwoLogLikelihood.of(observed, BASIS, luminosity=10.0))
    other = LinearGaussian(strengths=(1.0, 0.5, 0.5))
    with pytest.raises(InputError, match="σ_k differ"):
        belt.check(NegativeTwoLogLikelihood.of(exact_coefficients(TOY.components(_points()), other), BASIS))
    with pytest.raises(InputError, match="basis differ"):
        belt.check(NegativeTwoLogLikelihood.of(observed, MorphingBasis.of(RESOLVED)))
    renamed = MorphingBasis((Parameter("beta", (-np.pi, np.pi), 2 * np.pi),), TOY.basis)
    with pytest.raises(InputError, match="beta"):
        belt.check(NegativeTwoLogLikelihood.of(observed, renamed))


def test_outside_of_the_belt_is_an_error(belt: Belt) -> None:
    with pytest.raises(RangeError, match="outside of the belt"):
        replace(belt, period=None).critical_value(3.3, 0.683)


def test_bad_settings_are_refused() -> None:
    bank = toy_bank(TOY, 100, QUARTERS, seed=12)
    with pytest.raises(RangeError, match="is worth"):
        make_belt(bank, 100, seed=1)
    with pytest.raises(InputError, match="at least one event"):
        make_belt(bank, 0, seed=1)
    for bad in ({"points": 1}, {"levels": (1.2,)}, {"levels": ()}, {"toys": 50}):
        with pytest.raises(InputError):
            BeltSettings(**bad)


def _points():
    return TOY.means[0].expand(EVENTS, 2)


def test_belt_for_a_single_event_and_none(belt: Belt) -> None:
    """One event has an interval of its own belt; a sample without events has no likelihood at all."""
    single = make_belt(
        toy_bank(TOY, 500, QUARTERS, seed=13), 1, seed=1, settings=BeltSettings(points=5, toys=500, halvings=0)
    )
    region = single.interval(measurement(0.3, 14, n=1), 0.954)
    assert region.contains(fit(measurement(0.3, 14, n=1)).theta).all()
    with pytest.raises(InputError, match="100 events, the measurement has 1"):
        belt.interval(measurement(0.3, 14, n=1), 0.954)
    with pytest.raises(InputError, match="no event is left"):
        NegativeTwoLogLikelihood.of(toy_events(TOY, 3, 0.3, 15).observed, BASIS, exclude=[0, 1, 2])
