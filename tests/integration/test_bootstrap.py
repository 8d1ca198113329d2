"""The bootstrap over points against the covariance of the mean."""

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.integration import bootstrap
from bmem.integration.bootstrap import bootstrap_means, mean_with_covariance
from bmem.rng import generator

FALSE_ALARM = 2e-5


def weights_of(replicas: int = 2, points: int = 400, components: int = 3) -> torch.Tensor:
    rng = generator(1, "weights")
    mixing = torch.randn(components, components, generator=rng, dtype=torch.float64)
    return torch.randn(replicas, points, components, generator=rng, dtype=torch.float64) @ mixing + 1.5


def test_mean_and_covariance_are_those_of_numpy():
    weights = weights_of()
    mean, covariance = mean_with_covariance(weights)
    for r in range(2):
        np.testing.assert_allclose(mean[r], weights[r].numpy().mean(0))
        np.testing.assert_allclose(covariance[r], np.cov(weights[r].numpy().T) / 400)


def test_float32_weights_are_summed_in_float64():
    weights = torch.full((1, 1_000_000, 1), 0.1, dtype=torch.float32)
    mean, _ = mean_with_covariance(weights)
    assert mean.item() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_spread_of_resamples_is_the_covariance():
    """B s²/σ² of Gaussian resampled means is χ² with B - 1 degrees of freedom, where σ² = (M - 1)/M of the covariance.
    Each of the six two-sided tests, of the six means and of the six correlations (standard error at most 1/√B) has
    false-alarm rate 2e-5, all together 3.6e-4."""
    weights = weights_of()
    resamples = 2000
    means = bootstrap_means(weights, resamples, generator(2, "bootstrap")).numpy()
    mean, covariance = mean_with_covariance(weights)
    variance = np.diagonal(covariance.numpy(), axis1=-2, axis2=-1) * 399 / 400
    statistic = (resamples - 1) * means.var(1, ddof=1) / variance
    probability = 2 * np.minimum(stats.chi2.cdf(statistic, resamples - 1), stats.chi2.sf(statistic, resamples - 1))
    assert probability.min() > FALSE_ALARM
    pull = (means.mean(1) - mean.numpy()) / np.sqrt(variance / resamples)
    assert 2 * stats.norm.sf(np.abs(pull)).min() > FALSE_ALARM
    for r in range(2):
        correlation = np.corrcoef(means[r].T)
        scale = np.sqrt(np.diagonal(covariance[r].numpy()))
        expected = covariance[r].numpy() / np.outer(scale, scale)
        np.testing.assert_allclose(correlation, expected, atol=stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(resamples))


def test_replicas_share_the_resampled_points():
    weights = weights_of(replicas=1).expand(3, -1, -1)
    means = bootstrap_means(weights, 10, generator(3, "bootstrap"))
    torch.testing.assert_close(means[0], means[2])


def test_resampling_keeps_the_number_of_points():
    means = bootstrap_means(torch.ones(1, 77, 1), 50, generator(4, "bootstrap"))
    torch.testing.assert_close(means, torch.ones(1, 50, 1, dtype=torch.float64))


def test_memory_is_bounded_without_changing_the_result(monkeypatch):
    weights = weights_of(points=64)
    whole = bootstrap_means(weights, 33, generator(5, "bootstrap"))
    monkeypatch.setattr(bootstrap, "_DRAWS_PER_SLICE", 128)
    torch.testing.assert_close(bootstrap_means(weights, 33, generator(5, "bootstrap")), whole)
