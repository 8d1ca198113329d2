"""Couplings themselves as parameters: the same integrals I_k, another basis.

The amplitude is M_W + κ_S M_S + κ_P M_P with M_W fixed by the gauge couplings, so the components of the cross section do not
change when κ_S and κ_P are free instead of tied to the phase α, and nothing has to be integrated again. The same holds for
every process whose cross section is a polynomial in its couplings, an effective field theory for instance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.process.contract import Parameter

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SCALAR = Parameter("kappa_s", (-3.0, 3.0), symbol=r"\kappa_S", text="κ_S")
"""κ_S, 1 in the Standard Model."""
PSEUDOSCALAR = Parameter("kappa_p", (-3.0, 3.0), symbol=r"\kappa_P", text="κ_P")
"""κ_P, 0 in the Standard Model; the phase α has κ_S = cos α, κ_P = (2/3) sin α."""


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


def coupling_basis(scalar: Parameter = SCALAR, pseudoscalar: Parameter = PSEUDOSCALAR) -> PolynomialBasis:
    """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²) of free couplings (κ_S, κ_P), for coefficients of single top + Higgs.

    The interference with M_W lets the shape alone see the size of the couplings, and the sign of κ_S.
    """
    return PolynomialBasis((scalar, pseudoscalar), ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)))


def _monomials(theta: ArrayLike, powers: Integers) -> Array:
    """θ [..., P], powers [K, P] → [..., K]."""
    return np.prod(np.asarray(theta, np.float64)[..., None, :] ** powers, axis=-1)


def _lowered(powers: Integers, i: int) -> Integers:
    """Powers after a derivative with respect to θ_i; where the power was 0, the derivative's factor is."""
    lowered = powers.copy()
    lowered[:, i] = np.maximum(lowered[:, i] - 1, 0)
    return lowered
