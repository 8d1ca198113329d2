"""Neyman construction with the likelihood-ratio ordering of Feldman and Cousins (physics/9711021), for one parameter.

At every one of the true values θ, toys of n events are drawn from a bank, and t = -2 log L(θ)/L(θ̂) of each is computed; the
critical value t_c(θ) is the quantile of t at the confidence level. The interval of a measurement holds the θ at which its
own t is at most t_c(θ): it covers by construction, where the χ² quantile of the profile interval is only asymptotic.

The bank is finite: its own fluctuation moves all toys together by some sqrt(n / N_eff) of a standard deviation, which makes
t_c too large by n / N_eff on average, relatively; ``BeltSettings.reserve`` bounds this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bmem import artifacts
from bmem.calibration.bank import Bank
from bmem.calibration.pulls import short_way
from bmem.calibration.record import Array, JsonRecord
from bmem.calibration.toys import AS_INTEGRATED, ToyScan, Treatment, quantile, true_values
from bmem.errors import ArtifactError, InputError, RangeError
from bmem.inference.intervals import Curve, IntervalSet, regions
from bmem.inference.minima import FitResult, fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, Objective, axes
from bmem.process.contract import Parameter
from bmem.rng import numpy_generator
from bmem.workers import Workers, map_chunks

KIND = "belt"
Progress = Callable[[int, int], None]
Quantiles = list[tuple[float, float]]
"""Critical values at one true value, with their errors."""
_SAME = 1e-6
_BENT = 4.0
"""Errors that a critical value must lie off the line through its neighbours for new true values between them."""


@dataclass(frozen=True)
class BeltSettings:
    """How a belt is made.

    ``points`` true values over the closed range, the two ends of an angle counted both though they are one; ``toys`` at
    each; confidence ``levels``; ``grid`` points of the scan that finds the minimum of a toy, refined by a parabola;
    ``reserve`` times n events the bank must be worth at every true value; the ``treatment`` of replicas and integration
    errors. Where critical values do not lie on a line with their neighbours, the distance of the true values is halved
    up to ``halvings`` times.
    """

    points: int = 37
    toys: int = 10_000
    levels: tuple[float, ...] = (0.683, 0.954)
    grid: int = 180
    reserve: float = 10.0
    halvings: int = 2
    treatment: Treatment = AS_INTEGRATED

    def __post_init__(self) -> None:
        if self.points < 2 or self.grid < 8 or min(self.reserve, self.halvings) < 0:
            raise InputError("belt: at least 2 points, a grid of 8, and reserve and halvings >= 0 are needed")
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise InputError(f"confidence levels lie between 0 and 1, not {self.levels}")
        needed = 10 / (1 - max(self.levels))
        if self.toys < needed:
            raise InputError(f"belt: {self.toys} toys are too few for level {max(self.levels)}, give {needed:.0f} or more")


@dataclass(frozen=True)
class Belt(JsonRecord):
    """Critical values of t for samples of ``events`` events.

    ``critical`` [L, A] at the ``levels`` [L] and true ``values`` [A], with statistical errors ``error`` [L, A] from the
    ``toys`` at each value; ``effective`` [A] what the bank was worth there; ``replicas`` and ``resampled`` are the treatment
    of the toys (see ``bmem.calibration.toys``). ``name``, ``bounds`` and ``period`` are those of
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
    replicas: str
    resampled: bool

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
        return IntervalSet(objective.parameters[0], float(level), regions(excess, grid, excess(grid), self.period))

    def folded_interval(self, objective: Objective, level: float, result: FitResult | None = None) -> IntervalSet:
        """The region of |θ|, where the sign is not resolved: the image of ``interval`` under θ → |θ|, which covers too.

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
        """t - t_c as a function of θ."""

        def excess(x: Array) -> Array:
            return objective.value(x[:, None]) - result.floor - self.critical_value(x, level)

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
        for what, own, other in (("basis", self.basis, basis), ("σ_k", self._own(fiducial), fiducial)):
            if own.shape != other.shape or not np.allclose(own, other, rtol=_SAME, atol=_SAME * np.abs(own).max()):
                raise InputError(f"the belt was made for another process or other networks: the {what} differ; make it anew")

    def _own(self, fiducial: Array) -> Array:
        """The σ_k that a measurement with ``fiducial`` [R, K] should have: those of all replicas, or of the nearest one."""
        if self.replicas == "marginal" or fiducial.shape[1:] != self.fiducial.shape[1:]:
            return self.fiducial
        if len(fiducial) > 1:
            raise InputError(
                f"in the toys of this belt one replica is drawn, this likelihood is the mean over {len(fiducial)}; give one "
                "of its replicas, or make a belt with replicas = 'marginal'"
            )
        return self.fiducial[[np.abs(self.fiducial - fiducial).sum(axis=1).argmin()]]

    def save(
        self, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
    ) -> artifacts.Header:
        """Write as JSON with a header; ``parents`` are the artifacts of the bank."""
        return artifacts.JsonFile(KIND, self.to_dict()).save(path, settings or {}, parents or {})

    @classmethod
    def load(cls, path: Path) -> Belt:
        """Read what ``save`` wrote.

        Raises:
            ArtifactError: the file is missing, foreign, damaged or of a newer format.
        """
        try:
            return cls.from_dict(artifacts.read_json(path, KIND))
        except (ValueError, TypeError, OSError) as error:
            raise ArtifactError(f"{path}: not the layout of a belt ({error}); make it again") from error


def make_belt(
    bank: Bank,
    events: int,
    seed: int,
    settings: BeltSettings | None = None,
    progress: Progress | None = None,
    *,
    workers: Workers | None = None,
) -> Belt:
    """The belt for measurements of ``events`` events; ``progress(done, total)`` is called after each true value.

    The generator of each true value is its own: a belt with more values keeps the toys of those that it shares.

    Raises:
        InputError: the basis has several parameters, or there is no event.
        RangeError: the bank is worth too few events at a true value (``BeltSettings.reserve``).
    """
    settings = settings or BeltSettings()
    if len(bank.basis.parameters) != 1 or events < 1:
        raise InputError(f"a belt is of one parameter and at least one event, not {bank.basis.parameters} and {events}")
    parameter = bank.basis.parameters[0]
    column = _Column(ToyScan(bank, settings.grid, settings.treatment), events, seed, settings)
    columns = refined(column, parameter, settings, progress, workers)
    values = np.array(sorted(columns))
    critical, error = np.array([columns[value] for value in values]).transpose(2, 1, 0)
    return Belt(
        name=parameter.name,
        bounds=parameter.bounds,
        period=parameter.period,
        events=events,
        toys=settings.toys,
        levels=np.array(settings.levels),
        values=values,
        critical=critical,
        error=error,
        effective=np.array([bank.effective_events([value]) for value in values]),
        basis=bank.basis.value(values[:, None]),
        fiducial=bank.fiducial,
        replicas=settings.treatment.replicas,
        resampled=settings.treatment.resampled,
    )


def refined(
    column: Callable[[float], Quantiles],
    parameter: Parameter,
    settings: BeltSettings,
    progress: Progress | None,
    workers: Workers | None,
) -> dict[float, Quantiles]:
    """What ``column`` finds at the true values of a belt, with more of them where critical values bend."""
    columns: dict[float, Quantiles] = {}
    for halving in range(settings.halvings + 1):
        even = true_values(parameter, settings.points).tolist()
        new = _between_bends(columns, parameter.period) if halving else even
        before = len(columns)
        for index, found in map_chunks(column, new, workers):
            columns[new[index]] = found
            if progress is not None:
                progress(len(columns), before + len(new))
    return columns


@dataclass(frozen=True)
class _Column:
    """The critical values and their errors [L][2] at one true value."""

    scan: ToyScan
    events: int
    seed: int
    settings: BeltSettings

    def __call__(self, value: float) -> Quantiles:
        rng = numpy_generator(self.seed, "belt", repr(value))
        shape = (self.settings.toys, self.events)
        t = self.scan.statistics(value, shape, rng, self.settings.reserve * self.events)
        return [quantile(t, level) for level in self.settings.levels]


def _between_bends(columns: Mapping[float, Quantiles], period: float | None) -> list[float]:
    """The middles of the intervals on both sides of every true value at which the critical values bend significantly."""
    x = np.array(sorted(columns))
    table = np.array([columns[value] for value in x])
    if period is not None:
        x, table = np.concatenate([x[-1:] - period, x, x[:1] + period]), np.concatenate([table[-1:], table, table[:1]])
    share = ((x[1:-1] - x[:-2]) / (x[2:] - x[:-2]))[:, None]
    critical, error = table[..., 0], table[..., 1]
    bend = critical[1:-1] - share * critical[2:] - (1 - share) * critical[:-2]
    spread = np.sqrt(error[1:-1] ** 2 + (share * error[2:]) ** 2 + ((1 - share) * error[:-2]) ** 2)
    bent = np.flatnonzero((np.abs(bend) > _BENT * spread).any(axis=1)) + 1
    sides = np.unique(np.concatenate([bent - 1, bent]))
    middles = (x[sides] + x[sides + 1]) / 2
    if period is not None:
        low = min(columns)
        middles = low + np.mod(middles - low, period)
    return sorted({float(middle) for middle in middles} - set(columns))


def _replicas(objective: Objective) -> tuple[NegativeTwoLogLikelihood, ...]:
    if isinstance(objective, MarginalLikelihood):
        return objective.replicas
    if isinstance(objective, NegativeTwoLogLikelihood):
        return (objective,)
    raise InputError(f"a belt is for the likelihood of events, not for {type(objective).__name__}")
