"""Bases that are polynomials in the parameters: couplings of a Lagrangian, Wilson coefficients of an effective theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.process.contract import Parameter

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PolynomialBasis:
    """b_k(θ) = Π_i θ_i^powers[k][i], exact: θ [P] → ``value`` [K], ``gradient`` [P, K], ``hessian`` [P, P, K].

    ``powers`` has K tuples of P whole numbers >= 0; ``value`` accepts leading axes.

    Example:
        >>> PolynomialBasis((Parameter("c", (-1.0, 1.0)),), ((0,), (1,), (2,))).value([0.5]).tolist()
        [1.0, 0.5, 0.25]
    """

    parameters: tuple[Parameter, ...]
    powers: tuple[tuple[int, ...], ...]

    def value(self, theta: ArrayLike) -> Array:
        return _monomials(theta, np.array(self.powers))

    def gradient(self, theta: ArrayLike) -> Array:
        powers = np.array(self.powers)
        return np.stack([powers[:, i] * _monomials(theta, _lowered(powers, i)) for i in range(len(self.parameters))])

    def hessian(self, theta: ArrayLike) -> Array:
        powers, indices = np.array(self.powers), range(len(self.parameters))
        rows = []
        for i in indices:
            once = _lowered(powers, i)
            rows.append([powers[:, i] * once[:, j] * _monomials(theta, _lowered(once, j)) for j in indices])
        return np.array(rows)


def _monomials(theta: ArrayLike, powers: Integers) -> Array:
    """θ [..., P], powers [K, P] → [..., K]."""
    return np.prod(np.asarray(theta, np.float64)[..., None, :] ** powers, axis=-1)


def _lowered(powers: Integers, i: int) -> Integers:
    """Powers after a derivative with respect to θ_i; where the power was 0, the derivative's factor is."""
    lowered = powers.copy()
    lowered[:, i] = np.maximum(lowered[:, i] - 1, 0)
    return lowered
