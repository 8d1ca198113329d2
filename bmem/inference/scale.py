"""Bases made of other bases: a free signal strength, fractions or cross sections of backgrounds, with exact derivatives.

Every model here is linear in products of functions of its parameters, so it is a morphing basis again, and whatever takes
a basis and coefficients (likelihoods, replicas, resamples, error propagation) takes it unchanged:

- ``ProductBasis(b, c)``: all b_k(θ) c_j(φ), the parameters side by side;
- ``SumBasis(b, c)``: the components of one after those of the other;
- ``AffineBasis``: c(φ) = c_0 + C φ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.inference.parameters import STRENGTH
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process.contract import Parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AffineBasis:
    """c(φ) = ``constant`` [J] + φ · ``slopes`` [Q, J] of the Q ``parameters``."""

    parameters: tuple[Parameter, ...]
    constant: Array
    slopes: Array

    def value(self, theta: ArrayLike) -> Array:
        return self.constant + np.asarray(theta, np.float64) @ self.slopes

    def gradient(self, theta: ArrayLike) -> Array:
        return self.slopes

    def hessian(self, theta: ArrayLike) -> Array:
        q, j = self.slopes.shape
        return np.zeros((q, q, j))


class _Pair:
    """Two bases with separate parameters, those of ``left`` first.

    Raises:
        InputError: a parameter is in both.
    """

    def __init__(self, left: Basis, right: Basis) -> None:
        self.left, self.right = left, right
        self.parameters = left.parameters + right.parameters
        names = [p.name for p in self.parameters]
        if len(set(names)) < len(names):
            raise InputError(f"two bases share a parameter: {names}; rename one of them")

    def _split(self, theta: ArrayLike) -> tuple[Array, Array]:
        theta = np.asarray(theta, np.float64)
        return theta[..., : len(self.left.parameters)], theta[..., len(self.left.parameters) :]


class ProductBasis(_Pair):
    """b_k(θ) c_j(φ), with the components of one j together: c_1 b_1 ... c_1 b_K, c_2 b_1 ..."""

    def value(self, theta: ArrayLike) -> Array:
        a, b = self._split(theta)
        return _outer(self.left.value(a), self.right.value(b))

    def gradient(self, theta: ArrayLike) -> Array:
        a, b = self._split(theta)
        of_left = _outer(self.left.gradient(a), self.right.value(b))
        return np.concatenate([of_left, _outer(self.left.value(a), self.right.gradient(b))])

    def hessian(self, theta: ArrayLike) -> Array:
        a, b = self._split(theta)
        mixed = _outer(self.left.gradient(a)[:, None], self.right.gradient(b))
        upper = _outer(self.left.hessian(a), self.right.value(b))
        lower = _outer(self.left.value(a), self.right.hessian(b))
        return _blocks(upper, mixed, lower)


class SumBasis(_Pair):
    """b(θ) and after it c(φ)."""

    def value(self, theta: ArrayLike) -> Array:
        a, b = self._split(theta)
        return np.concatenate([self.left.value(a), self.right.value(b)], -1)

    def gradient(self, theta: ArrayLike) -> Array:
        a, b = self._split(theta)
        left, right = self.left.gradient(a), self.right.gradient(b)
        return np.concatenate([_padded(left, 0, right.shape[-1]), _padded(right, left.shape[-1], 0)])

    def hessian(self, theta: ArrayLike) -> Array:
        a, b = self._split(theta)
        left, right = self.left.hessian(a), self.right.hessian(b)
        k, j = left.shape[-1], right.shape[-1]
        return _blocks(_padded(left, 0, j), np.zeros((len(left), len(right), k + j)), _padded(right, k, 0))


def with_strength(basis: Basis, strength: Parameter = STRENGTH) -> ProductBasis:
    """``basis`` times a free signal strength μ; only the rate sees it, so the likelihood needs a luminosity."""
    return ProductBasis(basis, AffineBasis((strength,), np.zeros(1), np.ones((1, 1))))


def with_nuisances(basis: Basis, monomials: PolynomialBasis | None) -> Basis:
    """``basis`` times the ``monomials`` of nuisance parameters (``bmem.likelihood.nuisances``), the constant one first."""
    return basis if monomials is None or not monomials.parameters else ProductBasis(basis, monomials)


def with_fractions(basis: Basis, fractions: Sequence[Parameter]) -> ProductBasis:
    """``basis`` for a signal and J backgrounds with the ``fractions`` f_j of the accepted events.

    The components are (1 - Σ f_j) b_k, f_1 b_k, f_2 b_k ...: with I = σ_k p_j(x) and σ = σ_k for background j the density
    is (1 - Σ f_j) p_s(x|θ) + Σ f_j p_j(x) at every θ; ``bmem.inference.mixture`` makes such coefficients.

    Raises:
        InputError: there is no fraction, or their bounds allow a negative one, or a sum above 1.
    """
    _check_fractions(fractions)
    j = len(fractions)
    constant, slopes = np.eye(1, j + 1)[0], np.concatenate([np.full((j, 1), -1.0), np.eye(j)], axis=1)
    return ProductBasis(basis, AffineBasis(tuple(fractions), constant, slopes))


def with_cross_sections(basis: Basis, cross_sections: Sequence[Parameter]) -> SumBasis:
    """``basis`` for a signal and J backgrounds with accepted ``cross_sections`` σ_j in pb, so that L σ_j are expected."""
    j = len(cross_sections)
    return SumBasis(basis, AffineBasis(tuple(cross_sections), np.zeros(j), np.eye(j)))


def _check_fractions(fractions: Sequence[Parameter]) -> None:
    if not fractions:
        raise InputError("a mixture needs the fraction of at least one background")
    lowest, highest = min(p.bounds[0] for p in fractions), sum(p.bounds[1] for p in fractions)
    if lowest < 0 or highest > 1:
        raise InputError(
            f"the fractions of the backgrounds may be as low as {lowest:g} and add up to {highest:g}; "
            "give them bounds from 0 on whose upper ends add up to 1 at most"
        )


def _outer(left: Array, right: Array) -> Array:
    """[..., K], [..., J] → [..., J K]."""
    product = right[..., :, None] * left[..., None, :]
    return product.reshape(*product.shape[:-2], product.shape[-2] * product.shape[-1])


def _padded(values: Array, before: int, after: int) -> Array:
    """Zeros on both sides of the last axis."""
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(before, after)])


def _blocks(upper: Array, mixed: Array, lower: Array) -> Array:
    """[[upper, mixed], [mixedᵀ, lower]] in the first two axes."""
    top = np.concatenate([upper, mixed], axis=1)
    return np.concatenate([top, np.concatenate([mixed.swapaxes(0, 1), lower], axis=1)])
