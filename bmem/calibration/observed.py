"""Data as a belt of a population sees them: t along θ, with all other parameters fitted, by the statistic of its toys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bmem.calibration.known_elsewhere import KnownElsewhere
from bmem.calibration.likelihood_ratio import best_fits
from bmem.calibration.population import averaged
from bmem.calibration.record import Array
from bmem.calibration.toy_fits import Samples, minimised
from bmem.calibration.toys import true_values
from bmem.errors import InputError
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.objective import Basis
from bmem.process.contract import Parameter

_GRID = 180


@dataclass(frozen=True)
class Data:
    """A sample: averaged ``integrals`` [N, K] of its usable events and ``fiducial`` [K], and what is ``known`` elsewhere.

    ``nominal`` [Q] are values of the other parameters to start fits from. With a luminosity events without a usable density
    count with the density of an average one, as in the fit.
    """

    basis: Basis
    integrals: Array
    fiducial: Array
    luminosity: float | None
    known: KnownElsewhere
    nominal: Array
    events: int

    @classmethod
    def of(cls, hypothesis: Hypothesis, nominal: Array) -> Data:
        """The events of a ``hypothesis``.

        Raises:
            InputError: none of them has a usable density.
        """
        values, fiducial = averaged(hypothesis.coefficients)
        lost = hypothesis.excluded
        used = np.delete(values, lost, axis=0)
        if not len(used):
            raise InputError("no event has a usable density: there is nothing to hold against a belt")
        if hypothesis.luminosity is not None:
            used = np.concatenate([used, np.tile(fiducial, (len(lost), 1))])
        known = KnownElsewhere.of(hypothesis.constraints, hypothesis.basis.parameters)
        kept = len(values) - len(lost)
        return cls(hypothesis.basis, used, fiducial, hypothesis.luminosity, known, np.asarray(nominal), kept)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.basis.parameters

    def ratio(self, theta: Array) -> tuple[Array, Array]:
        """t [G] at θ [G], and the values of the other parameters [G, Q] that fit best there."""
        start = self._best[0].copy()
        start = np.concatenate([theta[:, None], np.tile(start[1:], (len(theta), 1))], axis=1)
        there, value = minimised(self._samples(len(theta)), start, range(1, start.shape[1]))
        return np.maximum(value - self._best[1], 0.0), there[:, 1:]

    @property
    def minima(self) -> Array:
        """θ of the best fit [1]."""
        return self._best[0][:1]

    @cached_property
    def _best(self) -> tuple[Array, float]:
        first = self.parameters[0]
        values = true_values(first, _GRID + (first.period is not None))
        best, lowest = best_fits(self._samples(1), self.nominal, values)
        if first.period is not None:
            best[:, 0] = first.bounds[0] + np.mod(best[:, 0] - first.bounds[0], first.period)
        return best[0], float(lowest[0])

    def _samples(self, count: int) -> Samples:
        n = len(self.integrals)
        rows, weights = np.broadcast_to(np.arange(n), (count, n)), np.ones((count, n))
        pull = np.tile(self.known.pull, (count, 1))
        return Samples(self.basis, self.integrals, self.fiducial, self.luminosity, self.known, rows, weights, pull)
