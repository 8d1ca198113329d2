"""Profile intervals against closed forms, against MINOS, and their coverage."""

import json

import numpy as np
import pytest
from iminuit import Minuit
from likelihood_examples import ANGLE, FALSE_ALARM, MIXTURE, PLANE, RESOLVED, YUKAWA, counts, toy_sample
from scipy import stats
from scipy.optimize import brentq

from bmem.errors import FitError, InputError
from bmem.inference.intervals import IntervalSet, profile_intervals, regions
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter

FLAT = [1.0, 0.0, 0.0, 0.0]
LEVELS = (0.683, 0.954)


def intervals(objective: NegativeTwoLogLikelihood, levels: tuple[float, ...] = LEVELS) -> tuple[IntervalSet, ...]:
    return profile_intervals(objective, fit(objective), levels)


def test_a_poisson_rate_ends_where_its_likelihood_ratio_says():
    basis = MorphingBasis((Parameter("mu", (0.1, 10.0)),), lambda theta: theta)
    found = intervals(NegativeTwoLogLikelihood(np.ones((9, 1)), [1.0], basis, luminosity=3.0))
    for level, interval in zip(LEVELS, found, strict=True):
        q = stats.norm.isf((1 - level) / 2) ** 2
        ratio = lambda mu, q=q: 2 * (3 * mu - 9 - 9 * np.log(mu / 3)) - q  # noqa: E731
        ((lower, upper),) = interval.intervals
        assert lower == pytest.approx(brentq(ratio, 0.3, 3.0, xtol=1e-12), abs=1e-4)
        assert upper == pytest.approx(brentq(ratio, 3.0, 9.9, xtol=1e-12), abs=1e-4)
        assert not interval.at_boundary


@pytest.mark.parametrize("index", [0, 1])
def test_profiles_over_another_parameter_agree_with_minos(index):
    objective = NegativeTwoLogLikelihood(counts(50, 30, 20), [1.0, 1.0, 1.0], PLANE)
    (found,) = profile_intervals(objective, fit(objective), (0.683,), index)
    minuit = Minuit(objective, 0.3, 0.2)
    minuit.tol = 1e-4
    minuit.migrad()
    minuit.minos(cl=0.683)
    name = PLANE.parameters[index].name
    value, errors = minuit.values[name], minuit.merrors[name]
    np.testing.assert_allclose(found.intervals, [(value + errors.lower, value + errors.upper)], atol=2e-4)


def twins(odd: float = 0.0) -> NegativeTwoLogLikelihood:
    """Minima at ±51.3° with hundreds of events; the odd events prefer the positive one."""
    plus, minus = [1.0, 0.8, 0.0, 0.0], [1.0, -0.8, 0.0, 0.0]
    return NegativeTwoLogLikelihood([plus] * 300 + [minus] * 100 + [[1.0, 0.0, odd, 0.0]], FLAT, YUKAWA)


def test_twin_minima_give_two_intervals():
    (one, two) = intervals(twins())
    for interval in (one, two):
        (low, high) = interval.intervals
        assert low == pytest.approx((-high[1], -high[0]), abs=1e-4)
        assert interval.contains([-np.arccos(0.625), np.arccos(0.625)]).all()
        assert not interval.contains(0.0)
    assert two.length > one.length
    minuit = Minuit(twins(), 0.9)
    minuit.tol = 1e-4
    minuit.migrad()
    minuit.minos(cl=0.683)
    errors = minuit.merrors["alpha"]
    expected = (minuit.values[0] + errors.lower, minuit.values[0] + errors.upper)
    assert one.intervals[1] == pytest.approx(expected, abs=1e-4)


def test_a_disfavoured_twin_drops_out_of_the_narrower_region():
    """The odd event puts the twin 2 log[(1 + s)/(1 - s)] = 1.35 higher (s = 0.42 · 0.78)."""
    one, two = intervals(twins(odd=0.42))
    assert len(one.intervals) == 1
    assert len(two.intervals) == 2


def test_precision_of_the_ends():
    objective = twins(odd=0.42)
    result = fit(objective)
    for level, interval in zip(LEVELS, profile_intervals(objective, result), strict=True):
        for end in np.ravel(interval.intervals):
            height = float(objective.value([end])) - result.best.value
            assert height == pytest.approx(stats.chi2.ppf(level, 1), abs=1e-5)


def test_an_interval_may_wrap_around_the_period():
    events = np.tile([1.0, -0.8, 0.05, 0.0], (20, 1))
    (one, _) = intervals(NegativeTwoLogLikelihood(events, FLAT, YUKAWA))
    ((lower, upper),) = one.intervals
    assert -np.pi <= lower < np.pi < upper
    assert one.contains([np.pi, -np.pi, 3 * np.pi]).all()
    assert not one.contains([0.0, 2 * np.pi]).any()
    assert one.length == pytest.approx(upper - lower)
    assert one.length < np.pi


def test_a_likelihood_that_says_nothing_excludes_nothing():
    one, two = intervals(NegativeTwoLogLikelihood(np.tile(FLAT, (5, 1)), FLAT, YUKAWA))
    for interval in (one, two):
        assert interval.whole
        assert interval.length == pytest.approx(2 * np.pi)
        assert interval.contains(np.linspace(-10, 10, 50)).all()
        assert str(interval) == "everything"


def test_a_gap_in_the_circle():
    """A weak likelihood excludes a gap at ±180° only."""
    events = np.tile([1.0, 0.8, 0.0, 0.0], (1, 1))
    one, two = intervals(NegativeTwoLogLikelihood(events, FLAT, YUKAWA))
    assert len(one.intervals) == 1
    assert one.contains(0.0)
    assert not one.contains(np.pi)
    assert two.length > one.length
    assert 2 * np.log(1.8 / (1 + 0.8 * np.cos(one.intervals[0][1]))) == pytest.approx(stats.chi2.ppf(0.683, 1), abs=1e-6)


def test_a_region_may_end_at_a_boundary():
    objective = NegativeTwoLogLikelihood(counts(0, 5), [1.0, 1.0], MIXTURE)
    (interval,) = intervals(objective, (0.683,))
    ((lower, upper),) = interval.intervals
    assert interval.at_boundary
    assert upper == 0.999
    assert lower == pytest.approx(0.999 * np.exp(-stats.chi2.ppf(0.683, 1) / 10), abs=1e-4)
    weak = NegativeTwoLogLikelihood([[1.0, 1.1]], [1.0, 1.0], MIXTURE)
    (interval,) = intervals(weak, (0.683,))
    assert interval.whole
    assert interval.at_boundary


def test_regions_of_a_cosine():
    def curve(x):
        return np.cos(2 * x) - 0.5

    grid = np.linspace(-np.pi, np.pi, 100, endpoint=False)
    found = regions(curve, grid, curve(grid), 2 * np.pi)
    expected = [(-5 * np.pi / 6, -np.pi / 6), (np.pi / 6, 5 * np.pi / 6)]
    np.testing.assert_allclose(found, expected, atol=1e-8)
    found = regions(lambda x: -curve(x), grid, -curve(grid), 2 * np.pi)
    np.testing.assert_allclose(found, [(-np.pi / 6, np.pi / 6), (5 * np.pi / 6, 7 * np.pi / 6)], atol=1e-8)
    found = regions(lambda x: -curve(x), grid, -curve(grid), None)
    assert len(found) == 3
    assert found[0][0] == grid[0]
    assert regions(lambda x: x**2 + 1, grid, grid**2 + 1, 2 * np.pi) == ()


def test_printing_in_degrees_and_in_numbers():
    angle = IntervalSet(ANGLE, 0.683, ((-np.pi / 4, -np.pi / 8), (np.pi / 2, np.pi)))
    assert str(angle) == "[-45°, -22.5°] ∪ [90°, 180°]"
    assert str(IntervalSet(Parameter("mu", (0.0, 9.0)), 0.683, ((0.5, 1.25),))) == "[0.5, 1.25]"


def test_json_and_back():
    for interval in intervals(twins(0.5)):
        assert IntervalSet.from_dict(json.loads(json.dumps(interval.to_dict()))) == interval
    with pytest.raises(InputError, match="interval set"):
        IntervalSet.from_dict({"level": 0.5})


def test_bad_input():
    objective = twins()
    result = fit(objective)
    for level in (0.0, 1.0, 68.3):
        with pytest.raises(InputError, match="levels"):
            profile_intervals(objective, result, (level,))
    other = NegativeTwoLogLikelihood(np.tile([1.0, -0.8, 0.0, 0.0], (400, 1)), FLAT, YUKAWA)
    with pytest.raises(FitError, match="fit again"):
        profile_intervals(other, result)


def test_coverage_on_the_toy():
    """400 samples of 200 events at the seam of the period: the counts that contain the truth are binomial; tests at
    false-alarm rate 2e-5 each. They would notice coverages off by 0.10 and 0.05."""
    basis, fiducial = MorphingBasis.of(RESOLVED), RESOLVED.fiducial().numpy()
    events = toy_sample(RESOLVED, 80_000, np.pi, seed=7).reshape(400, 200, 3)
    found = [intervals(NegativeTwoLogLikelihood(e, fiducial, basis)) for e in events]
    for i, level in enumerate(LEVELS):
        covered = sum(bool(f[i].contains(np.pi)) for f in found)
        assert stats.binomtest(covered, 400, level).pvalue > FALSE_ALARM
