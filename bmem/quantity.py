"""How a number is called and written: name, symbol, unit, and the factor from stored to printed values; parameters θ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Quantity:
    """``name`` in files and keys, ``symbol`` in TeX without dollars, ``text`` on a terminal (the name if empty).

    ``unit`` is that of printed numbers ("" if there is none; "deg" for degrees), and printed = ``scale`` x stored.
    """

    name: str
    symbol: str
    unit: str = ""
    scale: float = 1.0
    text: str = ""

    @property
    def shown(self) -> str:
        """What a terminal or a table shows."""
        return self.text or self.name

    @property
    def estimate(self) -> str:
        """What a terminal shows for an estimate: a single letter with a hat, a longer name as it is."""
        return f"{self.shown}\u0302" if len(self.shown) == 1 else self.shown

    def digits(self, error: float | None) -> int:
        """Decimals of printed values with a stored ``error``: two significant ones of it, at least one."""
        printed = abs(float(self.printed(error or 0.0)))
        return max(1, 1 - math.floor(math.log10(printed))) if 0 < printed < math.inf else 1

    @property
    def label(self) -> str:
        """The axis label, symbol and unit."""
        return f"${self.symbol}${self.bracket}"

    @property
    def estimate_label(self) -> str:
        """The axis label of an estimate: the symbol with a hat."""
        return Quantity(self.name, rf"\hat{{{self.symbol}}}", self.unit).label

    @property
    def bracket(self) -> str:
        """The unit as it follows a name on an axis: `` [°]``; nothing if there is none."""
        unit = self.suffix.strip()
        return f" [{unit}]" if unit else ""

    @property
    def suffix(self) -> str:
        """The unit as it follows a number: ``°`` without a space, others with one."""
        return "°" if self.unit == "deg" else f" {self.unit}" if self.unit else ""

    def printed(self, stored: ArrayLike) -> NDArray[np.float64]:
        """From stored to printed numbers, of any shape."""
        return np.asarray(stored, dtype=np.float64) * self.scale

    def stored(self, printed: ArrayLike) -> NDArray[np.float64]:
        """From printed to stored numbers, of any shape."""
        return np.asarray(printed, dtype=np.float64) / self.scale


@dataclass(frozen=True)
class Parameter:
    """One parameter θ: its name, the bounds of its range, its period if it is an angle, and how it is written.

    ``bounds`` and ``period`` are in the unit of the computation (radians); ``scale`` leads to the printed ``unit`` ("deg").
    How it is written makes no difference: parameters of the same name, bounds and period are the same. A ``nuisance``
    parameter is in units of its external error around 0, where scans over the others hold it.
    """

    name: str
    bounds: tuple[float, float]
    period: float | None = None
    symbol: str = field(default="", compare=False)
    unit: str = field(default="", compare=False)
    scale: float = field(default=1.0, compare=False)
    text: str = field(default="", compare=False)
    nuisance: bool = field(default=False, compare=False)

    @property
    def quantity(self) -> Quantity:
        """How it is written; without a ``symbol`` its name is the symbol."""
        return Quantity(self.name, self.symbol or rf"\mathrm{{{self.name}}}", self.unit, self.scale, self.text)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Parameter:
        """The inverse of ``dataclasses.asdict``; an angle of the time before units were stored is printed in degrees."""
        if "unit" not in content and np.isclose(content["period"] or 0.0, 2 * math.pi):
            content = {**content, "unit": "deg", "scale": 180 / math.pi}
        return cls(**{**content, "bounds": tuple(content["bounds"])})
