"""Subsample fits of a process with exactly even likelihood; statistical tests state their false-alarm rate."""

import json

import numpy as np
import pytest
from scipy import stats

from bmem.calibration.score import score_test
from bmem.calibration.subsamples import (
    SubsampleFits,
    SubsampleSettings,
    bootstrap_subsamples,
    disjoint_subsamples,
    fit_subsamples,
)
from bmem.errors import InputError
from bmem.inference.objective import NegativeTwoLogLikelihood

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
TRUTH = np.radians(45)
LEVELS = (0.5, 0.683, 0.9, 0.954)


@pytest.fixture(scope="module")
def events(toy):
    return toy.coefficients(toy.draw(40_000, TRUTH, np.random.default_rng(8)))


@pytest.fixture(scope="module")
def measure(events, basis):
    def run(subsamples, truth=TRUTH, **settings):
        options = SubsampleSettings(**settings)
        return fit_subsamples(events, lambda c: NegativeTwoLogLikelihood.of(c, basis), subsamples, truth, options)

    return run


@pytest.fixture(scope="module")
def large(measure):
    """100 subsamples of 400 events: large enough for the asymptotic statements to hold."""
    return measure(disjoint_subsamples(40_000, 400, np.random.default_rng(1)), levels=LEVELS)


def test_subsamples_are_disjoint_and_seeded():
    cut = disjoint_subsamples(1050, 100, np.random.default_rng(3))
    assert cut.shape == (10, 100)
    assert len(np.unique(cut)) == 1000
    assert not np.array_equal(np.sort(cut[0]), np.arange(100))
    np.testing.assert_array_equal(cut, disjoint_subsamples(1050, 100, np.random.default_rng(3)))
    with pytest.raises(InputError, match="99 events cannot be cut into subsamples of 100"):
        disjoint_subsamples(99, 100, np.random.default_rng(3))


def test_bootstrap_is_kept_apart(measure):
    drawn = bootstrap_subsamples(200, 150, 4, np.random.default_rng(3))
    assert drawn.shape == (4, 150)
    assert drawn.max() < 200
    assert measure(drawn).resampled
    assert not measure(disjoint_subsamples(600, 150, np.random.default_rng(3))).resampled


def test_exact_likelihood_is_calibrated(large, events, basis):
    """Pulls, the spread against the Fisher information, and four coverages: false alarm 1e-3 for these, 1e-4 for the rest.

    The asymptotic bias left at 400 events, 0.03 σ, is small against the tolerances (0.3 σ for the mean, 0.2 for the width).
    """
    pulls = large.pulls()
    assert pulls.unusable == 0
    assert abs(pulls.mean) < LIMIT * pulls.mean_error
    assert abs(pulls.width - 1) < LIMIT * pulls.width_error
    assert pulls.standard_p > FALSE_ALARM
    expected = score_test(events, basis, [TRUTH]).expected_error(400)[0]
    assert pulls.spread == pytest.approx(expected, abs=LIMIT * pulls.spread_error)
    result = large.coverage(false_alarm=1e-3)
    assert result.verdicts == ("covers",) * 4
    assert large.coverage((0.8,)).trials.tolist() == [100]


def test_everything_speaks_of_the_sign_of_the_truth(large, measure):
    assert large.folded
    assert (large.estimates > 0).all()
    assert np.abs(large.sign_gap[np.isfinite(large.sign_gap)]).max() < 1e-3
    assert np.isfinite(large.sign_gap).all()
    mirrored = measure(large.events[:5], truth=-TRUTH, levels=LEVELS)
    np.testing.assert_allclose(mirrored.estimates, -large.estimates[:5])
    np.testing.assert_allclose(mirrored.delta_truth, large.delta_truth[:5], atol=1e-6)
    for level in range(len(LEVELS)):
        for here, there in zip(mirrored.intervals[level], large.intervals[level][:5], strict=True):
            np.testing.assert_allclose(np.array(here), -np.array(there)[::-1, ::-1], atol=1e-6)


def test_intervals_and_the_likelihood_at_the_truth_agree(large):
    contains = large.delta_truth <= stats.chi2.ppf(LEVELS, 1)[:, None]
    for row, pieces in zip(contains, large.intervals, strict=True):
        inside = [any(low <= TRUTH <= high for low, high in one) for one in pieces]
        np.testing.assert_array_equal(row, inside)


def test_unfolded_estimates_scatter_over_both_signs(measure, large):
    signed = measure(large.events[:30], fold=False)
    assert not signed.folded
    assert 0 < (signed.estimates > 0).sum() < 30
    np.testing.assert_allclose(np.abs(signed.estimates), large.estimates[:30])


def test_a_truth_on_the_mirror_is_not_folded(measure, large):
    assert not measure(large.events[:3], truth=0.0).folded
    assert not measure(large.events[:3], truth=np.pi).folded


def test_json_round_trip(large):
    again = SubsampleFits.from_dict(json.loads(json.dumps(large.to_dict(), allow_nan=False)))
    assert again.to_dict() == large.to_dict()
    assert again.intervals == large.intervals
    np.testing.assert_array_equal(again.events, large.events)
    assert again.pulls().to_dict() == large.pulls().to_dict()
