"""Minima over some of the parameters by Newton's method with exact derivatives: what profiling nuisance parameters takes.

A nuisance parameter is bounded by its constraint, so that near a minimum -2 log L is nearly quadratic in it and some steps
are enough; a neighbouring minimum is a good start. A search over several minima is that of ``bmem.inference.minima``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.inference.expansion import Expansion
from bmem.process.contract import Parameter

Array = NDArray[np.float64]

_STEPS = 50
_SMALL = 1e-7
"""Expected gain in -2 log L below which the search ends."""
_HALVINGS = 12
_FLATTEST = 1e-3
"""Curvatures are taken for at least this part of the largest, so that a step is finite and leads down."""


class Smooth(Protocol):
    """A function of θ [P] with two derivatives."""

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    def expanded(self, theta: ArrayLike) -> Expansion: ...


class WithUnitConstraints:
    """A function of θ plus Σ ν² of the nuisance parameters among θ: for where their external constraints are not known."""

    def __init__(self, target: Smooth) -> None:
        self.target, self.parameters = target, target.parameters
        self._own = np.array([float(p.nuisance) for p in target.parameters])

    def expanded(self, theta: ArrayLike) -> Expansion:
        value, gradient, curvature = self.target.expanded(theta)
        slope = 2 * self._own * np.asarray(theta, np.float64)
        return Expansion(value + slope @ np.asarray(theta) / 2, gradient + slope, curvature + 2 * np.diag(self._own))


def nuisance_indices(parameters: Sequence[Parameter]) -> list[int]:
    """Which of the ``parameters`` are nuisance parameters."""
    return [i for i, p in enumerate(parameters) if p.nuisance]


def conditional_minimum(target: Smooth, start: Array, free: Sequence[int]) -> Array:
    """θ [P] with the ``free`` entries at the minimum of ``target`` next to ``start``, within their bounds."""
    theta, index = np.array(start, np.float64), list(free)
    walls = np.array([_bounds(target.parameters[i]) for i in index]).reshape(-1, 2).T
    here = target.expanded(theta)
    for _ in range(_STEPS if index else 0):
        gradient, curvature = here.gradient[index], here.curvature[np.ix_(index, index)]
        outward = ((theta[index] <= walls[0]) & (gradient > 0)) | ((theta[index] >= walls[1]) & (gradient < 0))
        gradient = np.where(outward, 0.0, gradient)
        step = _downhill(curvature, gradient, outward)
        if -gradient @ step / 2 < _SMALL:
            break
        for halving in range(_HALVINGS):
            there = theta.copy()
            there[index] = np.clip(theta[index] + step / 2**halving, *walls)
            found = target.expanded(there)
            if found.value < here.value:
                break
        else:
            break
        theta, here = there, found
    return theta


def _downhill(curvature: Array, gradient: Array, fixed: NDArray[np.bool_]) -> Array:
    """Newton's step [F] with the curvature made positive; nothing where ``fixed``."""
    free = np.where(fixed, 0.0, 1.0)
    eigenvalues, vectors = np.linalg.eigh(curvature * np.outer(free, free))
    largest = max(float(np.abs(eigenvalues).max()), np.finfo(float).tiny)
    damped = np.maximum(np.abs(eigenvalues), _FLATTEST * largest)
    return np.asarray(-free * (vectors @ ((vectors.T @ gradient) / damped)))


def _bounds(parameter: Parameter) -> tuple[float, float]:
    return parameter.bounds if parameter.period is None else (-np.inf, np.inf)
