"""Folding θ and -θ onto one another.

A likelihood can be nearly even in an angle θ, so that few events cannot always tell θ from -θ. A calibration then
speaks of the magnitude |θ|, with the sign profiled out: its likelihood is the larger one of L(θ) and L(-θ), its estimate is
|θ̂|, and its interval is exactly the image of the (disjoint) interval of θ under θ → |θ|. To be compared with the
truth, the magnitude is given the truth's sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.calibration.pulls import short_way

Array = NDArray[np.float64]
Pieces = tuple[tuple[float, float], ...]

_SAME = 1e-9


def fold(theta: ArrayLike, truth: float, period: float | None) -> Array:
    """``theta`` [...] or its mirror image, whichever has the sign of ``truth``; angles come back within half a turn."""
    return sign(truth, period) * np.abs(short_way(np.asarray(theta, float), period))


def fold_pieces(pieces: Pieces, truth: float, period: float | None) -> Pieces:
    """The image of a union of intervals (low, high) under ``fold``, sorted, overlapping ones merged."""
    images = sorted(_image(low, high, truth, period) for low, high in pieces)
    merged: list[tuple[float, float]] = []
    for low, high in images:
        if merged and low <= merged[-1][1] + _SAME:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def own_mirror(truth: float, period: float | None) -> bool:
    """Whether ``truth`` is its own mirror image (0, half a period): folded estimates would all lie on one side of it."""
    distance = abs(float(short_way(np.asarray(truth, float), period)))
    return distance < _SAME or (period is not None and period / 2 - distance < _SAME)


def sign(truth: float, period: float | None) -> float:
    """+1 or -1: on which side of the mirror ``truth`` lies."""
    return -1.0 if short_way(np.asarray(truth, float), period) < 0 else 1.0


def _image(low: float, high: float, truth: float, period: float | None) -> tuple[float, float]:
    turns = [0.0]
    if period is not None:
        turns = [float(k) * period / 2 for k in range(int(np.ceil(low * 2 / period)), int(high * 2 // period) + 1)]
    inside = [turn for turn in turns if low <= turn <= high]
    # fold is continuous and monotonic between the mirrors: its extremes are at the ends or at a mirror in between
    folded = np.abs([_distance_from_mirror(x, period) for x in [low, high, *inside]])
    ends = sign(truth, period) * folded
    return float(ends.min()), float(ends.max())


def _distance_from_mirror(x: float, period: float | None) -> float:
    return x if period is None else x - period * round(x / period)
