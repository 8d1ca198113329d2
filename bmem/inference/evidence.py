"""The mean of a likelihood over the range of its parameters, by sums on a grid: what makes likelihoods comparable.

Sums over equal cells converge faster than any power of the cell for a smooth peak: with a standard deviation of one cell
they are right to 1e-8. A curve of one parameter that is narrower is interpolated by a cubic spline of -2 log L; for several
parameters the grid shrinks to boxes around the peaks, and the mean is known to some per cent, as much as the weight of a
replica needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from bmem.process.contract import Parameter

Array = NDArray[np.float64]

_LARGEST_SHARE = 0.4
"""Of one point in the sum of a Gaussian whose standard deviation is the distance of the points."""
_NEGLIGIBLE = 50.0
"""Distance in -2 log L, 7 standard deviations, beyond which the likelihood is left out."""
_ZOOMS = 4


def log_evidence(value: Callable[[Array], Array], parameters: Sequence[Parameter], axes: Sequence[Array]) -> float:
    """log of the mean of exp(-value/2) over the range of all ``parameters``.

    Args:
        value: -2 log L, θ [..., P] → [...].
        parameters: those of θ.
        axes: even points along each; of an angle without the end of the period, else with both ends.
    """
    if len(parameters) > 1:
        low, high = np.array([p.bounds for p in parameters]).T
        count = [len(points) for points in axes]
        return _integral(value, low, high, count, _ZOOMS) - float(np.log(high - low).sum())
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


def _integral(value: Callable[[Array], Array], low: Array, high: Array, count: Sequence[int], zooms: int) -> float:
    """log of ∫ exp(-value/2) over the box from ``low`` to ``high`` [P], by the midpoints of ``count`` cells along its sides.

    Where the likelihood fills less than half of a side, the box is replaced by smaller ones around its peaks.
    """
    size = (high - low) / count
    middles = [a + (np.arange(n) + 0.5) * s for a, n, s in zip(low, count, size, strict=True)]
    values = value(np.stack(np.meshgrid(*middles, indexing="ij"), -1))
    peaks = ndimage.find_objects(ndimage.label(_near(values), np.ones((3,) * values.ndim))[0])
    ends = np.array([[(part.start, part.stop) for part in peak] for peak in peaks])
    if _overlap(ends):
        ends = np.stack([ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)], -1)[None]
    if zooms == 0 or (len(ends) == 1 and (2 * np.ptp(ends[0], axis=1) > count).all()):
        return float(logsumexp(-values / 2) + np.log(size).sum())
    corners = [low + end * size for end in (ends[..., 0], ends[..., 1])]
    return float(logsumexp([_integral(value, a, b, count, zooms - 1) for a, b in zip(*corners, strict=True)]))


def _near(values: Array) -> NDArray[np.bool_]:
    """Cells in which the likelihood may not be negligible, though it fall by much within a cell, and their neighbours."""
    place = np.unravel_index(values.argmin(), values.shape)
    around = values[tuple(slice(max(0, i - 1), i + 2) for i in place)]
    return ndimage.binary_dilation(values <= values.min() + _NEGLIGIBLE + np.ptp(around), np.ones((3,) * values.ndim))


def _overlap(ends: NDArray[np.int64]) -> bool:
    """Whether any two of the boxes ``ends`` [B, P, 2] have a cell in common."""
    pairs = itertools.combinations(ends, 2)
    return any((np.minimum(a[:, 1], b[:, 1]) > np.maximum(a[:, 0], b[:, 0])).all() for a, b in pairs)
