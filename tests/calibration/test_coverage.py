"""Coverage: exact binomial intervals against their definition, and verdicts with the stated false-alarm rate."""

import json

import numpy as np
import pytest
from scipy import stats

from bmem.calibration.coverage import ONE_SIGMA, Coverage, clopper_pearson, coverage_of
from bmem.errors import InputError

LEVELS = [0.683, 0.954]


def test_clopper_pearson_solves_its_definition():
    """At the lower end P(>= k) and at the upper end P(<= k) equal half of what is left of the level."""
    k, n = np.array([1, 5, 19, 12]), 20
    lower, upper = clopper_pearson(k, n)
    tail = (1 - ONE_SIGMA) / 2
    np.testing.assert_allclose(stats.binom.sf(k - 1, n, lower), tail, rtol=1e-9)
    np.testing.assert_allclose(stats.binom.cdf(k, n, upper), tail, rtol=1e-9)


def test_clopper_pearson_reaches_the_ends():
    lower, upper = clopper_pearson([0, 20], [20, 20])
    assert lower[0] == 0
    assert upper[1] == 1
    assert 0 < upper[0] < 0.1
    assert 0.9 < lower[1] < 1


def simulated(true_levels, trials, seed):
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=trials)) < stats.norm.isf((1 - np.asarray(true_levels)) / 2)[:, None]


def test_verdicts():
    exact = coverage_of(simulated(LEVELS, 2000, 1), LEVELS)
    assert exact.verdicts == ("covers", "covers")
    narrow = coverage_of(simulated([0.6, 0.9], 2000, 2), LEVELS)
    assert narrow.verdicts == ("undercovers", "undercovers")
    assert not narrow.passed
    wide = coverage_of(simulated([0.75, 0.99], 2000, 3), LEVELS)
    assert wide.verdicts == ("overcovers", "overcovers")
    assert wide.passed


def test_false_alarm_rate_is_the_stated_one():
    """Of 2000 exact calibrations at most 5 % are blamed; more than 5 % + 4.1 standard errors happens with 2e-5."""
    found = [coverage_of(simulated(LEVELS, 60, seed), LEVELS, false_alarm=0.05) for seed in range(2000)]
    blamed = [set(one.verdicts) != {"covers"} for one in found]
    assert 0 < np.mean(blamed) < 0.05 + 4.1 * np.sqrt(0.05 * 0.95 / 2000)


def test_round_trip_and_bad_input():
    result = coverage_of(simulated(LEVELS, 20, 4), LEVELS)
    again = Coverage.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    assert again.to_dict() == result.to_dict()
    assert again.verdicts == result.verdicts
    assert again.covered.dtype == np.int64
    with pytest.raises(InputError, match="between 0 and 1"):
        coverage_of([[True]], [68.3])
    with pytest.raises(InputError, match="needs 2 rows"):
        coverage_of([[True]], LEVELS)
