"""t = -2 log L(θ)/L(θ̂) of many samples, all other parameters fitted in both, as Neyman constructions order samples by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from bmem.calibration.record import Array, IntArray
from bmem.calibration.toy_fits import Samples, minimised

_NEAR = 30.0
"""Second minima of a scan that are higher than the lowest by more than this are not followed."""


@dataclass(frozen=True)
class Ratios:
    """Of T samples: ``t`` [T] at a θ, the other parameters fitted ``there`` [T, Q], and the ``best`` of all [T, P]."""

    t: Array
    there: Array
    best: Array


def likelihood_ratios(samples: Samples, theta: float, others: Array, values: Array) -> Ratios:
    """t of every sample at ``theta``; fits start from the values ``others`` [Q] and a scan over ``values`` [G] of θ."""
    start = np.broadcast_to(np.concatenate([[theta], others]), (samples.count, 1 + len(others)))
    there, at = minimised(samples, start.copy(), range(1, start.shape[1]))
    best, lowest = best_fits(samples, others, values)
    below = at < lowest
    best[below] = there[below]
    return Ratios(np.maximum(at - lowest, 0.0), there[:, 1:], best)


def best_fits(samples: Samples, others: Array, values: Array) -> tuple[Array, Array]:
    """The lowest minimum of every sample [T, P] and -2 log L there [T], from the two lowest minima of a scan in θ."""
    first, second, followed = _starts(samples, others, values)
    every = range(1 + len(others))
    best, lowest = minimised(samples, _at(values[first], others), every)
    if followed.size:
        found, value = minimised(samples.select(followed), _at(values[second[followed]], others), every)
        better = value < lowest[followed]
        best[followed[better]], lowest[followed[better]] = found[better], value[better]
    return best, lowest


def _at(theta: Array, others: Array) -> Array:
    return np.concatenate([theta[:, None], np.broadcast_to(others, (len(theta), len(others)))], axis=1)


def _starts(samples: Samples, others: Array, values: Array) -> tuple[IntArray, IntArray, IntArray]:
    """Places on the grid of the two lowest local minima of each sample [T], and the samples with a second one [C]."""
    curves = scan(samples, others, values)
    before, after = (np.roll(curves, shift, axis=1) for shift in (1, -1))
    if samples.basis.parameters[0].period is None:
        before[:, 0] = after[:, -1] = np.inf
    lows = np.where((curves <= before) & (curves <= after), curves, np.inf)
    order = np.argsort(lows, axis=1)[:, :2]
    first, second = np.take_along_axis(lows, order, axis=1).T
    first_place = np.where(np.isfinite(first), order[:, 0], curves.argmin(axis=1))
    with np.errstate(invalid="ignore"):
        followed = np.flatnonzero(second < first + _NEAR)
    return first_place, order[:, 1], followed


def scan(samples: Samples, others: Array, values: Array) -> Array:
    """-2 log L of every sample along ``values`` [G] of θ at fixed ``others`` [Q], up to a constant of each: [T, G]."""
    b = samples.basis.value(_at(values, others))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(samples.integrals @ b.T)
    sigma, events = b @ samples.fiducial, samples.weights.sum(axis=1)
    starts = np.arange(0, samples.rows.size + 1, samples.rows.shape[1])
    counts = csr_array((samples.weights.ravel(), samples.rows.ravel(), starts), shape=(samples.count, len(logs)))
    if samples.luminosity is None:
        return np.asarray(-2 * (counts @ logs) + 2 * np.outer(events, np.log(sigma)))
    return np.asarray(-2 * (counts @ logs) + 2 * samples.luminosity * sigma)
