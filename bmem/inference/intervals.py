"""Profile-likelihood intervals: where -2 log L lies less than a quantile above its minimum.

The region may be several intervals, wrap around the period, be the whole circle or end at a boundary. By Wilks' theorem it
covers asymptotically; ``bmem.calibration`` measures how well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from iminuit import Minuit
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

from bmem.errors import FitError, InputError
from bmem.inference.minima import FitResult
from bmem.inference.newton import conditional_minimum, nuisance_indices
from bmem.inference.objective import Objective, axes, scan_grid
from bmem.process.contract import Parameter

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]
"""x [G] → values [G]; negative inside the region."""

EVERYTHING = "everything"
"""How an interval is printed that excludes nothing."""
_PRECISION = 1e-9
_REFINEMENT = 2
_FOLLOWED = 3
"""Minima that the profile of a nuisance parameter is followed from, at most."""
_NUISANCE_POINTS = 25
"""Of the scan of a nuisance parameter over its range."""


@dataclass(frozen=True)
class IntervalSet:
    """A union of ``intervals`` (lower, upper) of one ``parameter`` at a confidence ``level``, in rising order.

    For an angle the lower end lies within one period from the parameter's lower bound on, and the upper end may exceed it.
    """

    parameter: Parameter
    level: float
    intervals: tuple[tuple[float, float], ...]

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Whether x [...] lies in one of the intervals (angles of any turn)."""
        x = np.asarray(x, dtype=np.float64)
        inside = np.zeros(x.shape, dtype=bool)
        for lower, upper in self.intervals:
            offset = x - lower
            if self.parameter.period is not None:
                offset = np.mod(offset, self.parameter.period)
            inside |= (offset >= 0) & (offset <= upper - lower)
        return inside

    @property
    def length(self) -> float:
        """Total length."""
        return float(sum(upper - lower for lower, upper in self.intervals))

    @property
    def whole(self) -> bool:
        """Whether nothing is excluded."""
        low, high = self.parameter.bounds
        return self.length >= (self.parameter.period or high - low) * (1 - 1e-12)

    @property
    def at_boundary(self) -> bool:
        """Whether an interval ends at a bound of the parameter rather than where the likelihood falls; no angle does."""
        low, high = self.parameter.bounds
        return self.parameter.period is None and any(a <= low or b >= high for a, b in self.intervals)

    def __str__(self) -> str:
        if self.whole:
            return EVERYTHING
        scale, unit = (180 / np.pi, "°") if _is_angle(self.parameter) else (1.0, "")
        shown = (f"[{a * scale:.4g}{unit}, {b * scale:.4g}{unit}]" for a, b in self.intervals)
        return " ∪ ".join(shown)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> IntervalSet:
        """The inverse of ``to_dict``."""
        try:
            p = content["parameter"]
            parameter = Parameter.from_dict(p)
            return cls(parameter, content["level"], tuple((a, b) for a, b in content["intervals"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not the dictionary of an interval set: {error!r}") from error


def _is_angle(parameter: Parameter) -> bool:
    return parameter.period is not None and bool(np.isclose(parameter.period, 2 * np.pi))


def profile_intervals(
    objective: Objective, result: FitResult, levels: tuple[float, ...] = (0.683, 0.954), index: int = 0
) -> tuple[IntervalSet, ...]:
    """The regions of parameter ``index`` with -2 Δlog L <= χ²₁ quantile of each of the ``levels``; others are profiled.

    Args:
        objective: the likelihood, as given to ``fit``.
        result: its fit; the minima found are points of the scan, so that none slips through.
        levels: confidence levels in (0, 1).
        index: the parameter.

    Raises:
        InputError: a level is outside (0, 1).
        FitError: the profile falls below the minimum of ``result``: it is not the fit of this objective.
    """
    if not all(0 < level < 1 for level in levels):
        raise InputError(f"confidence levels lie between 0 and 1, not {levels}")
    parameter = objective.parameters[index]
    curve = profile(objective, index, [np.array(m.theta) for m in result.minima])
    alone = len(objective.parameters) - len(nuisance_indices(objective.parameters)) <= 1
    scan = axes(objective.parameters, _REFINEMENT if alone else 1)[index]
    if parameter.nuisance:
        scan = np.linspace(*parameter.bounds, _NUISANCE_POINTS)
    grid = np.union1d(scan, [m.theta[index] for m in result.minima])
    values = curve(grid)
    if values.min() < result.floor - 1e-3:
        raise FitError(f"-2 log L falls {result.floor - values.min():.3g} below the fitted minimum; fit again")
    thresholds = [result.floor + chi2.ppf(level, 1) for level in levels]
    return tuple(
        IntervalSet(parameter, float(level), regions(_shifted(curve, t), grid, values - t, parameter.period))
        for level, t in zip(levels, thresholds, strict=True)
    )


def _shifted(curve: Curve, threshold: float) -> Curve:
    return lambda x: curve(x) - threshold


def profile(objective: Objective, index: int, minima: Sequence[Array] = ()) -> Curve:
    """-2 log L minimised over all parameters but ``index``, as a function of x [G] → [G].

    Over nuisance parameters, and for the profile of one, it is followed from point to point, from known ``minima`` [P] on.
    """
    parameters = objective.parameters
    if len(parameters) == 1:
        return lambda x: objective.value(np.asarray(x)[:, None])
    others = [i for i in range(len(parameters)) if i != index]
    if parameters[index].nuisance or all(parameters[i].nuisance for i in others):
        return _Followed(objective, index, minima)
    return lambda x: np.array([_conditional_minimum(objective, index, value) for value in x])


class _Followed:
    """A profile whose minima over the other parameters are each found from those of the point before."""

    def __init__(self, objective: Objective, index: int, minima: Sequence[Array]) -> None:
        self.objective, self.index = objective, index
        self.free = [i for i in range(len(objective.parameters)) if i != index]
        several = _FOLLOWED if objective.parameters[index].nuisance else 1
        self.starts = [*minima[:several]] or [np.zeros(len(objective.parameters))]

    def __call__(self, x: Array) -> Array:
        return np.array([self._at(value) for value in x])

    def _at(self, value: float) -> float:
        found = []
        for k, start in enumerate(self.starts):
            there = np.array(start)
            there[self.index] = value
            self.starts[k] = conditional_minimum(self.objective, there, self.free)
            found.append(float(self.objective.value(self.starts[k])))
        return min(found)


def _conditional_minimum(objective: Objective, index: int, value: float) -> float:
    others = tuple(p for i, p in enumerate(objective.parameters) if i != index)
    grid = np.insert(scan_grid(others), index, value, axis=1)
    minuit = Minuit(objective, *grid[np.argmin(objective.value(grid))])
    minuit.fixed[index] = True
    minuit.strategy = 0
    minuit.migrad()
    return float(minuit.fval)


def regions(curve: Curve, grid: Array, values: Array, period: float | None) -> tuple[tuple[float, float], ...]:
    """Intervals where ``curve`` is negative, its ends found to 1e-9 between the points of ``grid``.

    Args:
        curve: the function; a test statistic minus its threshold, say.
        grid: rising points [G]; for a periodic curve within one period.
        values: ``curve(grid)``.
        period: of the curve, or None; without one, a region may end at the first or last point of the grid.
    """
    inside = values <= 0
    if period is not None:
        if inside.all():
            return ((float(grid[0]), float(grid[0] + period)),)
        first = int(np.argmin(inside))
        x = np.concatenate([grid[first:], grid[: first + 1] + period])
        values = np.concatenate([values[first:], values[: first + 1]])
        inside = values <= 0
    else:
        x = grid
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    ends = [_edge(curve, x[i : i + 2], values[i : i + 2]) for i in changes]
    ends = [float(x[0])] * bool(inside[0]) + ends + [float(x[-1])] * bool(inside[-1])
    pairs = zip(ends[::2], ends[1::2], strict=True)
    if period is None:
        return tuple(pairs)
    origin = grid[0]
    turns = [(a, b, period * np.floor((a - origin) / period)) for a, b in pairs]
    return tuple(sorted((float(a - t), float(b - t)) for a, b, t in turns))


def _edge(curve: Curve, x: Array, values: Array) -> float:
    """Where the curve changes sign between two points."""
    nearest = int(np.argmin(np.abs(values)))
    if abs(values[nearest]) < _PRECISION:
        return float(x[nearest])
    return float(brentq(lambda t: float(curve(np.array([t]))[0]), x[0], x[1], xtol=_PRECISION))
