"""The uncertainty budget against what drives it: events, integration points, training events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bmem.inference.combine import Budget
from bmem.plotting.style import LEARNED, REFERENCE, SECOND, legend_above
from bmem.plotting.ticks import set_log_ticks
from bmem.quantity import Quantity

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BudgetScan:
    """Standard deviations of the first parameter by source, [S] each, at the values ``x`` [S] of what drives them.

    ``known`` has the relative error of each of them, [S], by source; a source that was not evaluated is missing.
    """

    x: Array
    sources: dict[str, Array]
    known: dict[str, Array]

    @classmethod
    def of(cls, x: Sequence[float], budgets: Sequence[Budget]) -> BudgetScan:
        """Of one budget for each ``x``."""
        sources = {"statistical": np.array([budget.statistical[0] for budget in budgets])}
        known = {"statistical": np.zeros(len(budgets))}
        for name in ("integration", "network"):
            spreads = [spread for spread in (getattr(budget, name) for budget in budgets) if spread is not None]
            if len(spreads) == len(budgets):
                sources[name] = np.array([spread.std[0] for spread in spreads])
                known[name] = np.array([spread.relative_error for spread in spreads])
        return cls(np.asarray(x, np.float64), sources, known)


_LOOKS = {"statistical": (REFERENCE, "o"), "integration": (LEARNED, "s"), "network": (SECOND, "^")}


def draw_budget(axes: Axes, scan: BudgetScan, label: str, quantity: Quantity) -> dict[str, Any]:
    """Draw the standard deviations of ``scan`` against ``label`` on logarithmic axes; returns its lines by source."""
    artists = {}
    for name, sigma in scan.sources.items():
        colour, marker = _LOOKS[name]
        y = sigma * quantity.scale
        artists[name] = axes.errorbar(
            scan.x, y, scan.known[name] * y, fmt=f"{marker}-", ms=3.5, lw=0.9, color=colour, label=name
        )
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel=_label(quantity))
    set_log_ticks(axes)
    legend_above(axes)
    return artists


def _label(quantity: Quantity) -> str:
    return rf"$\sigma(\hat{{{quantity.symbol}}})${quantity.bracket}"
