"""Closure of correlated Gaussian vectors whose covariance is known."""

import json

import numpy as np
import pytest
from scipy import stats

from bmem.calibration.closure import Closure, closure_test, contract
from bmem.errors import InputError

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
EVENTS = 2000


@pytest.fixture
def sample():
    """Estimates of K = 4 components over many orders of magnitude; the third vanishes, the fourth is the sum of two."""
    rng = np.random.default_rng(5)
    mixing = np.array([[1e-6, 0], [0.9e-12, 0.3e-12], [0, 0], [1e-6 + 0.9e-12, 0.3e-12]])
    mixing = mixing * rng.uniform(0.5, 2.0, (EVENTS, 1, 1))
    exact = np.tile([3e-5, 2e-11, 0.0, 3e-5 + 2e-11], (EVENTS, 1))
    values = exact + np.einsum("nkj,nj->nk", mixing, rng.normal(size=(EVENTS, 2)))
    return values, mixing @ mixing.transpose(0, 2, 1), exact


def test_true_covariance_closes(sample):
    """Means and widths within LIMIT standard errors, p-values above FALSE_ALARM (about 10 FALSE_ALARM in all)."""
    values, covariance, exact = sample
    result = closure_test(values[:, :3], covariance[:, :3, :3], exact[:, :3])
    for k in (0, 1):
        assert abs(result.mean[k]) < LIMIT * result.mean_error[k]
        assert abs(result.width[k] - 1) < LIMIT * result.width_error[k]
    assert np.isnan(result.pulls[:, 2]).all()
    assert np.isnan(result.mean[2])
    assert (result.dof == 2).all()
    assert min(result.chi2_p, result.uniformity_p) > FALSE_ALARM
    whitened = result.whitened[np.isfinite(result.whitened)].reshape(EVENTS, 2)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(2), atol=LIMIT * np.sqrt(2 / EVENTS))


def test_chi2_is_that_of_the_inverse_covariance(sample):
    values, covariance, exact = (array[..., :2] if array.ndim == 2 else array[:, :2, :2] for array in sample)
    scale = np.array([1e6, 1e12])
    difference, scaled = (values - exact) * scale, covariance * scale[:, None] * scale
    expected = np.einsum("nk,nkl,nl->n", difference, np.linalg.inv(scaled), difference)
    np.testing.assert_allclose(closure_test(values, covariance, exact).chi2, expected, rtol=1e-9)


def test_dependent_components_do_not_count_twice(sample):
    values, covariance, exact = sample
    scale = np.array([1.0, 1e6, 1.0, 1.0])
    rescaled = closure_test(values * scale, covariance * scale[:, None] * scale, exact * scale)
    assert rescaled.dof.max() == 2


def test_wrong_errors_and_correlations_are_seen(sample):
    values, covariance, exact = (array[..., :2] if array.ndim == 2 else array[:, :2, :2] for array in sample)
    assert closure_test(values, 0.8 * covariance, exact).chi2_p < FALSE_ALARM
    assert closure_test(values, 1.3 * covariance, exact).uniformity_p < FALSE_ALARM
    uncorrelated = covariance * np.eye(2)
    right_widths = closure_test(values, uncorrelated, exact)
    assert abs(right_widths.width - 1).max() < LIMIT * right_widths.width_error.max()
    assert right_widths.uniformity_p < FALSE_ALARM
    assert closure_test(values, 0.5 * covariance, exact, 0.5 * covariance).chi2_p > FALSE_ALARM


def test_a_difference_without_error_is_not_excused(sample):
    values, covariance, exact = sample
    exact = exact.copy()
    exact[7, 2] = 1e-9
    result = closure_test(values[:, :3], covariance[:, :3, :3], exact[:, :3])
    assert np.isneginf(result.pulls[7, 2])
    assert result.chi2_p == 0
    again = Closure.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.pulls, result.pulls)


def test_contract_propagates_the_covariance(sample):
    values, covariance, _ = sample
    weights = np.array([[1.0, 2.0, 0.0, -1.0]])
    sums, variance = contract(values, covariance, weights)
    np.testing.assert_allclose(sums[:, 0], values @ weights[0])
    np.testing.assert_allclose(variance[:, 0, 0], np.einsum("k,nkl,l->n", weights[0], covariance, weights[0]), rtol=1e-6)


def test_bad_input_is_named(sample):
    values, covariance, exact = sample
    with pytest.raises(InputError, match="must be"):
        closure_test(values, covariance, exact[:, :3])
    values = values.copy()
    values[11, 0] = np.nan
    with pytest.raises(InputError, match="event 11"):
        closure_test(values, covariance, exact)
    with pytest.raises(InputError, match="nothing to test"):
        closure_test(exact, np.zeros_like(covariance), exact)
