"""Balanced resamples of events: counts with the moments of a bootstrap, whose mean over the replicas is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.replicas import resamples
from bmem.replicas.resamples import resample_counts

FALSE_ALARM = 2e-5


def test_every_event_is_taken_once_on_average() -> None:
    counts = resample_counts(1000, 7, seed=1)
    assert counts.shape == (7, 1000)
    assert (counts.sum(0) == 7).all()
    assert torch.equal(counts, resample_counts(1000, 7, seed=1))
    assert not torch.equal(counts, resample_counts(1000, 7, seed=2))


def test_sums_over_the_events_spread_as_over_a_bootstrap() -> None:
    """The variance over R replicas (by R - 1) of Σ (c - 1) x is Σ x²: χ² with R - 1 degrees of freedom, rate 2e-5."""
    x = np.random.default_rng(1).normal(size=4000)
    sums = resample_counts(len(x), 200, seed=3).double().numpy() @ x
    ratio = 199 * sums.var(ddof=1) / np.square(x).sum()
    assert stats.chi2.ppf(FALSE_ALARM / 2, 199) < ratio < stats.chi2.ppf(1 - FALSE_ALARM / 2, 199)
    np.testing.assert_allclose(sums.mean(), x.sum(), rtol=1e-9)


def test_more_events_than_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resamples, "_CHUNK", 100)
    counts = resample_counts(250, 4, seed=1)
    assert counts.shape == (4, 250)
    assert (counts.sum(0) == 4).all()
    assert not torch.equal(counts[:, :100], counts[:, 100:200])
