"""The bootstrap over integration points: what the estimate would have been with other points from the same proposal."""

from __future__ import annotations

import torch
from torch import Tensor

_DRAWS_PER_SLICE = 1 << 22
"""Resampled indices held in memory at a time; the random stream does not depend on it through any setting."""


def mean_with_covariance(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over points and the covariance of that mean: weights [..., M, K] → [..., K], [..., K, K], in float64."""
    weights = weights.double()
    points = weights.shape[-2]
    mean = weights.mean(-2)
    centred = weights - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / (points * max(points - 1, 1))


def bootstrap_means(weights: Tensor, resamples: int, rng: torch.Generator) -> Tensor:
    """Means over M points drawn again with replacement: weights [R, M, K] → [R, B, K], in float64.

    All R replicas see the same resampled points, as they share the points themselves, so that differences between replicas
    keep their (small) integration error. ``rng`` is a CPU generator.
    """
    replicas, points, components = weights.shape
    flat = weights.double().movedim(0, 1).reshape(points, replicas * components)
    rows = max(1, _DRAWS_PER_SLICE // points)
    means = [_counts(min(rows, resamples - i), points, rng).to(flat.device) @ flat for i in range(0, resamples, rows)]
    return (torch.cat(means) / points).reshape(resamples, replicas, components).movedim(1, 0)


def _counts(resamples: int, points: int, rng: torch.Generator) -> Tensor:
    """Multinomial counts [B, M]: how often each point is drawn in ``points`` draws."""
    drawn = torch.randint(points, (resamples, points), generator=rng, device=rng.device)
    drawn += torch.arange(resamples, device=drawn.device)[:, None] * points
    return torch.bincount(drawn.flatten(), minlength=resamples * points).reshape(resamples, points).double()
