"""One parameter of a measurement as it is read: value and errors rounded alike, in printed units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bmem.inference.combine import Budget
from bmem.inference.intervals import IntervalSet
from bmem.inference.rounding import decimals, errors, interval_text, number
from bmem.process.contract import Parameter
from bmem.quantity import Quantity


@dataclass(frozen=True)
class Estimate:
    """``value`` of a ``parameter`` and standard deviations by ``sources``, in printed units; ``intervals`` in stored ones.

    ``sources`` has "statistical" (NaN without a curvature), "nuisances" if there are any, "integration", and if there are
    replicas "simulation statistics" and, unless they are resamples of the simulation, "weights", the parts of what they
    differ by; where the bias was measured "method bias", its shift and error in quadrature; ``total`` is all in quadrature
    (NaN likewise).
    """

    parameter: Parameter
    value: float
    sources: dict[str, float]
    total: float
    intervals: tuple[IntervalSet, ...] = ()

    @classmethod
    def of(cls, budget: Budget, index: int, intervals: tuple[IntervalSet, ...] = ()) -> Estimate:
        """Parameter ``index`` of a fit with its uncertainties by source."""
        parameter = budget.estimate.parameters[index]
        spread = budget.integration
        found = {
            "statistical": budget.statistical[index],
            **({} if budget.nuisances is None else {"nuisances": budget.nuisances[index]}),
            "integration": budget.integration_linear[index] if spread is None else spread.std[index],
        }
        if budget.network is not None:
            found |= {"simulation statistics": budget.simulation[index]}
        if budget.weights is not None:
            found |= {"weights": budget.weights[index]}
        if budget.bias is not None:
            found |= {"method bias": float(budget.bias.size[index])}
        scale = parameter.scale
        sources = {name: float(error) * scale for name, error in found.items()}
        total = float(budget.total[index]) * scale
        return cls(parameter, float(budget.estimate.theta[index]) * scale, sources, total, intervals)

    @property
    def quantity(self) -> Quantity:
        return self.parameter.quantity

    @property
    def name(self) -> str:
        """With a hat where the name is one letter."""
        shown = self.quantity.shown
        return f"{shown}\u0302" if len(shown) == 1 else shown

    @property
    def sides(self) -> tuple[float, float] | None:
        """Distances to the ends of that piece of the lowest interval that holds the value; None if it is everything."""
        if not self.intervals or self.intervals[0].whole:
            return None
        stored = self.value / self.parameter.scale
        for low, high in self.intervals[0].intervals:
            offset = stored - low
            if self.parameter.period is not None:
                offset = np.mod(offset, self.parameter.period)
            if 0 <= offset <= high - low:
                return float(offset) * self.parameter.scale, float(high - low - offset) * self.parameter.scale
        return None

    @property
    def places(self) -> int:
        """Decimals of the value and of its errors."""
        return decimals(self.total if self.sides is None else min(self.sides, key=lambda side: side or math.inf))

    @property
    def is_flat(self) -> bool:
        """Whether the events exclude no value at all at the lowest level: then there is nothing to quote."""
        return bool(self.intervals) and self.intervals[0].whole

    def __str__(self) -> str:
        unit = self.quantity.suffix
        if self.is_flat:
            return "not measured"
        if self.sides is not None:
            return f"{number(self.value, self.places)} {errors(*self.sides, self.places)}{unit}"
        if math.isfinite(self.total):
            return f"{number(self.value, self.places)} {errors(self.total, self.total, self.places)}{unit}"
        return f"{number(self.value, 1)}{unit} (no error, see the intervals)"

    def region(self, region: IntervalSet) -> str:
        """A region of this parameter, with a digit more than the estimate."""
        return interval_text(region, self.quantity, self.places + 1)

    def source(self, name: str) -> str:
        """An error by its source, rounded like the estimate or to one digit where it is smaller than that."""
        error = self.sources.get(name, math.nan)
        if not math.isfinite(error):
            return "–"
        places = self.places if round(error, self.places) > 0 else decimals(error)
        return number(error, places) + self.quantity.suffix

    def to_dict(self) -> dict[str, Any]:
        """The result as one reads it in a file: everything in printed units; NaN becomes None."""
        sources = {name: error if math.isfinite(error) else None for name, error in self.sources.items()}
        printed = self.quantity.printed
        pieces = {f"{100 * region.level:.1f} %": printed(region.intervals).tolist() for region in self.intervals}
        text = f"{self.quantity.shown} is not measured" if self.is_flat else f"{self.quantity.shown} = {self}"
        head = {"unit": self.quantity.unit, "value": None if self.is_flat else self.value, "text": text}
        return {**head, "errors": sources, "intervals": pieces}
