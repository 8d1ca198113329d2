"""Pulls against known Gaussians. A statistical test fails by chance with probability FALSE_ALARM at most."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from bmem.calibration.pulls import PullSummary, short_way, summarise_pulls
from bmem.errors import ArtifactError, InputError

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)


def measurements(n, bias=0.0, size_of_error=1.0, seed=1):
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.5, 2.0, n)
    return 0.7 + bias + rng.normal(size=n) * errors / size_of_error, errors


def pulls_of(*args, **known):
    estimates, errors = measurements(*args, **known)
    return summarise_pulls(estimates, errors, truth=0.7)


def test_good_measurements_pass():
    """Three averages of 4000 pulls lie within LIMIT standard errors, two p-values above FALSE_ALARM: false alarm 1e-4."""
    summary = pulls_of(4000)
    assert abs(summary.mean) < LIMIT * summary.mean_error
    assert abs(summary.width - 1) < LIMIT * summary.width_error
    assert abs(summary.bias) < LIMIT * summary.bias_error
    assert min(summary.normality_p, summary.standard_p) > FALSE_ALARM
    assert summary.mean_error == pytest.approx(1 / math.sqrt(4000), rel=0.1)
    assert summary.width_error == pytest.approx(1 / math.sqrt(8000), rel=0.1)


@pytest.mark.parametrize(("bias", "size_of_error"), [(0.3, 1.0), (0.0, 1.5), (0.0, 0.7)])
def test_bias_and_wrong_errors_are_seen(bias, size_of_error):
    summary = pulls_of(4000, bias, size_of_error)
    assert summary.standard_p < FALSE_ALARM
    assert summary.normality_p > FALSE_ALARM
    assert summary.bias == pytest.approx(bias, abs=LIMIT * summary.bias_error)
    assert summary.width == pytest.approx(1 / size_of_error, abs=LIMIT * summary.width_error + 0.03 * bias)


def test_errors_of_the_summary_are_the_scatter_of_repetitions():
    """500 repetitions of 50 pulls: the scatter, known to 3.2 %, is that of the quoted errors (false alarm 1e-4 in all)."""
    repeated = [pulls_of(50, seed=seed) for seed in range(500)]
    for name in ("mean", "width", "bias", "spread"):
        scatter = np.std([getattr(summary, name) for summary in repeated], ddof=1)
        quoted = np.mean([getattr(summary, f"{name}_error") for summary in repeated])
        assert scatter == pytest.approx(quoted, rel=LIMIT * 0.032), name


def test_an_unusable_measurement_is_counted_not_dropped():
    estimates, errors = measurements(20)
    errors[3], errors[4], estimates[5] = np.nan, 0.0, np.inf
    summary = summarise_pulls(estimates, errors, truth=0.7)
    assert (summary.unusable, summary.usable) == (3, 17)
    assert np.flatnonzero(np.isnan(summary.pulls)).tolist() == [3, 4, 5]
    with pytest.raises(InputError, match="only 2 of 3"):
        summarise_pulls([1.0, 2.0, 3.0], [1.0, 1.0, np.nan], 2.0)
    with pytest.raises(InputError, match="one length"):
        summarise_pulls([1.0, 2.0, 3.0], [1.0, 1.0], 2.0)


def test_angles_differ_the_short_way_round():
    assert short_way(np.array([3.0 - -3.0]), 2 * math.pi)[0] == pytest.approx(6 - 2 * math.pi)
    summary = summarise_pulls([3.1, -3.1, 3.0], [0.1, 0.1, 0.1], math.pi, period=2 * math.pi)
    assert abs(summary.bias) < 0.1


def test_json_round_trip_keeps_everything():
    estimates, errors = measurements(20)
    errors[3] = np.nan
    summary = summarise_pulls(estimates, errors, truth=0.7)
    again = PullSummary.from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.pulls, summary.pulls)
    assert again.to_dict() == summary.to_dict()
    with pytest.raises(ArtifactError, match="bogus"):
        PullSummary.from_dict(summary.to_dict() | {"bogus": 1})
