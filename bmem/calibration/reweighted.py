"""Simulated events that stand for any θ: weights of ratios of exact densities, and indices drawn with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from bmem.calibration.balance import balanced
from bmem.calibration.record import Array, IntArray
from bmem.errors import InputError, RangeError
from bmem.inference.objective import Basis


@dataclass(frozen=True)
class Reweighted:
    """N events made with a density q, which stand for any θ [P] of the ``basis``.

    ``exact`` [N, K] are the components s_k(x_hard) divided by q(x_hard), ``exact_fiducial`` [K] their σ_k, which should be
    those of the simulation that made the events, not learned ones, whose error would move the toys along.
    """

    basis: Basis
    exact: Array
    exact_fiducial: Array

    @property
    def n_events(self) -> int:
        return len(self.exact)

    def weights(self, theta: ArrayLike) -> Array:
        """Weights [N] that make the bank a sample of ``theta`` [P]; their sum is 1.

        They are ratios of densities, balanced so that the means of s_k/p are σ_k/σ (see ``bmem.calibration.balance``).

        Raises:
            RangeError: the bank is too small for that.
        """
        b = self.basis.value(theta)
        density = self.exact @ b
        inside = density > 0
        features, means = self.exact[inside] / density[inside, None], self.exact_fiducial / (b @ self.exact_fiducial)
        weights = np.zeros(self.n_events)
        weights[inside] = balanced(density[inside], features, means)
        return weights

    def normalisation(self, theta: ArrayLike) -> tuple[float, float]:
        """Mean of p(x | θ)/q(x) over the bank with its standard error: 1 if the σ_k are right and the bank reaches θ."""
        b = self.basis.value(theta)
        ratio = self.exact @ b / (b @ self.exact_fiducial)
        return float(ratio.mean()), float(ratio.std(ddof=1) / np.sqrt(len(ratio)))

    def effective_events(self, theta: ArrayLike) -> float:
        """Unweighted events that the bank is worth at ``theta`` [P], (Σ w)² / Σ w²."""
        return float(1 / np.square(self.weights(theta)).sum())

    def draw(self, theta: ArrayLike, shape: tuple[int, ...], rng: np.random.Generator, minimum: float = 0.0) -> IntArray:
        """Indices, of the given ``shape``, of events drawn at ``theta`` [P].

        Raises:
            RangeError: the bank is worth fewer than ``minimum`` events there.
        """
        weights = self.weights(theta)
        effective = float(1 / np.square(weights).sum())
        if not effective >= minimum:
            raise RangeError(
                f"the bank of {self.n_events} events is worth {effective:.0f} at θ = {np.asarray(theta).tolist()}, "
                f"{minimum:.0f} are needed; add events made near this θ, or ask for fewer events per sample"
            )
        edges = np.cumsum(weights)
        return np.searchsorted(edges / edges[-1], rng.random(shape), side="right").astype(np.int64)

    def select(self, events: IntArray) -> Self:
        """The same for some of the events [n] (a random choice of them, or the weights are wrong)."""
        return replace(self, exact=self.exact[events])


def over_density(exact: Array, mixture: Array) -> Array:
    """s_k/q [N, K] of ``exact`` components s_k [N, K] of events made with the density q = Σ_k mixture_k s_k.

    Raises:
        InputError: an event has no density there.
    """
    density = exact @ mixture
    lost = np.flatnonzero(~(density > 0))
    if lost.size:
        raise InputError(f"bank: {lost.size} events have no density at the θ they were made at; check their x_hard")
    return exact / density[:, None]
