"""Goodness of fit: is this sample compatible with any θ at all?

The absolute densities log p(x_n | θ̂) of the events at the fitted θ̂ are held against those of toys drawn from the bank at
θ̂ and fitted in the same way; log p is the mean over the replicas of the networks, as in the estimate. Two statistics:

- "mean": their mean less the mean expected at θ̂, in units of its spread; events where the density is low make it negative;
- "distance": the Anderson-Darling distance (Ann. Math. Stat. 23 (1952) 193) of their distribution from the expected one.

What is expected is taken at the θ̂ of each sample, toys included. At θ̂ the score vanishes, so that to first order the mean
moves with θ̂ exactly as its expectation does: the statistics are insensitive to θ and say nothing of its value, and
their distributions hardly depend on the θ at which the toys are drawn. A raw mean log p scatters more among toys
of one θ than about its expectation at θ̂, and its p-values are too large where the density's entropy depends on θ.

A sample of another process whose events have the same densities under this one cannot be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.sparse import csr_array

from bmem.calibration.bank import Bank
from bmem.calibration.mean_density import mean_log_density
from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.calibration.toys import true_values
from bmem.errors import InputError
from bmem.inference.objective import unusable_events
from bmem.likelihood.coefficients import Coefficients
from bmem.rng import numpy_generator

MEAN, DISTANCE = STATISTICS = ("mean", "distance")
_QUANTILES = 400
_BLOCK = 1 << 20
"""Events of toys that are held at once."""


@dataclass(frozen=True)
class GoodnessSettings:
    """``toys`` that make a p-value; ``grid`` points of the scan that fits them; ``reserve`` times n events the bank must be
    worth at θ̂ (see ``bmem.calibration.neyman``).
    """

    toys: int = 2000
    grid: int = 180
    reserve: float = 10.0

    def __post_init__(self) -> None:
        if self.toys < 20 or self.grid < 8 or self.reserve < 0:
            raise InputError("goodness of fit: at least 20 toys, a grid of 8, and a reserve >= 0 are needed")


@dataclass(frozen=True)
class Goodness(JsonRecord):
    """A sample of n usable events (``excluded`` ones left out) against T toys at its estimate ``theta``.

    ``log_densities`` [n] of the events at ``theta``; ``levels`` [n] the probability of an event with a lower one, uniform in
    [0, 1] if all is well; ``expected`` [Q] evenly spaced quantiles of log p, from the bank; ``observed`` [2] and ``toys``
    [2, T] the values of ``STATISTICS``.
    """

    theta: float
    excluded: int
    log_densities: Array
    levels: Array
    expected: Array
    observed: Array
    toys: Array

    @property
    def p_values(self) -> Array:
        """Of each statistic [2]: two-sided for the mean, upper tail for the distance; at least 1/(T + 1)."""
        return self._tails()[:, -1]

    @property
    def p_errors(self) -> Array:
        """Monte Carlo errors of ``p_values`` [2]."""
        sides = np.array([2.0, 1.0])
        return sides * _binomial(self.p_values / sides, self.toys.shape[1])

    @property
    def p_value(self) -> tuple[float, float]:
        """Of both statistics together, with its Monte Carlo error: how often the smaller p-value of a toy is as small."""
        smaller = self._tails().min(axis=0)
        p = np.mean(smaller <= smaller[-1])
        return float(p), float(_binomial(p, self.toys.shape[1]))

    def _tails(self) -> Array:
        """Share of the toys and the sample that are at least as far off as each of them, the sample last: [2, T + 1]."""
        values = np.concatenate([self.toys, self.observed[:, None]], axis=1)
        reached, above = (stats.rankdata(signed * values, "max", axis=1) for signed in (1, -1))
        mean = 2 * np.minimum(reached[0], above[0])
        return np.minimum(np.stack([mean, above[1]]) / values.shape[1], 1.0)

    def improbable(self, count: int = 10) -> IntArray:
        """The ``count`` usable events with the lowest density levels, the lowest first."""
        return np.argsort(self.levels, kind="stable")[:count].astype(np.int64)


def _binomial(p: ArrayLike, count: int) -> Array:
    """Standard error of a share ``p`` of ``count``."""
    return np.sqrt(np.asarray(p) * (1 - np.asarray(p)) / count)


def goodness_of_fit(coefficients: Coefficients, bank: Bank, seed: int, settings: GoodnessSettings | None = None) -> Goodness:
    """Test the sample ``coefficients`` against toys from ``bank``, both made with the same networks and one parameter.

    Raises:
        InputError: no usable event, several parameters, or a sample of other networks.
        RangeError: the bank is worth too few events at the estimate (``GoodnessSettings.reserve``).
    """
    usable = coefficients.n_events - len(unusable_events(coefficients, bank.basis))
    return GoodnessTest(bank, usable, seed, settings)(coefficients)


class GoodnessTest:
    """The test of samples of ``events`` usable events; toys at an estimate are drawn once and kept for later samples.

    Raises:
        InputError: the bank has several parameters, or there is no event.
    """

    def __init__(self, bank: Bank, events: int, seed: int, settings: GoodnessSettings | None = None) -> None:
        if len(bank.basis.parameters) != 1 or events < 1:
            raise InputError(
                f"goodness of fit is of one parameter and at least one event, not of {len(bank.basis.parameters)} "
                f"parameters and {events} usable events"
            )
        self.bank, self.events, self.seed = bank, events, seed
        self.settings = settings or GoodnessSettings()
        self._scan = _Scan.of(bank, self.settings.grid)
        self._toys: dict[int, Array] = {}

    def __call__(self, coefficients: Coefficients) -> Goodness:
        """The result for one sample.

        Raises:
            InputError: another number of usable events, or other networks than those of the bank.
            RangeError: the bank is worth too few events at the estimate.
        """
        fiducial, unusable = coefficients.fiducial, unusable_events(coefficients, self.bank.basis)
        kept = np.setdiff1d(np.arange(coefficients.n_events), unusable)
        if len(kept) != self.events:
            raise InputError(f"this test is of {self.events} usable events, the sample has {len(kept)}; make another one")
        own = self.bank.fiducial
        if fiducial.shape != own.shape or not np.allclose(fiducial, own, rtol=1e-6, atol=1e-6 * np.abs(own).max()):
            raise InputError("the σ_k of the sample are not those of the bank: give a bank of the same networks")
        logs = mean_log_density(coefficients.values[:, kept], fiducial, self._scan.b)
        place = int(logs.sum(axis=0).argmax())
        column = self._scan.column(place)
        return Goodness(
            theta=float(self._scan.values[place]),
            excluded=len(unusable),
            log_densities=logs[:, place],
            levels=column.level_of(logs[:, place]),
            expected=column.quantiles(),
            observed=column.statistics(logs[None, :, place], column.level_of(logs[None, :, place]))[:, 0],
            toys=self._toys_at(place),
        )

    def _toys_at(self, place: int) -> Array:
        if place not in self._toys:
            rng = numpy_generator(self.seed, "goodness", place)
            left, parts = self.settings.toys, []
            while left:
                size = min(left, max(1, _BLOCK // self.events))
                shape, minimum = (size, self.events), self.settings.reserve * self.events
                rows = self.bank.draw([self._scan.values[place]], shape, rng, minimum)
                parts.append(self._scan.statistics(rows))
                left -= size
            self._toys[place] = np.concatenate(parts, axis=1)
        return self._toys[place]


@dataclass(frozen=True)
class _Scan:
    """The bank's log densities ``logs`` [N, G] on the grid ``values`` [G] with its basis ``b`` [G, K]."""

    bank: Bank
    values: Array
    b: Array
    logs: Array
    columns: dict[int, _Column] = field(default_factory=dict)

    @classmethod
    def of(cls, bank: Bank, grid: int) -> _Scan:
        parameter = bank.basis.parameters[0]
        values = true_values(parameter, grid + (parameter.period is not None))
        b = bank.basis.value(values[:, None])
        return cls(bank, values, b, mean_log_density(bank.integrals, bank.fiducial, b))

    def column(self, place: int) -> _Column:
        if place not in self.columns:
            self.columns[place] = _Column.of(self.logs[:, place], self.bank.weights([self.values[place]]))
        return self.columns[place]

    def statistics(self, rows: IntArray) -> Array:
        """Of toys made of the events ``rows`` [T, n], each at its own estimate: [2, T]."""
        toys, events = rows.shape
        starts = np.arange(0, rows.size + 1, events)
        counts = csr_array((np.ones(rows.size), rows.ravel(), starts), shape=(toys, len(self.logs)))
        places = (counts @ self.logs).argmax(axis=1)
        result = np.empty((len(STATISTICS), toys))
        for place in np.unique(places):
            own, column = rows[places == place], self.column(int(place))
            result[:, places == place] = column.statistics(self.logs[own, place], column.levels[own])
        return result


@dataclass(frozen=True)
class _Column:
    """What is expected at one θ: log densities ``ordered`` [N] with the probability ``below`` [N] of lower ones, the
    ``levels`` [N] of the bank's events in their own order, mean and spread of the log density.
    """

    ordered: Array
    below: Array
    levels: Array
    mean: float
    spread: float

    @classmethod
    def of(cls, logs: Array, weights: Array) -> _Column:
        order = np.argsort(logs, kind="stable")
        below = weights[order].cumsum() - weights[order] / 2
        inside = np.clip(below, 1e-12, 1 - 1e-12)
        levels = np.empty(len(logs))
        levels[order] = inside
        mean = float(weights @ logs)
        return cls(logs[order], inside, levels, mean, float(np.sqrt(weights @ np.square(logs - mean))))

    def level_of(self, logs: Array) -> Array:
        """Probability of a lower log density than ``logs`` [...]."""
        return np.interp(logs, self.ordered, self.below)

    def quantiles(self) -> Array:
        return np.interp((np.arange(_QUANTILES) + 0.5) / _QUANTILES, self.below, self.ordered)

    def statistics(self, logs: Array, levels: Array) -> Array:
        """[2, T] of samples with these log densities and levels [T, n]."""
        return np.stack([(logs.mean(axis=1) - self.mean) * np.sqrt(logs.shape[1]) / self.spread, _anderson_darling(levels)])


def _anderson_darling(levels: Array) -> Array:
    """A² of the uniform distribution for ``levels`` [T, n] → [T]."""
    u, n = np.sort(levels, axis=1), levels.shape[1]
    terms = (2 * np.arange(1, n + 1) - 1) * (np.log(u) + np.log1p(-u[:, ::-1]))
    return -n - terms.sum(axis=1) / n
