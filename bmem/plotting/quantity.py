"""How a parameter or an observable is written on an axis: symbol, unit, and the factor from stored to printed numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass


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


ALPHA = Quantity(r"\alpha", "deg", 180 / math.pi)
"""The CP phase: radians inside, degrees in print."""
