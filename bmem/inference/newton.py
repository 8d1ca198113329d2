"""Minima over some of the parameters by Newton's method with exact derivatives: what profiling nuisance parameters takes.

A nuisance parameter is bounded by its constraint, so that near a minimum -2 log L is nearly quadratic in it and some steps are
enough; a neighbouring minimum is a good start. A search over several minima is not done here, see ``bmem.inference.fit``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.process.contract import Parameter

Array = NDArray[np.float64]

_STEPS = 50
_SMALL = 1e-9
"""Expected gain in -2 log L below which the search ends."""
_HALVINGS = 12
_FLATTEST = 1e-3
"""Curvatures are taken for at least this part of the largest, so that a step is finite and leads down."""


class Smooth(Protocol):
    """A function of θ [P] with two derivatives."""

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    def value(self, theta: ArrayLike) -> Array: ...
    def gradient(self, theta: ArrayLike) -> Array: ...
    def curvature(self, theta: ArrayLike) -> Array: ...


class WithUnitConstraints:
    """A function of θ plus Σ ν² of the nuisance parameters among θ: for where their external constraints are not known."""

    def __init__(self, target: Smooth) -> None:
        self.target, self.parameters = target, target.parameters
        self._own = np.array([float(p.nuisance) for p in target.parameters])

    def value(self, theta: ArrayLike) -> Array:
        return self.target.value(theta) + np.square(theta) @ self._own

    def gradient(self, theta: ArrayLike) -> Array:
        return self.target.gradient(theta) + 2 * self._own * np.asarray(theta)

    def curvature(self, theta: ArrayLike) -> Array:
        return self.target.curvature(theta) + 2 * np.diag(self._own)


def nuisance_indices(parameters: Sequence[Parameter]) -> list[int]:
    """Which of the ``parameters`` are nuisance parameters."""
    return [i for i, p in enumerate(parameters) if p.nuisance]


def conditional_minimum(target: Smooth, start: Array, free: Sequence[int]) -> Array:
    """θ [P] with the ``free`` entries at the minimum of ``target`` next to ``start``, within their bounds; others as there."""
    theta, index = np.array(start, np.float64), list(free)
    low, high = np.array([_bounds(target.parameters[i]) for i in index]).reshape(-1, 2).T
    value = float(target.value(theta))
    for _ in range(_STEPS if index else 0):
        gradient, curvature = target.gradient(theta)[index], target.curvature(theta)[np.ix_(index, index)]
        at_wall = ((theta[index] <= low) & (gradient > 0)) | ((theta[index] >= high) & (gradient < 0))
        step = _downhill(curvature, np.where(at_wall, 0.0, gradient), at_wall)
        if -gradient @ step / 2 < _SMALL:
            break
        theta, fallen = _line_search(target, theta, index, step, (low, high), value)
        if fallen >= value - _SMALL:
            break
        value = fallen
    return theta


def _line_search(
    target: Smooth, theta: Array, index: list[int], step: Array, walls: tuple[Array, Array], value: float
) -> tuple[Array, float]:
    """The first point along a halved ``step`` that lies lower, with its value; where there is none, the start."""
    for halving in range(_HALVINGS):
        there = theta.copy()
        there[index] = np.clip(theta[index] + step / 2**halving, *walls)
        found = float(target.value(there))
        if found < value:
            return there, found
    return theta, value


def _downhill(curvature: Array, gradient: Array, fixed: NDArray[np.bool_]) -> Array:
    """Newton's step [F] with the curvature made positive; nothing where ``fixed``."""
    free = np.where(fixed, 0.0, 1.0)
    eigenvalues, vectors = np.linalg.eigh(curvature * np.outer(free, free))
    largest = max(float(np.abs(eigenvalues).max()), np.finfo(float).tiny)
    damped = np.maximum(np.abs(eigenvalues), _FLATTEST * largest)
    return np.asarray(-free * (vectors @ ((vectors.T @ gradient) / damped)))


def _bounds(parameter: Parameter) -> tuple[float, float]:
    return parameter.bounds if parameter.period is None else (-np.inf, np.inf)
