"""How a parameter or an observable is written on an axis: symbol, unit, and the factor from stored to printed numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator

_DEGREE_STEPS = (1, 1.5, 3, 4.5, 6, 9, 10)


@dataclass(frozen=True)
class Quantity:
    """``symbol`` in TeX without dollars, printed ``unit`` ("" if it has none), and ``scale``: printed = scale x stored."""

    symbol: str
    unit: str = ""
    scale: float = 1.0

    @property
    def label(self) -> str:
        """The axis label, symbol and unit."""
        return f"${self.symbol}$ [{self.unit}]" if self.unit else f"${self.symbol}$"

    @property
    def estimate_label(self) -> str:
        """The axis label of an estimate: the symbol with a hat."""
        return Quantity(rf"\hat{{{self.symbol}}}", self.unit).label

    def set_ticks(self, axis: Axis) -> None:
        """Ticks for ``axis``: of angles, at 15, 30, 45, ... degrees."""
        if self.unit == "deg":
            axis.set_major_locator(MaxNLocator(nbins=8, steps=_DEGREE_STEPS))


ALPHA = Quantity(r"\alpha", "deg", 180 / math.pi)
"""The CP phase: radians inside, degrees in print."""
