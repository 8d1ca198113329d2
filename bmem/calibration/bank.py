"""A bank of integrated events: samples of any θ and any size, drawn in microseconds because nothing is integrated again.

The bank holds events made at one or several θ_j, each with its MEM integrals and with the exact components s_k of its
x_hard. A mixture with N_j events at θ_j has the density q(x) = Σ_j N_j/N p(x | θ_j), so that an event stands for θ with the
weight p(x | θ) / q(x), exact by the morphing basis (the transfer and the efficiency cancel). Samples are drawn with
replacement: the bank must be worth many more events than one of them (see ``effective_events``).

Every event keeps the integration error that it has once and for all, as an observed event does; with ``bootstrap``
resamples, samples may be given another realisation of it (``resampled``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bmem.calibration.record import Array, IntArray
from bmem.calibration.reweighted import Reweighted, over_density
from bmem.errors import InputError
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
class Bank(Reweighted):
    """N usable events: ``integrals`` [R, N, K] with ``fiducial`` [R, K], and the ``exact`` densities of ``Reweighted``.

    ``excluded`` counts the events left out because their density is not positive everywhere. ``bootstrap`` [R, B, N, K] and
    ``fiducial_bootstrap`` [R, B, K] are resamples of the integration points, or None.
    """

    integrals: Array
    fiducial: Array
    excluded: int
    bootstrap: Array | None = None
    fiducial_bootstrap: Array | None = None

    @classmethod
    def of(cls, samples: Sequence[BankSample], basis: Basis) -> Bank:
        """The mixture of ``samples``.

        Raises:
            InputError: there is no sample or no usable event, the two sides of a sample differ in length, the samples
                belong to different networks (σ_k), or an event has no density at any θ_j.
        """
        _check(samples)
        usable = [np.setdiff1d(np.arange(s.observed.n_events), unusable_events(s.observed, basis)) for s in samples]
        shares = np.array([len(rows) for rows in usable]) / max(1, sum(len(rows) for rows in usable))
        b, sigma = np.stack([basis.value(s.theta) for s in samples]), samples[0].exact.fiducial[0]
        observed = _joined([s.observed.select(rows) for s, rows in zip(samples, usable, strict=True)])
        exact = np.concatenate([s.exact.values[0, rows] for s, rows in zip(samples, usable, strict=True)])
        excluded = sum(s.observed.n_events for s in samples) - len(exact)
        return cls._of(basis, (observed, exact, sigma), (shares / (b @ sigma)) @ b, excluded)

    @classmethod
    def of_mixture(cls, observed: Coefficients, exact: Coefficients, mixture: ArrayLike, basis: Basis) -> Bank:
        """Events whose θ was drawn for each: before acceptance their density is Σ_k mixture_k s_k(x), up to a constant.

        ``mixture`` [K] is what ``bmem.likelihood.cross_section.mixture_coefficients`` gives for a uniform θ.

        Raises:
            InputError: the two sides differ in length, no event is usable, or one has no density under the mixture.
        """
        _check([BankSample(np.zeros(len(basis.parameters)), observed, exact)])
        usable = np.setdiff1d(np.arange(observed.n_events), unusable_events(observed, basis))
        c, sigma = np.asarray(mixture, np.float64), exact.fiducial[0]
        events = (observed.select(usable), exact.values[0, usable], sigma)
        return cls._of(basis, events, c / (c @ sigma), observed.n_events - len(usable))

    @classmethod
    def _of(cls, basis: Basis, events: tuple[Coefficients, Array, Array], mixture: Array, excluded: int) -> Bank:
        """The bank of usable events (observed, s_k [N, K], σ_k [K]) made with the density Σ_k mixture_k s_k."""
        observed, exact, sigma = events
        if not len(exact):
            raise InputError("bank: no event has a positive density at every θ; integrate with more points")
        return cls(
            basis=basis,
            integrals=observed.values,
            fiducial=observed.fiducial,
            exact=over_density(exact, mixture),
            exact_fiducial=sigma,
            excluded=excluded,
            bootstrap=observed.bootstrap,
            fiducial_bootstrap=observed.fiducial_bootstrap,
        )

    def log_densities(self, theta: ArrayLike, replica: int = 0) -> Array:
        """log p(x_n | θ) up to a constant of the event, for ``theta`` [G, P] → [N, G]."""
        b = self.basis.value(theta)
        return np.log(self.integrals[replica] @ b.T) - np.log(b @ self.fiducial[replica])

    def resampled(self, index: int) -> Bank:
        """The bank with the integrals and the σ_k of resample ``index`` (modulo their number).

        Raises:
            InputError: no resamples were kept.
        """
        if self.bootstrap is None or self.fiducial_bootstrap is None:
            raise InputError("the bank keeps no resamples of its integrals; integrate it with [integration] resamples > 0")
        b = index % self.bootstrap.shape[1]
        return replace(self, integrals=self.bootstrap[:, b], fiducial=self.fiducial_bootstrap[:, b])

    def known(self) -> Bank:
        """The yardstick: the same events as if their x_hard had been measured."""
        bank = replace(self, integrals=self.exact[None], fiducial=self.exact_fiducial[None])
        return replace(bank, bootstrap=None, fiducial_bootstrap=None)

    def select(self, events: IntArray) -> Bank:
        """The bank of some of the events [n] (a random choice of them, or the weights are wrong)."""
        bootstrap = None if self.bootstrap is None else self.bootstrap[:, :, events]
        return replace(self, integrals=self.integrals[:, events], exact=self.exact[events], bootstrap=bootstrap)

    def halves(self, rng: np.random.Generator) -> tuple[Bank, Bank]:
        """Two banks without a common event: one to make a belt, the other one to test it."""
        order = rng.permutation(self.n_events)
        middle = len(order) // 2
        return self.select(np.sort(order[:middle])), self.select(np.sort(order[middle:]))

    def coefficients(self, events: IntArray) -> Coefficients:
        """The ``events`` [n] (indices, repeated or not) as Coefficients without integration errors."""
        return Coefficients.exact(self.integrals[:, events], self.fiducial)


def _joined(parts: Sequence[Coefficients]) -> Coefficients:
    """The events of all ``parts``; resamples only where all have as many."""
    first, resamples = parts[0], {None if p.bootstrap is None else p.bootstrap.shape[1] for p in parts}
    keep = len(resamples) == 1 and None not in resamples
    return Coefficients(
        values=np.concatenate([p.values for p in parts], axis=1),
        covariance=np.concatenate([p.covariance for p in parts], axis=1),
        fiducial=first.fiducial,
        fiducial_covariance=first.fiducial_covariance,
        bootstrap=np.concatenate([p.bootstrap for p in parts if p.bootstrap is not None], axis=2) if keep else None,
        fiducial_bootstrap=first.fiducial_bootstrap if keep else None,
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
