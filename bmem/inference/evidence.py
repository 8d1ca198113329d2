"""The mean of a likelihood over the range of its parameters, by sums on a grid: what makes likelihoods comparable.

Sums over equal cells converge faster than any power of the cell for a smooth peak: with a standard deviation of one cell
they are right to 1e-8. A curve of one parameter that is narrower is interpolated by a cubic spline of -2 log L; for several
parameters the grid shrinks to the box in which the likelihood is not negligible, and the mean is known to some per cent, as
much as the weight of a replica needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from bmem.process.contract import Parameter

Array = NDArray[np.float64]

_LARGEST_SHARE = 0.4
"""Of one point in the sum of a Gaussian whose standard deviation is the distance of the points."""
_NEGLIGIBLE = 50.0
"""Distance in -2 log L, 7 standard deviations, beyond which the likelihood is left out."""
_ZOOMS = 6


def log_evidence(value: Callable[[Array], Array], parameters: Sequence[Parameter], axes: Sequence[Array]) -> float:
    """log of the mean of exp(-value/2) over the range of all ``parameters``.

    Args:
        value: -2 log L, θ [..., P] → [...].
        parameters: those of θ.
        axes: even points along each; of an angle without the end of the period, else with both ends.
    """
    if len(parameters) > 1:
        return _in_boxes(value, parameters, [len(points) for points in axes])
    return float(log_mean(value(axes[0][:, None])[None], axes[0], parameters[0].period)[0])


def log_mean(curves: Array, x: Array, period: float | None) -> Array:
    """log of the mean of exp(-curve/2) over the range [T], of T ``curves`` [T, G] of -2 log L at even points x [G].

    Of an angle the points fill a ``period`` without its end; else they include both ends of the range.
    """
    if period is not None:
        x, curves = np.append(x, x[0] + period), np.concatenate([curves, curves[:, :1]], axis=1)
    result = _trapezoid(curves)
    share = np.exp(-curves.min(axis=1) / 2 - result) / (len(x) - 1)
    narrow = np.flatnonzero(share > _LARGEST_SHARE)
    if narrow.size:
        parts = int(np.ceil(share[narrow].max() / _LARGEST_SHARE)) + 1
        result[narrow] = _trapezoid(_divided(curves[narrow], x, parts, period))
    return result


def log_pool(logs: Array, evidence: Array) -> Array:
    """log of the average over replicas of exp(``logs`` [R, ...]), each normalised by its log ``evidence`` [R, ...].

    Times the geometric mean of the evidences, so that a single replica stays what it is.
    """
    evidence = np.expand_dims(evidence, tuple(range(evidence.ndim, logs.ndim)))
    centre = evidence.mean(axis=0)
    return np.asarray(logsumexp(logs - (evidence - centre), axis=0) - np.log(len(logs)))


def _divided(curves: Array, x: Array, parts: int, period: float | None) -> Array:
    fine = np.linspace(x[0], x[-1], parts * (len(x) - 1) + 1)
    return np.asarray(CubicSpline(x, curves, axis=1, bc_type="not-a-knot" if period is None else "periodic")(fine))


def _trapezoid(curves: Array) -> Array:
    """log of the mean of exp(-curve/2) [T] over points that include both ends."""
    ends = np.full(curves.shape[1], 0.0)
    ends[[0, -1]] = np.log(0.5)
    return np.asarray(logsumexp(ends - curves / 2, axis=1) - np.log(curves.shape[1] - 1))


def _in_boxes(value: Callable[[Array], Array], parameters: Sequence[Parameter], count: list[int]) -> float:
    """By midpoints of ``count`` cells along each side of a box, which shrinks until the likelihood fills half of it."""
    low, high = np.array([p.bounds for p in parameters]).T
    whole, result = float(np.prod(high - low)), -np.inf
    for _ in range(_ZOOMS):
        size = (high - low) / count
        middles = [a + (np.arange(n) + 0.5) * s for a, n, s in zip(low, count, size, strict=True)]
        values = value(np.stack(np.meshgrid(*middles, indexing="ij"), -1))
        result = float(logsumexp(-values / 2) + np.log(np.prod(size) / whole))
        ends = np.array([np.flatnonzero(near)[[0, -1]] for near in _near(values)])
        if (2 * (ends[:, 1] - ends[:, 0] + 3) > count).all():
            break
        origin = low
        low, high = np.maximum(low, origin + (ends[:, 0] - 1) * size), np.minimum(high, origin + (ends[:, 1] + 2) * size)
    return result


def _near(values: Array) -> list[NDArray[np.bool_]]:
    """Along each axis, whether the likelihood [...] is not negligible anywhere across it."""
    near = values <= values.min() + _NEGLIGIBLE
    return [near.any(axis=tuple(j for j in range(near.ndim) if j != i)) for i in range(near.ndim)]
