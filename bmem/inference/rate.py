"""A rate that depends on the parameters beyond the cross section: the branching ratio of a loop-induced decay, say.

σ_k are cross sections times the branching ratios at a fixed point; elsewhere the number of events has a factor f(θ). It is
a polynomial of the couplings, so that b_k(θ) f(θ) is a finite basis again. In Σ b_k I_k / Σ b_k σ_k the factor drops out:
the shape of the signal does not know it, the rate and a background beside the signal do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.process.contract import Parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RateFactor:
    """f(θ) = Σ_k c_k b_k(θ), positive: θ [P] → ``value`` [], ``gradient`` [P], ``hessian`` [P, P].

    ``coefficients`` are c [K] for the functions of ``basis``; ``value`` accepts leading axes.
    """

    basis: Basis
    coefficients: tuple[float, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.basis.parameters

    def value(self, theta: ArrayLike) -> Array:
        return np.asarray(self.basis.value(theta) @ np.array(self.coefficients))

    def gradient(self, theta: ArrayLike) -> Array:
        return np.asarray(self.basis.gradient(theta) @ np.array(self.coefficients))

    def hessian(self, theta: ArrayLike) -> Array:
        return np.asarray(self.basis.hessian(theta) @ np.array(self.coefficients))


class RatedBasis:
    """b_k(θ) f(θ), with exact derivatives; see ``with_rate``."""

    def __init__(self, basis: Basis, factor: RateFactor) -> None:
        if [p.name for p in basis.parameters] != [p.name for p in factor.parameters]:
            names = [[p.name for p in one.parameters] for one in (factor, basis)]
            raise InputError(f"a rate factor of {names[0]} for a basis of {names[1]}; give one of the same parameters")
        self.basis, self.factor = basis, factor
        self.parameters = basis.parameters

    def value(self, theta: ArrayLike) -> Array:
        return self.factor.value(theta)[..., None] * self.basis.value(theta)

    def gradient(self, theta: ArrayLike) -> Array:
        slope = np.multiply.outer(self.factor.gradient(theta), self.basis.value(theta))
        return self.factor.value(theta) * self.basis.gradient(theta) + slope

    def hessian(self, theta: ArrayLike) -> Array:
        mixed = self.factor.gradient(theta)[:, None, None] * self.basis.gradient(theta)[None]
        bend = np.multiply.outer(self.factor.hessian(theta), self.basis.value(theta))
        return self.factor.value(theta) * self.basis.hessian(theta) + mixed + mixed.swapaxes(0, 1) + bend


def with_rate(basis: Basis, factor: RateFactor | None) -> Basis:
    """``basis`` of a signal times its rate ``factor``; None for a constant one. For an extended likelihood.

    A signal strength or backgrounds come after it: ``with_strength(with_rate(basis, factor))``.

    Raises:
        InputError: the factor is of other parameters.
    """
    return basis if factor is None else RatedBasis(basis, factor)
