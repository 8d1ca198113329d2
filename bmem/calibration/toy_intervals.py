"""The intervals of every method on many toys at once: which of them hold given points, and how long they are."""

from __future__ import annotations

import numpy as np
from scipy import stats

from bmem.calibration.pulls import short_way
from bmem.calibration.record import Array, BoolArray
from bmem.calibration.toys import Toys

METHODS = ("Hesse", "profile", "Feldman-Cousins", "highest density")
"""From the curvature error; -2Δ log L below the χ² quantile; below the critical value of a belt; Bayesian, flat prior."""
BELT = METHODS.index("Feldman-Cousins")


def held(toys: Toys, levels: Array, critical: Array) -> BoolArray:
    """Whether the intervals at the ``levels`` [L] hold the points of ``toys``: [M, L, T, E], methods in rising order.

    ``critical`` [L, E] are the critical values of the belt at the points. Without a curvature error there is no Hesse
    interval, which then holds nothing.
    """
    found, t = toys.estimates(), toys.statistic()
    offset = short_way(found.place[:, None] - toys.points, toys.period)
    reached = (stats.chi2.cdf(np.square(offset / found.error[:, None]), 1), stats.chi2.cdf(t, 1), toys.mass_above())
    inside = [level <= np.asarray(levels)[:, None, None] for level in reached]
    inside.insert(BELT, t <= critical[:, None])
    return np.stack(inside)


def lengths(toys: Toys, levels: Array, critical: Array) -> Array:
    """Mean total lengths [M, L] of the intervals, to a step of the grid; ``critical`` [L, G] is the belt on the grid."""
    found, step = toys.estimates(), toys.values[1] - toys.values[0]
    whole = step * (len(toys.values) - (toys.period is None))
    excess = toys.curves - toys.minima().value[:, None]
    density = np.sort(np.exp(-excess / 2), axis=1)[:, ::-1]
    mass = density.cumsum(axis=1) / density.sum(axis=1, keepdims=True)
    error = np.where(np.isnan(found.error), whole, found.error)

    def of(level: float, threshold: Array) -> tuple[float, ...]:
        inside = (excess <= stats.chi2.ppf(level, 1), excess <= threshold, mass <= level)
        hesse = np.minimum(2 * stats.norm.isf((1 - level) / 2) * error, whole)
        return float(hesse.mean()), *(float(step * rows.sum(axis=1).mean()) for rows in inside)

    return np.array([of(level, threshold) for level, threshold in zip(levels, critical, strict=True)]).T
