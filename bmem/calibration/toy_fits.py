"""Fits of many samples at once: -2 log L with its derivatives, and Newton's method within bounds, for all of them together.

Derivatives of the basis are central differences of its values, which is exact for what is at most quadratic and right to
1e-8 for the rest; those of -2 log L then follow exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from bmem.calibration.known_elsewhere import KnownElsewhere
from bmem.calibration.record import Array, BoolArray, IntArray
from bmem.process.contract import Parameter

_STEP = 1e-4
"""Of a difference, in units of a parameter's range."""
_LONGEST = 0.1
"""Step of a fit, in these units."""
_CLOSE = 2e-3
"""Expected distance to the minimum of -2 log L at which a fit ends: it moves a coverage by less than 0.05 %."""
_STEPS = 40
_FLATTEST, _TINY = 1e-3, 1e-12
"""Curvature that is assumed at least, relative to the largest one and absolutely."""
_BLOCK = 1 << 23
"""Numbers that are held at once."""


class Valued(Protocol):
    """What fits need of a basis: its parameters and values θ [..., P] → [..., K]."""

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    def value(self, theta: ArrayLike) -> Array: ...


@dataclass(frozen=True)
class Samples:
    """T samples of the events of ``integrals`` [N, K] with σ_k ``fiducial`` [K] in pb, all under one ``basis``.

    Sample t has the events ``rows`` [T, n] with ``weights`` [T, n], 1 or 0, and the other measurements ``pull`` [T, P] of
    what is ``known``; with a ``luminosity`` in 1/pb the number of its events counts.
    """

    basis: Valued
    integrals: Array
    fiducial: Array
    luminosity: float | None
    known: KnownElsewhere
    rows: IntArray
    weights: Array
    pull: Array

    @property
    def count(self) -> int:
        return len(self.rows)

    def select(self, chosen: IntArray) -> Samples:
        """Some of the samples."""
        return replace(self, rows=self.rows[chosen], weights=self.weights[chosen], pull=self.pull[chosen])

    def value(self, theta: Array) -> Array:
        """-2 log L up to a constant of each sample, infinite where an event has no density: θ [T, P] → [T]."""
        return self.expanded(theta, np.arange(self.count), ())[0]

    def expanded(self, theta: Array, chosen: IntArray, free: Sequence[int]) -> tuple[Array, Array, Array]:
        """Value [C], gradient [C, F] and second derivatives [C, F, F] in the parameters ``free`` of the ``chosen`` samples.

        θ is [C, P].
        """
        size = max(1, _BLOCK // (self.rows.shape[1] * self.integrals.shape[1]))
        starts = range(0, len(chosen), size)
        parts = [self._block(theta[s : s + size], chosen[s : s + size], free) for s in starts]
        value, gradient, curvature = (np.concatenate(column) for column in zip(*parts, strict=True))
        index = np.array(free, np.int64)
        pull, precision = self.pull[chosen], self.known.precision
        value += self.known.value(theta, pull)
        gradient += 2 * (theta @ precision - pull)[:, index]
        return value, gradient, curvature + 2 * precision[np.ix_(index, index)]

    def _block(self, theta: Array, chosen: IntArray, free: Sequence[int]) -> tuple[Array, Array, Array]:
        b, count = _derivatives(self.basis, theta, free), len(free)
        weights = self.weights[chosen]
        with np.errstate(divide="ignore", invalid="ignore"):
            d = np.matmul(self.integrals[self.rows[chosen]], b.swapaxes(1, 2))
            inverse = weights / d[..., 0]
            value = -2 * np.where(weights > 0, np.log(d[..., 0]), 0.0).sum(axis=1)
            slopes = d[..., 1 : 1 + count] / d[..., :1]
            first = -2 * (weights[..., None] * slopes).sum(axis=1)
            second = -2 * np.matmul(inverse[:, None], d[..., 1 + count :])[:, 0]
            products = 2 * np.matmul((weights[..., None] * slopes).swapaxes(1, 2), slopes)
            rate = self._rate(b @ self.fiducial, weights.sum(axis=1), count)
        total = value + rate[0]
        return np.where(np.isfinite(total), total, np.inf), first + rate[1], _square(second, count) + products + rate[2]

    def _rate(self, sigma: Array, events: Array, count: int) -> tuple[Array, Array, Array]:
        """What the cross section [C, 1 + F + F (F + 1) / 2] (with derivatives) adds: n log σ, or with a luminosity L σ."""
        own, slope, bend = sigma[:, 0], sigma[:, 1 : 1 + count], _square(sigma[:, 1 + count :], count)
        if self.luminosity is not None:
            return 2 * self.luminosity * own, 2 * self.luminosity * slope, 2 * self.luminosity * bend
        ratio = slope / own[:, None]
        outer = ratio[:, :, None] * ratio[:, None, :]
        return (
            2 * events * np.log(own),
            2 * events[:, None] * ratio,
            2 * events[:, None, None] * (bend / own[:, None, None] - outer),
        )


def minimised(samples: Samples, start: Array, free: Sequence[int]) -> tuple[Array, Array]:
    """The minimum of every sample near ``start`` [T, P] over the parameters ``free``: θ [T, P] and -2 log L there [T].

    Newton's method with the absolute values of the curvatures, within the bounds of the parameters; a step that does not
    lead downwards is shortened.
    """
    theta, index = start.copy(), np.array(free, np.int64)
    if not index.size:
        return theta, samples.value(theta)
    low, high = (ends[index] for ends in _bounds(samples))
    unit = np.array([p.bounds[1] - p.bounds[0] for p in samples.basis.parameters])[index]
    live, damping = np.arange(samples.count), np.zeros(samples.count)
    value, gradient, curvature = samples.expanded(theta, live, free)
    for _ in range(_STEPS):
        slope, bend = gradient[live] * unit, curvature[live] * np.outer(unit, unit)
        step = unit * _step(_held(theta[np.ix_(live, index)], slope, (low, high)), slope, bend, damping[live])
        expected = -(gradient[live] * step).sum(axis=1)
        going = expected > _CLOSE
        live, step = live[going], step[going]
        if not live.size:
            break
        trial = theta[live]
        trial[:, index] = np.clip(trial[:, index] + step, low, high)
        found = samples.expanded(trial, live, free)
        down = found[0] < value[live]
        good = live[down]
        theta[good], value[good], gradient[good], curvature[good] = trial[down], *(part[down] for part in found)
        damping[good] /= 10
        damping[live[~down]] = np.maximum(10 * damping[live[~down]], 1.0)
    return theta, value


def _held(theta: Array, gradient: Array, bounds: tuple[Array, Array]) -> BoolArray:
    """Parameters [C, F] at a bound beyond which -2 log L would fall."""
    low, high = bounds
    return ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))


def _step(held: BoolArray, gradient: Array, curvature: Array, damping: Array) -> Array:
    """Steps [C, F] in units of the ranges, from the derivatives in these units; of those that are ``held`` none."""
    inside = np.where(held[:, :, None] | held[:, None, :], 0.0, curvature)
    eigenvalues, vectors = np.linalg.eigh(inside)
    size = np.abs(eigenvalues)
    size = np.maximum(size, _FLATTEST * size.max(axis=1, keepdims=True) + _TINY) * (1 + damping[:, None])
    along = np.einsum("cfe,cf->ce", vectors, np.where(held, 0.0, gradient)) / size
    step = np.where(held, 0.0, -np.einsum("cfe,ce->cf", vectors, along))
    longest = np.abs(step).max(axis=1, keepdims=True)
    return step * np.minimum(1.0, _LONGEST / np.maximum(longest, _TINY))


def _bounds(samples: Samples) -> tuple[Array, Array]:
    """Lowest and highest values [P]; an angle has none."""
    low = [-np.inf if p.period is not None else p.bounds[0] for p in samples.basis.parameters]
    high = [np.inf if p.period is not None else p.bounds[1] for p in samples.basis.parameters]
    return np.array(low), np.array(high)


def _derivatives(basis: Valued, theta: Array, free: Sequence[int]) -> Array:
    """b, its F derivatives and the F (F + 1) / 2 second ones (those of one parameter first) at θ [C, P], [C, ..., K]."""
    unit = np.array([p.bounds[1] - p.bounds[0] for p in basis.parameters])
    steps = [_STEP * unit[i] * np.eye(len(unit))[i] for i in free]
    pairs = list(combinations(range(len(steps)), 2))
    both = [steps[i] + steps[j] for i, j in pairs]
    offsets = np.array([np.zeros(len(unit)), *steps, *both])
    b = basis.value(theta[:, None] + np.concatenate([offsets, -offsets[1:]]))
    centre, (up, down) = b[:, :1], np.split(b[:, 1:], 2, axis=1)
    count = len(steps)
    length = np.array([_STEP * unit[i] for i in free])[:, None]
    first = (up[:, :count] - down[:, :count]) / (2 * length) if count else up
    around = up + down
    own = (around[:, :count] - 2 * centre) / length**2 if count else around
    mixed = [
        (around[:, [count + k]] - around[:, [i]] - around[:, [j]] + 2 * centre) / (2 * length[i] * length[j])
        for k, (i, j) in enumerate(pairs)
    ]
    return np.concatenate([centre, first, own, *mixed], axis=1)


def _square(packed: Array, count: int) -> Array:
    """[C, F (F + 1) / 2] → symmetric [C, F, F]."""
    result = np.zeros((len(packed), count, count))
    for k, (i, j) in enumerate([*((i, i) for i in range(count)), *combinations(range(count), 2)]):
        result[:, i, j] = result[:, j, i] = packed[:, k]
    return result

