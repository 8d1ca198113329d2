"""Toys: many small samples drawn from a bank, their -2 log L on a grid of one parameter, and the minima of these curves.

A toy is analysed as a measurement would be. With several replicas of the networks there are two ways: the likelihood is the
average over the replicas, each normalised ("marginal", see ``bmem.inference.objective.MarginalLikelihood``), or that of one
replica, drawn for each toy ("drawn"). Estimates are minima of the mean of -2 log L over the replicas, not modes of the
average. The integration errors are those that the events of the bank have; "resampled" toys are given another realisation
of them, which counts them twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.sparse import csr_array

from bmem.calibration.bank import Bank
from bmem.calibration.record import Array, IntArray
from bmem.errors import InputError
from bmem.inference.evidence import log_mean, log_pool
from bmem.process.contract import Parameter

_BLOCK = 2000
_RESAMPLED_BLOCK = 500
_REFINEMENT = 4


@dataclass(frozen=True)
class Treatment:
    """How toys are analysed: the ``replicas`` of the networks, and whether the integrals are ``resampled``."""

    replicas: Literal["marginal", "drawn"] = "marginal"
    resampled: bool = False

    def __post_init__(self) -> None:
        if self.replicas not in ("marginal", "drawn"):
            raise InputError(f"replicas are 'marginal' or 'drawn' in a toy, not {self.replicas!r}")


AS_INTEGRATED = Treatment()
"""The average over the replicas, with the integration errors that the events have."""


@dataclass(frozen=True)
class Minima:
    """The lowest minimum of each of T curves: its ``place``, ``value`` and curvature ``error`` [T].

    The error is NaN where there is no curvature: at the end of a grid, or on a flat curve.
    """

    place: Array
    value: Array
    error: Array


@dataclass(frozen=True)
class Toys:
    """-2 log L of T toys: ``curves`` [T, G] on the even grid ``values`` [G], and ``at_points`` [T, E] at ``points`` [E].

    ``means`` [T, G] are the means over the replicas, of which the estimates are the minima; None: the ``curves`` are.
    """

    values: Array
    curves: Array
    points: Array
    at_points: Array
    period: float | None
    means: Array | None = None

    def minima(self) -> Minima:
        """Of the ``curves``, by the parabola through the lowest point of the grid and its neighbours."""
        return minima(self.curves, self.values, self.period is not None)

    def estimates(self) -> Minima:
        """Estimates with their curvature errors, as a measurement has them."""
        return self.minima() if self.means is None else minima(self.means, self.values, self.period is not None)

    def statistic(self) -> Array:
        """t = -2 log L(point)/L(θ̂) [T, E], at least zero."""
        return np.maximum(self.at_points - self.minima().value[:, None], 0.0)

    def mass_above(self) -> Array:
        """Posterior mass [T, E], for a flat prior, of all that is more likely than each of the ``points``.

        A point lies in the region of highest density of a level if this is at most the level. Between the points of the grid
        the curves are cubic splines.
        """
        curves = self._refined()
        lowest = curves.min(axis=1, keepdims=True)
        density, asked = np.exp((lowest - curves) / 2), np.exp((lowest - self.at_points) / 2)
        low, high = np.minimum(density[:, 1:], density[:, :-1]), np.maximum(density[:, 1:], density[:, :-1])
        rise = np.maximum(high - low, np.finfo(float).tiny)
        shares = (np.clip((high - p[:, None]) / rise, 0.0, 1.0) for p in asked.T)
        above = [share * (high + np.maximum(low, p[:, None])) for share, p in zip(shares, asked.T, strict=True)]
        return np.stack([part.sum(axis=1) for part in above], axis=1) / (low + high).sum(axis=1, keepdims=True)

    def _refined(self) -> Array:
        """The curves on a finer grid over the closed range."""
        x, curves = self.values, self.curves
        if self.period is not None:
            x, curves = np.append(x, x[0] + self.period), np.concatenate([curves, curves[:, :1]], axis=1)
        fine = np.linspace(x[0], x[-1], _REFINEMENT * (len(x) - 1) + 1)
        return CubicSpline(x, curves, axis=1, bc_type="not-a-knot" if self.period is None else "periodic")(fine)


class ToyScan:
    """Draws toys and scans them: log densities of the bank on a grid, summed over each toy's events by a sparse product."""

    def __init__(self, bank: Bank, grid: int, treatment: Treatment = AS_INTEGRATED) -> None:
        self.bank = bank
        self.treatment = treatment
        parameter = bank.basis.parameters[0]
        self.values = true_values(parameter, grid + (parameter.period is not None))
        self._logs = None if self.treatment.resampled else _logs(bank, self.values)

    def draw(
        self, truth: float, points: Array, shape: tuple[int, int], rng: np.random.Generator, minimum: float = 0.0
    ) -> Toys:
        """``shape`` = (toys, events) drawn at ``truth``; their likelihood is also given at the ``points`` [E].

        Raises:
            RangeError: the bank is worth fewer than ``minimum`` events at ``truth``.
            InputError: the treatment resamples, but the bank keeps no resamples.
        """
        averages, means = zip(*self._blocks(truth, points, shape, rng, minimum), strict=True)
        curves, at_points = np.split(np.concatenate(averages), [len(self.values)], axis=1)
        period = self.bank.basis.parameters[0].period
        return Toys(self.values, curves, points, at_points, period, None if means[0] is None else np.concatenate(means))

    def statistics(self, truth: float, shape: tuple[int, int], rng: np.random.Generator, minimum: float = 0.0) -> Array:
        """t at the truth of ``shape`` = (toys, events) drawn there, [toys].

        Raises:
            RangeError, InputError: as ``draw``.
        """
        return self.draw(truth, np.array([truth]), shape, rng, minimum).statistic()[:, 0]

    def _blocks(
        self, truth: float, points: Array, shape: tuple[int, int], rng: np.random.Generator, minimum: float
    ) -> Iterator[tuple[Array, Array | None]]:
        """-2 log L on the grid and at the points, [block, G + E], and its mean, [block, G], in blocks that bound memory."""
        toys, events = shape
        size = _RESAMPLED_BLOCK if self.treatment.resampled else _BLOCK
        choice = rng.spawn(1)[0]  # its own stream: the events of the toys are the same whatever the treatment
        fixed = None if self._logs is None else np.concatenate([self._logs, _logs(self.bank, points)], axis=2)
        for block, start in enumerate(range(0, toys, size)):
            rows = self.bank.draw([truth], (min(size, toys - start), events), rng, minimum)
            logs = _logs(self.bank.resampled(block), np.append(self.values, points)) if fixed is None else fixed
            yield self._curves(rows, logs, choice)

    def _curves(self, rows: IntArray, logs: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
        """-2 log L [T, G + E] of toys made of the events ``rows`` [T, n], and its mean [T, G] if replicas are averaged."""
        toys, events = rows.shape
        starts = np.arange(0, rows.size + 1, events)
        counts = csr_array((np.ones(rows.size), rows.ravel(), starts), shape=(toys, self.bank.n_events))
        if len(logs) == 1:
            return -2 * (counts @ logs[0]), None
        if self.treatment.replicas == "marginal":
            each = np.stack([counts @ replica for replica in logs])
            return self._average(each), -2 * each[:, :, : len(self.values)].mean(axis=0)
        drawn, curves = rng.integers(len(logs), size=toys), np.empty((toys, logs.shape[2]))
        for r, replica in enumerate(logs):
            curves[drawn == r] = -2 * (counts[drawn == r] @ replica)
        return curves, None

    def _average(self, logs: Array) -> Array:
        """-2 log L [T, G + E] averaged over replicas as a measurement is, from log L [R, T, G + E] of each."""
        parameter, grid = self.bank.basis.parameters[0], len(self.values)
        evidence = np.stack([log_mean(-2 * one[:, :grid], self.values, parameter.period) for one in logs])
        return -2 * log_pool(logs, evidence)


def _logs(bank: Bank, values: Array) -> Array:
    """log densities [R, N, G] at ``values`` [G]."""
    return np.stack([bank.log_densities(values[:, None], r) for r in range(len(bank.fiducial))])


def true_values(parameter: Parameter, points: int) -> Array:
    """``points`` values over the closed range [A]; of an angle without the last one, which is the first."""
    values = np.linspace(*parameter.bounds, points)
    return values if parameter.period is None else values[:-1]


def minima(curves: Array, values: Array, periodic: bool) -> Minima:
    """The lowest minimum of every row of ``curves`` [T, G] on the even grid ``values`` [G]."""
    index = curves.argmin(axis=1)
    rows, last, step = np.arange(len(curves)), curves.shape[1] - 1, values[1] - values[0]
    centre = index if periodic else np.clip(index, 1, last - 1)
    left, middle, right = (curves[rows, (centre + shift) % (last + 1)] for shift in (-1, 0, 1))
    curvature = left + right - 2 * middle
    inside = (centre == index) & (curvature > 0)
    safe = np.where(inside, curvature, 1.0)
    return Minima(
        place=values[index] + np.where(inside, step * (left - right) / (2 * safe), 0.0),
        value=np.where(inside, middle - np.square(right - left) / (8 * safe), curves[rows, index]),
        error=np.where(inside, step * np.sqrt(2 / safe), np.nan),
    )


def quantile(t: Array, level: float) -> tuple[float, float]:
    """The quantile of the toys ``t`` [T] and its error, half the distance of the order statistics one binomial σ away."""
    ordered, n = np.sort(t), len(t)
    width = np.sqrt(n * level * (1 - level))
    low, high = np.clip([int(n * level - width), int(np.ceil(n * level + width))], 0, n - 1)
    return float(np.quantile(ordered, level)), float(ordered[high] - ordered[low]) / 2
