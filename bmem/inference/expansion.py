"""-2 log L with both derivatives at one θ in all replicas at once: what a step of Newton's method takes.

The functions of the basis are evaluated once, and the events of all replicas in a few products of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]


class Expansion(NamedTuple):
    """``value`` [...], ``gradient`` [..., P] and second derivatives ``curvature`` [..., P, P] of a -2 log L at one θ."""

    value: Array
    gradient: Array
    curvature: Array


class BasisAt(NamedTuple):
    """Functions b_k [K] at one θ with their derivatives [P, K] and [P, P, K]."""

    b: Array
    db: Array
    ddb: Array


@dataclass(frozen=True)
class StackedEvents:
    """``integrals`` [R, N, K] and ``fiducial`` σ_k [R, K] of the events in the shape; ``observed`` ones are in the rate.

    Densities below ``floor`` count as this.
    """

    integrals: Array
    fiducial: Array
    luminosity: float | None
    observed: int
    floor: float

    def at(self, basis: BasisAt) -> Expansion:
        """-2 log L in every replica, up to nothing: the value is that of ``NegativeTwoLogLikelihood``."""
        density = np.maximum(self.integrals @ basis.b, self.floor)
        weighted = self.integrals / density[..., None]
        score = weighted @ basis.db.T
        shape = Expansion(
            -2 * np.log(density).sum(-1),
            -2 * score.sum(-2),
            -2 * (weighted.sum(-2) @ basis.ddb.reshape(-1, basis.ddb.shape[-1]).T).reshape(-1, *basis.ddb.shape[:2])
            + 2 * score.swapaxes(-1, -2) @ score,
        )
        rate = self._rate(basis)
        return Expansion(*(one + other for one, other in zip(shape, rate, strict=True)))

    def _rate(self, basis: BasisAt) -> Expansion:
        """The terms of σ_fid: of its logarithm, and with a luminosity of the number of events."""
        sigma, slope = self.fiducial @ basis.b, self.fiducial @ basis.db.T
        bend = np.einsum("pqk,rk->rpq", basis.ddb, self.fiducial)
        logs, linear = float(self.integrals.shape[1]), 0.0
        constant = 0.0
        if self.luminosity is not None:
            logs, linear = logs - self.observed, self.luminosity
            constant = 2 * float(gammaln(self.observed + 1)) - 2 * self.observed * np.log(self.luminosity)
        first = (2 * logs / sigma + 2 * linear)[:, None]
        outer = slope[:, :, None] * slope[:, None, :]
        return Expansion(
            2 * logs * np.log(sigma) + 2 * linear * sigma + constant,
            first * slope,
            first[..., None] * bend - (2 * logs / sigma**2)[:, None, None] * outer,
        )
