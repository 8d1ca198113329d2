"""Neyman construction with the likelihood-ratio ordering of Feldman and Cousins (physics/9711021), for one parameter.

At every one of the true values α, toys of n events are drawn from a bank, and t = -2 log L(α)/L(α̂) of each is computed; the
critical value t_c(α) is the quantile of t at the confidence level. The interval of a measurement holds the α at which its
own t is at most t_c(α): it covers by construction, where the χ² quantile of the profile interval is only asymptotic.

The bank is finite: its own fluctuation moves all toys together by some sqrt(n / N_eff) of a standard deviation, which makes
t_c too large by n / N_eff on average, relatively; ``BeltSettings.reserve`` bounds this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import logsumexp

from bmem import artifacts
from bmem.calibration.bank import Bank
from bmem.calibration.pulls import short_way
from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.errors import ArtifactError, InputError, RangeError
from bmem.inference.fit import FitResult, fit
from bmem.inference.intervals import Curve, IntervalSet, regions
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, Objective, axes
from bmem.process.contract import Parameter
from bmem.rng import numpy_generator

KIND = "belt"
_BLOCK = 2000
_SAME = 1e-6


@dataclass(frozen=True)
class BeltSettings:
    """How a belt is made.

    ``points`` true values over the closed range, the two ends of an angle counted both though they are one; ``toys`` at
    each; confidence ``levels``; ``grid`` points of the scan that finds the minimum of a toy, refined by a parabola;
    ``reserve`` times n events the bank must be worth at every true value.
    """

    points: int = 37
    toys: int = 10_000
    levels: tuple[float, ...] = (0.683, 0.954)
    grid: int = 180
    reserve: float = 10.0

    def __post_init__(self) -> None:
        if self.points < 2 or self.grid < 8 or self.reserve < 0:
            raise InputError("belt: at least 2 points, a grid of 8 and a reserve that is not negative are needed")
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise InputError(f"confidence levels lie between 0 and 1, not {self.levels}")
        needed = 10 / (1 - max(self.levels))
        if self.toys < needed:
            raise InputError(f"belt: {self.toys} toys are too few for level {max(self.levels)}, give {needed:.0f} or more")


@dataclass(frozen=True)
class Belt(JsonRecord):
    """Critical values of t for samples of ``events`` events.

    ``critical`` [L, A] at the ``levels`` [L] and true ``values`` [A], with statistical errors ``error`` [L, A] from the
    ``toys`` at each value; ``effective`` [A] what the bank was worth there. ``name``, ``bounds`` and ``period`` are those of
    the parameter, ``basis`` [A, K] and ``fiducial`` [R, K] (pb) those of the process and its networks: a measurement with
    others is refused.
    """

    name: str
    bounds: tuple[float, float]
    period: float | None
    events: int
    toys: int
    levels: Array
    values: Array
    critical: Array
    error: Array
    effective: Array
    basis: Array
    fiducial: Array

    @property
    def parameter(self) -> Parameter:
        return Parameter(self.name, self.bounds, self.period)

    def critical_value(self, x: ArrayLike, level: float) -> Array:
        """t_c at x [...], linear between the true values of the belt.

        Raises:
            RangeError: the belt was not made for this level, or an x lies outside of its values (and is no angle).
        """
        found = np.flatnonzero(np.isclose(self.levels, level, rtol=0, atol=1e-9))
        if not found.size:
            raise RangeError(f"the belt was made for the levels {self.levels.tolist()}, not for {level}; make another one")
        x = np.asarray(x, np.float64)
        if self.period is None and not ((x >= self.values[0]) & (x <= self.values[-1])).all():
            raise RangeError(f"{self.name} lies outside of the belt, {self.values[0]} to {self.values[-1]}; make it wider")
        return np.asarray(np.interp(x, self.values, self.critical[found[0]], period=self.period))

    def interval(self, objective: Objective, level: float, result: FitResult | None = None) -> IntervalSet:
        """The confidence region of the measurement ``objective``, whose fit is ``result`` (made here if not given).

        Raises:
            InputError: the belt was made for another number of events, parameter, process or set of networks.
            RangeError: it was not made for this level.
        """
        self.check(objective)
        result = fit(objective) if result is None else result
        excess = self._excess(objective, level, result)
        grid = np.union1d(axes(objective.parameters, 2)[0], [m.theta[0] for m in result.minima])
        return IntervalSet(self.parameter, float(level), regions(excess, grid, excess(grid), self.period))

    def folded_interval(self, objective: Objective, level: float, result: FitResult | None = None) -> IntervalSet:
        """The region of |α|, where the sign is not resolved: the image of ``interval`` under α → |α|, which covers too.

        Raises:
            InputError: as ``interval``, or the range is not symmetric about zero.
        """
        low, high = self.bounds
        if abs(low + high) > 1e-9 * (high - low):
            raise InputError(f"{self.name} cannot be folded: its range {low} to {high} is not symmetric about zero")
        self.check(objective)
        result = fit(objective) if result is None else result
        excess = self._excess(objective, level, result)

        def folded(x: Array) -> Array:
            return np.minimum(excess(x), excess(-x))

        magnitude = Parameter(f"|{self.name}|", (0.0, high), None)
        minima = [abs(float(short_way(np.array(m.theta[0]), self.period))) for m in result.minima]
        grid = np.union1d(axes((magnitude,))[0], minima)
        return IntervalSet(magnitude, float(level), regions(folded, grid, folded(grid), None))

    def _excess(self, objective: Objective, level: float, result: FitResult) -> Curve:
        """t - t_c as a function of α."""

        def excess(x: Array) -> Array:
            return objective.value(x[:, None]) - result.best.value - self.critical_value(x, level)

        return excess

    def check(self, objective: Objective) -> None:
        """Refuse a measurement that this belt was not made for.

        Raises:
            InputError: with what differs.
        """
        replicas = _replicas(objective)
        kept = objective.n_events - len(objective.excluded)
        if objective.parameters != (self.parameter,):
            raise InputError(f"the belt is of {self.parameter}, the measurement of {objective.parameters}; make another")
        if replicas[0].luminosity is not None:
            raise InputError("the belt is of the shape alone (a fixed number of events), this likelihood is extended")
        if kept != self.events:
            raise InputError(f"the belt is for {self.events} events, the measurement has {kept}; make a belt for {kept}")
        basis = replicas[0].basis.value(self.values[:, None])
        fiducial = np.stack([replica.fiducial for replica in replicas])
        for what, own, other in (("basis", self.basis, basis), ("σ_k", self.fiducial, fiducial)):
            if own.shape != other.shape or not np.allclose(own, other, rtol=_SAME, atol=_SAME * np.abs(own).max()):
                raise InputError(f"the belt was made for another process or other networks: the {what} differ; make it anew")

    def save(
        self, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
    ) -> artifacts.Header:
        """Write as JSON with a header; ``parents`` are the artifacts of the bank."""
        text = json.dumps(self.to_dict(), allow_nan=False)
        return artifacts.write(path, KIND, lambda p: _write(p, text), settings, parents)

    @classmethod
    def load(cls, path: Path) -> Belt:
        """Read what ``save`` wrote.

        Raises:
            ArtifactError: the file is missing, foreign, damaged or of a newer format.
        """
        artifacts.verify(path, KIND)
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except (ValueError, TypeError, OSError) as error:
            raise ArtifactError(f"{path}: not the layout of a belt ({error}); make it again") from error


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def make_belt(bank: Bank, events: int, seed: int, settings: BeltSettings | None = None) -> Belt:
    """The belt for measurements of ``events`` events; the likelihood of a toy is the mean over the bank's replicas.

    The generator of each true value is its own: a belt with more values keeps the toys of those that it shares.

    Raises:
        InputError: the basis has several parameters, or there is no event.
        RangeError: the bank is worth too few events at a true value (``BeltSettings.reserve``).
    """
    settings = settings or BeltSettings()
    if len(bank.basis.parameters) != 1 or events < 1:
        raise InputError(f"a belt is of one parameter and at least one event, not {bank.basis.parameters} and {events}")
    parameter = bank.basis.parameters[0]
    values = true_values(parameter, settings.points)
    scan = ToyScan(bank, settings.grid)
    columns = []
    for value in values:
        rng = numpy_generator(seed, "belt", repr(float(value)))
        t = scan.statistics(float(value), (settings.toys, events), rng, settings.reserve * events)
        columns.append([quantile(t, level) for level in settings.levels])
    table = np.array(columns).transpose(2, 1, 0)
    return Belt(
        name=parameter.name,
        bounds=parameter.bounds,
        period=parameter.period,
        events=events,
        toys=settings.toys,
        levels=np.array(settings.levels),
        values=values,
        critical=table[0],
        error=table[1],
        effective=np.array([bank.effective_events([value]) for value in values]),
        basis=bank.basis.value(values[:, None]),
        fiducial=bank.fiducial,
    )


def true_values(parameter: Parameter, points: int) -> Array:
    """``points`` values over the closed range [A]; of an angle without the last one, which is the first."""
    values = np.linspace(*parameter.bounds, points)
    return values if parameter.period is None else values[:-1]


class ToyScan:
    """t of many toys at once: log densities of the bank on a grid, summed over each toy's events by a sparse product."""

    def __init__(self, bank: Bank, grid: int) -> None:
        self.bank = bank
        parameter = bank.basis.parameters[0]
        self.periodic = parameter.period is not None
        self._log_densities = self._on(true_values(parameter, grid + self.periodic))

    def _on(self, values: Array) -> Array:
        """[R, N, G]."""
        replicas = range(len(self.bank.fiducial))
        return np.stack([self.bank.log_densities(values[:, None], r) for r in replicas])

    def statistics(self, truth: float, shape: tuple[int, int], rng: np.random.Generator, minimum: float = 0.0) -> Array:
        """t = -2 log L(truth)/L(α̂) of ``shape`` = (toys, events) drawn at ``truth``, [toys].

        Raises:
            RangeError: the bank is worth fewer than ``minimum`` events at ``truth``.
        """
        toys, events = shape
        logs = np.concatenate([self._log_densities, self._on(np.array([truth]))], axis=2)
        blocks = [min(_BLOCK, toys - start) for start in range(0, toys, _BLOCK)]
        drawn = (self.bank.draw([truth], (block, events), rng, minimum) for block in blocks)
        return np.concatenate([self._statistic(rows, logs) for rows in drawn])

    def _statistic(self, rows: IntArray, logs: Array) -> Array:
        toys, events = rows.shape
        starts = np.arange(0, rows.size + 1, events)
        counts = csr_array((np.ones(rows.size), rows.ravel(), starts), shape=(toys, self.bank.n_events))
        summed = np.stack([counts @ replica for replica in logs])
        curves = -2 * (summed[0] if len(summed) == 1 else logsumexp(summed, axis=0) - np.log(len(summed)))
        return np.maximum(curves[:, -1] - lowest(curves[:, :-1], self.periodic), 0.0)


def lowest(curves: Array, periodic: bool) -> Array:
    """Minimum of every row of ``curves`` [T, G] on an even grid, by the parabola through the lowest point's neighbours."""
    index = curves.argmin(axis=1)
    rows, last = np.arange(len(curves)), curves.shape[1] - 1
    centre = index if periodic else np.clip(index, 1, last - 1)
    left, middle, right = (curves[rows, (centre + step) % (last + 1)] for step in (-1, 0, 1))
    curvature = left + right - 2 * middle
    with np.errstate(divide="ignore", invalid="ignore"):
        drop = np.where(curvature > 0, np.square(right - left) / (8 * curvature), 0.0)
    return np.where(centre == index, middle - drop, curves[rows, index])


def quantile(t: Array, level: float) -> tuple[float, float]:
    """The quantile of the toys ``t`` [T] and its error, half the distance of the order statistics one binomial σ away."""
    ordered, n = np.sort(t), len(t)
    width = np.sqrt(n * level * (1 - level))
    low, high = np.clip([int(n * level - width), int(np.ceil(n * level + width))], 0, n - 1)
    return float(np.quantile(ordered, level)), float(ordered[high] - ordered[low]) / 2


def _replicas(objective: Objective) -> tuple[NegativeTwoLogLikelihood, ...]:
    if isinstance(objective, MarginalLikelihood):
        return objective.replicas
    if isinstance(objective, NegativeTwoLogLikelihood):
        return (objective,)
    raise InputError(f"a belt is for the likelihood of events, not for {type(objective).__name__}")
