"""Diagnostics against weights whose effective sample and tail are known beforehand."""

import numpy as np
import pytest
from scipy import stats

from bmem.integration.diagnostics import effective_fraction, max_weight_fraction, pareto_k, relative_error, tail_share


def test_effective_fraction_of_lognormal_weights():
    """E[w]²/E[w²] = exp(-s²); 0.02 is more than six standard errors at s = 0.5 and 200 000 points."""
    weights = np.exp(0.5 * np.random.default_rng(1).normal(size=(2, 200_000)))
    assert effective_fraction(weights) == pytest.approx(np.exp(-0.25), abs=0.02)


def test_equal_weights_are_perfect():
    weights = np.full((3, 100), 7.0)
    assert effective_fraction(weights) == pytest.approx(1.0)
    assert relative_error(weights) == pytest.approx(0.0, abs=1e-12)
    assert max_weight_fraction(weights) == pytest.approx(0.01)
    assert np.all(np.isneginf(pareto_k(weights)))


def test_one_weight_is_the_worst():
    weights = np.zeros((1, 50))
    weights[0, 3] = 2.0
    assert effective_fraction(weights)[0] == pytest.approx(1 / 50)
    assert relative_error(weights)[0] == pytest.approx(1.0)
    assert max_weight_fraction(weights)[0] == 1.0
    assert np.isnan(pareto_k(weights)[0])


def test_vanishing_weights_are_hopeless():
    weights = np.zeros((1, 50))
    assert effective_fraction(weights)[0] == 0
    assert np.isposinf(relative_error(weights)[0])
    assert max_weight_fraction(weights)[0] == 1.0
    assert np.isnan(pareto_k(weights)[0])


def test_pareto_k_of_negative_weights_is_that_of_their_size():
    weights = np.random.default_rng(3).pareto(2.0, size=(2, 2000)) + 1
    np.testing.assert_array_equal(pareto_k(-weights), pareto_k(weights))


def test_pareto_k_leaves_its_input_alone():
    weights = np.random.default_rng(4).pareto(2.0, size=(2, 500))
    before = weights.copy()
    pareto_k(weights)
    np.testing.assert_array_equal(weights, before)


@pytest.mark.parametrize("shape", [0.2, 0.5])
def test_tail_share_is_that_of_a_generalised_pareto_tail(shape):
    """The mean excess above the quantile of p = 3/√M is q^-k / (1 - k), so the share is p^(1-k); 64 sets of 10 000 weights.

    Five standard errors, as the sets themselves tell: false alarm 1e-6 (the mean over sets is nearly Gaussian for k <= 1/2).
    """
    weights = stats.genpareto.rvs(shape, size=(64, 10_000), random_state=np.random.default_rng(5))
    share = tail_share(weights)
    error = share.std(ddof=1) / np.sqrt(len(share))
    assert abs(share.mean() - 0.03 ** (1 - shape)) < 5 * error + 0.002


def test_tail_share_without_a_tail():
    np.testing.assert_array_equal(tail_share(np.full((2, 100), 3.0)), 0.0)
    np.testing.assert_array_equal(tail_share(np.zeros((1, 50))), 0.0)
