"""Fewer components: the integrals of a mixture are far from independent, since a background has one number for each event.

With I = U V the density Σ b_k I_k is Σ_r u_r (V b)_r, and what is summed over the events of many samples are r numbers in
place of K: of a signal with K components and J backgrounds, whose mixture has K (1 + J), it is K + J at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bmem.calibration.record import Array
from bmem.inference.objective import Basis
from bmem.process.contract import Parameter

_RANK = 1e-12
"""Singular values below this part of the largest one are rounding."""


@dataclass(frozen=True)
class CompactBasis:
    """V b(θ) [r] for ``directions`` V [r, K]; values only."""

    basis: Basis
    directions: Array

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.basis.parameters

    def value(self, theta: ArrayLike) -> Array:
        return np.asarray(self.basis.value(theta) @ self.directions.T)


def compacted(basis: Basis, integrals: Array, fiducial: Array) -> tuple[CompactBasis, Array, Array]:
    """Basis, integrals [N, r] and σ [r] that give the same densities, each event's up to a factor of its own.

    The factor drops out of likelihood ratios: rows are scaled to a largest entry of 1, so that none loses digits to another.
    """
    scaled = integrals / np.abs(integrals).max(axis=1, keepdims=True)
    own = fiducial / np.abs(fiducial).max()
    _, values, directions = np.linalg.svd(np.concatenate([scaled, own[None]]), full_matrices=False)
    kept = directions[values > _RANK * values[0]]
    return CompactBasis(basis, kept), scaled @ kept.T, kept @ fiducial

