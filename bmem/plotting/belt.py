"""A confidence belt in the likelihood ratio: critical values along the truth, and a measurement held against them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from bmem.calibration.neyman import Belt
from bmem.plotting.likelihood import LikelihoodCurve
from bmem.plotting.style import LEARNED, REFERENCE, SECOND, THIRD, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity


def draw_belt(
    axes: Axes, belt: Belt, quantity: Quantity, measured: LikelihoodCurve | None = None, top: float = 8.0
) -> dict[str, Any]:
    """Draw the critical values of ``belt`` with their errors, the χ² quantiles, and the curve of a measurement.

    A value belongs to the interval of a level where the curve lies below the critical value. Returns "critical" and
    "quantiles", lists with one entry per level, and "measured" where given.
    """
    x, order = _closed(belt)
    artists: dict[str, Any] = {"critical": [], "quantiles": []}
    for level, color, critical, error in zip(belt.levels, (LEARNED, SECOND, THIRD), belt.critical, belt.error, strict=False):
        low, middle, high = (critical[order] + shift * error[order] for shift in (-1, 0, 1))
        axes.fill_between(x * quantity.scale, low, high, color=color, alpha=0.25, lw=0)
        label = rf"$t_c$ at {100 * level:.1f} %"
        artists["critical"] += axes.plot(x * quantity.scale, middle, "o-", ms=1.6, color=color, label=label)
        line = axes.axhline(stats.chi2.ppf(level, 1), color=color, lw=0.8, ls=(0, (4, 2)))
        artists["quantiles"].append(line)
    artists["quantiles"][-1].set_label(r"$\chi^2_1$ quantiles")
    if measured is not None:
        (artists["measured"],) = axes.plot(
            measured.theta * quantity.scale, measured.delta, color=REFERENCE, lw=1.1, label="measurement"
        )
    set_ticks(axes.xaxis, quantity)
    axes.set(xlim=(x[0] * quantity.scale, x[-1] * quantity.scale), ylim=(0, top))
    axes.set(xlabel=f"true {quantity.label}", ylabel=r"$t = -2\,\Delta\log L$")
    legend_above(axes, columns=2)
    return artists


def _closed(belt: Belt) -> tuple[np.ndarray, np.ndarray]:
    """The true values and their order; of an angle the first one again at the end."""
    order = np.arange(len(belt.values))
    if belt.period is None:
        return belt.values, order
    return np.append(belt.values, belt.values[0] + belt.period), np.append(order, 0)
