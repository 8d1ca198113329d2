"""What each event does to the estimate: the most influential ones as bars, and the estimate as they are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bmem.inference.event_influence import Influence
from bmem.inference.rounding import decimals, number
from bmem.plotting.style import LEARNED, REFERENCE, SECOND, legend_above


def draw_influence(axes: Axes, influence: Influence, count: int = 15, index: int = 0) -> dict[str, Any]:
    """Draw how far the ``count`` most influential events each move the estimate of parameter ``index``, the first on top.

    An event's own pull is minus the shift when it is left out. Events with doubts have another colour; those without a
    shift (the estimate hangs on them) are named beside the axis. Returns "clean" and "doubtful" bars.
    """
    quantity, drivers = influence.parameters[index].quantity, influence.drivers(count)
    y = np.arange(len(drivers))
    pull = -np.array([driver.shift[index] for driver in drivers]) * quantity.scale
    doubtful = np.array([bool(driver.doubts) for driver in drivers])
    artists: dict[str, Any] = {}
    for name, mask, color in (("clean", ~doubtful, LEARNED), ("doubtful", doubtful, SECOND)):
        label = {"clean": "event", "doubtful": "event with doubts"}[name] if mask.any() else None
        artists[name] = axes.barh(y[mask], np.nan_to_num(pull[mask]), 0.7, color=color, alpha=0.8, lw=0, label=label)
    axes.axvline(0, color=REFERENCE, lw=0.7)
    error = float(influence.error[index] * quantity.scale)
    spread = rf", $\sigma$ = {number(error, decimals(error))}{quantity.suffix}" * bool(np.isfinite(error))
    axes.set_yticks(y, [f"{driver.event}" + " (all)" * (not np.isfinite(driver.relative)) for driver in drivers])
    axes.tick_params(axis="y", which="both", length=0)
    axes.minorticks_off()
    axes.set(ylim=(len(drivers) - 0.4, -0.6), ylabel="event")
    axes.set_xlabel(rf"shift of $\hat{{{quantity.symbol}}}${quantity.bracket}" + spread)
    legend_above(axes, columns=2)
    return artists
