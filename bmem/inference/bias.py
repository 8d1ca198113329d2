"""The bias of the method: what all replicas have in common is in no spread, so it is measured on events that none has seen.

At the true θ the mean score of an exact likelihood vanishes. Of one that has a bias it does not: the mean score, times the
events and over the curvature of -2 log L, is the shift of the estimate. Its own fluctuation would hide it, but the exact
score of x_hard, whose mean is known, has nearly the same one: only their difference has to be averaged (a control variate).
The normalisation σ_k drops out of it, so this is the bias of the integrals alone (transfer, acceptance, points); what σ_k
have is in the simulation statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.errors import InputError
from bmem.inference.objective import Basis, Objective

Array = NDArray[np.float64]

_FEWEST = 100
"""Hard events with which a bias is worth a number."""


@dataclass(frozen=True)
class Bias:
    """``shift`` of each parameter's estimate [P] that the method makes, its standard ``error`` [P], from so many ``events``.

    The estimate is not corrected for it.
    """

    shift: tuple[float, ...]
    error: tuple[float, ...]
    events: int

    @property
    def size(self) -> Array:
        """What stands for it in a total [P]: shift and error in quadrature."""
        return np.hypot(self.shift, self.error)


@dataclass(frozen=True)
class Validation:
    """Events on which no network was trained, made with the density Σ_k mixture_k s_k(x_hard) before the acceptance.

    Their ``integrals`` I_k [N, K], the ``exact`` components s_k(x_hard) [N, K], the ``mixture`` [K], and the number of the
    ``hard`` event of each [N], because several responses to one are not independent.

    Raises:
        InputError: the shapes do not belong together.
    """

    integrals: Array
    exact: Array
    mixture: Array
    hard: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.exact.shape
        if self.integrals.shape != shape or self.mixture.shape != shape[1:] or self.hard.shape != shape[:1]:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in vars(self).items())
            raise InputError(f"validation events do not belong together, their shapes are: {shapes}")

    def score(self, basis: Basis, theta: ArrayLike) -> tuple[Array, Array, int]:
        """Mean score [P] of the integrals at events made at θ, its covariance [P, P], and of how many events.

        Events without a positive density there are left out.
        """
        b, slope = basis.value(theta), basis.gradient(theta)
        usable = (self.integrals @ b > 0) & (self.exact @ b > 0)
        integrals, exact = self.integrals[usable], self.exact[usable]
        difference = integrals @ slope.T / (integrals @ b)[:, None] - exact @ slope.T / (exact @ b)[:, None]
        weight = exact @ b / (exact @ self.mixture)
        mean = weight @ difference / weight.sum()
        each = np.zeros((self.hard.max() + 1, len(slope)))
        np.add.at(each, self.hard[usable], weight[:, None] * (difference - mean))
        return mean, each.T @ each / weight.sum() ** 2, len(integrals)

    def bias(self, objective: Objective, basis: Basis, theta: ArrayLike) -> Bias | None:
        """Of the estimate ``theta`` [P], the minimum of an ``objective`` of events with this ``basis``.

        None where it has no meaning: the likelihood has no curvature there, or there are fewer than 100 hard events.
        """
        curvature = objective.curvature(theta)
        if not np.linalg.eigvalsh(curvature)[0] > 0 or len(np.unique(self.hard)) < _FEWEST:
            return None
        mean, covariance, events = self.score(basis, theta)
        response = 2 * (objective.n_events - len(objective.excluded)) * np.linalg.inv(curvature)
        error = np.sqrt(np.diag(response @ covariance @ response.T))
        return Bias(tuple((response @ mean).tolist()), tuple(error.tolist()), events)

