"""A bank of integrated events: samples of any θ and any size, drawn in microseconds because nothing is integrated again.

The bank holds events made at one or several θ_j, each with its MEM integrals and with the exact components s_k of its
x_hard. A mixture with N_j events at θ_j has the density q(x) = Σ_j N_j/N p(x | θ_j), so that an event stands for θ with the
weight p(x | θ) / q(x), exact by the morphing basis (the transfer and the efficiency cancel). Samples are drawn with
replacement: the bank must be worth many more events than one of them (see ``effective_events``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bmem.calibration.record import Array, IntArray
from bmem.errors import InputError, RangeError
from bmem.inference.objective import Basis, unusable_events
from bmem.likelihood.coefficients import Coefficients


@dataclass(frozen=True)
class BankSample:
    """Unweighted events made at ``theta`` [P]: their ``observed`` integrals and, in the same order, the ``exact`` s_k.

    ``exact`` is what ``bmem.calibration.yardstick`` gives (one replica); for a process with known I_k it may be those.
    """

    theta: Array
    observed: Coefficients
    exact: Coefficients


@dataclass(frozen=True)
class Bank:
    """N usable events: ``integrals`` [R, N, K] with ``fiducial`` [R, K], and ``exact`` densities.

    ``exact`` [N, K] are the components s_k(x_hard) divided by q(x_hard), ``exact_fiducial`` [K] their σ_k; ``excluded``
    counts the events left out because their density is not positive everywhere.
    """

    basis: Basis
    integrals: Array
    fiducial: Array
    exact: Array
    exact_fiducial: Array
    excluded: int

    @classmethod
    def of(cls, samples: Sequence[BankSample], basis: Basis) -> Bank:
        """The mixture of ``samples``.

        Raises:
            InputError: there is no sample or no usable event, the two sides of a sample differ in length, the samples
                belong to different networks (σ_k), or an event has no density at any θ_j.
        """
        _check(samples)
        usable = [np.setdiff1d(np.arange(s.observed.n_events), unusable_events(s.observed, basis)) for s in samples]
        exact = np.concatenate([s.exact.values[0, rows] for s, rows in zip(samples, usable, strict=True)])
        if not len(exact):
            raise InputError("bank: no event has a positive density at every θ; integrate with more points")
        sigma = samples[0].exact.fiducial[0]
        shares = np.array([len(rows) for rows in usable]) / len(exact)
        mixture = np.zeros(len(exact))
        for share, sample in zip(shares, samples, strict=True):
            b = basis.value(sample.theta)
            mixture += share * (exact @ b) / (b @ sigma)
        lost = np.flatnonzero(~(mixture > 0))
        if lost.size:
            raise InputError(f"bank: {lost.size} events have no density at the θ they were made at; check their x_hard")
        return cls(
            basis=basis,
            integrals=np.concatenate([s.observed.values[:, rows] for s, rows in zip(samples, usable, strict=True)], axis=1),
            fiducial=samples[0].observed.fiducial,
            exact=exact / mixture[:, None],
            exact_fiducial=sigma,
            excluded=sum(s.observed.n_events for s in samples) - len(exact),
        )

    @property
    def n_events(self) -> int:
        return len(self.exact)

    def weights(self, theta: ArrayLike) -> Array:
        """Weights [N] that make the bank a sample of ``theta`` [P]; their sum is 1."""
        b = self.basis.value(theta)
        weights = np.maximum(self.exact @ b, 0.0)
        return weights / weights.sum()

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
        effective = self.effective_events(theta)
        if not effective >= minimum:
            raise RangeError(
                f"the bank of {self.n_events} events is worth {effective:.0f} at θ = {np.asarray(theta).tolist()}, "
                f"{minimum:.0f} are needed; add events made near this θ, or ask for fewer events per sample"
            )
        edges = np.cumsum(self.weights(theta))
        return np.searchsorted(edges / edges[-1], rng.random(shape), side="right").astype(np.int64)

    def log_densities(self, theta: ArrayLike, replica: int = 0) -> Array:
        """log p(x_n | θ) up to a constant of the event, for ``theta`` [G, P] → [N, G]."""
        b = self.basis.value(theta)
        return np.log(self.integrals[replica] @ b.T) - np.log(b @ self.fiducial[replica])

    def coefficients(self, events: IntArray) -> Coefficients:
        """The ``events`` [n] (indices, repeated or not) as Coefficients without integration errors."""
        values = self.integrals[:, events]
        replicas, n, components = values.shape
        return Coefficients(
            values=values,
            covariance=np.zeros((replicas, n, components, components)),
            fiducial=self.fiducial,
            fiducial_covariance=np.zeros((replicas, components, components)),
        )


def _check(samples: Sequence[BankSample]) -> None:
    if not samples:
        raise InputError("bank: no sample was given")
    first = samples[0]
    for number, sample in enumerate(samples):
        if sample.observed.n_events != sample.exact.n_events:
            raise InputError(
                f"bank: sample {number} has {sample.observed.n_events} integrated and {sample.exact.n_events} exact events"
            )
        for one, other in ((sample.observed, first.observed), (sample.exact, first.exact)):
            if one.fiducial.shape != other.fiducial.shape or not np.allclose(one.fiducial, other.fiducial, rtol=1e-9):
                raise InputError(f"bank: sample {number} has other σ_k than sample 0; use one set of networks for all")
