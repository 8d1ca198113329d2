"""The tail of importance weights: the shape of its generalised Pareto distribution, as arviz fits it.

arviz 0.x and 1.x differ in sign, in signature and in what they refuse; here they answer alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_EQUAL = 1e-9
"""Logarithms of weights that differ by less are those of equal weights: what differs is rounding."""


def pareto_k(log_weights: Array) -> Array:
    """Shape k [...] of the tail of weights, from their logarithms [..., M]; the variance is finite for k < 1/2.

    -inf for equal weights, which have no tail. NaN where the tail holds too few distinct weights to be fitted, where all
    vanish, and where one is infinite or NaN. A. Vehtari et al., JMLR 25 (2024) 72.
    """
    rows = np.asarray(log_weights, dtype=np.float64).reshape(-1, np.shape(log_weights)[-1])
    largest, smallest = rows.max(-1), rows.min(-1)
    known = np.isfinite(largest)
    equal = known & (smallest >= largest - _EQUAL)
    fitted = known & ~equal
    result = np.where(equal, -np.inf, np.nan)
    if fitted.any():
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            shapes = _fitted(rows[fitted] - largest[fitted, None])
        result[fitted] = np.where(np.isfinite(shapes), shapes, np.nan)
    return result.reshape(np.shape(log_weights)[:-1])


def _fitted(log_weights: Array) -> Array:
    """Shapes [N] of [N, M]; not finite where arviz cannot fit the tail."""
    # Two seconds to import: paid by who needs it, not by every command.
    import arviz

    if hasattr(arviz, "psislw"):  # 0.x
        return np.asarray(arviz.psislw(log_weights)[1])
    return np.array([_fitted_by_1x(row) for row in log_weights])


def _fitted_by_1x(log_weights: Array) -> float:
    """The same of one row [M] in arviz 1.x, which takes log-likelihoods: the weights of leave-one-out are their inverses."""
    from arviz_stats.base import array_stats

    try:
        return float(array_stats.psislw(-log_weights)[1])
    except (ValueError, IndexError):
        # raised where the tail (a fifth of the weights, at most 3 √M) has fewer than five, or they are all the same
        return np.nan
