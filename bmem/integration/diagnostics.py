"""How far an importance-sampled integral can be trusted, from its weights alone.

All functions take total weights [..., M], one number per point, and return [...].
"""

from __future__ import annotations

import math
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from bmem import pareto

Array = NDArray[np.float64]

PARETO_K_LIMIT = 0.7
"""Above this shape of the weights' tail the estimate and its error cannot be trusted (Vehtari et al., JMLR 25 (2024) 72)."""


class Flag(IntFlag):
    """Why the integral of an event should not be trusted as it stands; 0 is a clean event."""

    LOW_ESS = 1
    """The effective number of points is below the setting ``min_effective_points``."""
    HIGH_PARETO_K = 2
    """The tail of the weights is heavier than ``PARETO_K_LIMIT``, and holds enough of the integral to spoil it."""
    UNKNOWN_PARETO_K = 4
    """Too few distinct weights in the tail to fit it: k is NaN. Equal weights (an exact proposal) are not flagged."""
    NON_POSITIVE = 8
    """The estimate of the reference combination is zero or negative."""
    INACCURATE = 16
    """The relative error is well above its target: more points than allowed are needed, or the pilot was misled."""
    NON_FINITE = 32
    """A weight is NaN or infinite; the integrals of this event are not finite either."""


def effective_fraction(weights: Array) -> Array:
    """Kish's effective sample size over the number of points, (Σw)² / (M Σw²), in [0, 1]; 0 where all weights vanish."""
    squares = (weights**2).sum(-1)
    fraction = weights.sum(-1) ** 2 / np.where(squares > 0, squares * weights.shape[-1], 1.0)
    return np.where(squares > 0, fraction, 0.0)


def relative_error(weights: Array) -> Array:
    """Standard error of the mean over |mean|; infinite where the mean vanishes."""
    mean = np.abs(weights.mean(-1))
    error = weights.std(-1, ddof=1) / np.sqrt(weights.shape[-1])
    return np.where(mean > 0, error / np.where(mean > 0, mean, 1.0), np.inf)


def max_weight_fraction(weights: Array) -> Array:
    """Share of the largest |weight| in the sum of all |weights|; 1 where all vanish."""
    total = np.abs(weights).sum(-1)
    return np.where(total > 0, np.abs(weights).max(-1) / np.where(total > 0, total, 1.0), 1.0)


def pareto_k(weights: Array) -> Array:
    """Shape k of the generalised Pareto tail of |weights|, as in ``bmem.pareto``; the variance is finite for k < 1/2."""
    with np.errstate(divide="ignore"):
        return pareto.pareto_k(np.log(np.abs(weights)))


def tail_share(weights: Array) -> Array:
    """Share of Σ|w| by which the weights of the tail exceed its threshold; the tail is that of ``pareto_k``.

    A heavy tail leaves this share of the integral unknown and no more: k does not change if all weights grow by a constant,
    as those of a good proposal are close to one.
    """
    size, points = np.abs(weights), weights.shape[-1]
    below = points - 1 - math.ceil(min(points / 5, 3 * math.sqrt(points)))
    threshold = np.partition(size, below, axis=-1)[..., below, None]
    total, excess = size.sum(-1), np.maximum(size - threshold, 0.0).sum(-1)
    return np.where(total > 0, excess / np.where(total > 0, total, 1.0), 0.0)
