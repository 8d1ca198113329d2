"""Calibration over the period: coverage of every method along the truth and along the level, bias and spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from bmem.calibration.period_verdict import TARGETS, PeriodCalibration
from bmem.calibration.toy_intervals import METHODS
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, THIRD, Panels, legend_above
from bmem.plotting.ticks import plain_number, set_ticks
from bmem.quantity import Quantity

MAGENTA = "#CC79A7"
_LOOK = dict(zip(METHODS, zip((QUIET, SECOND, LEARNED, MAGENTA), "vso^", strict=True), strict=True))
"""Colour and marker of each method."""


def draw_methods_along(
    panels: Panels, result: PeriodCalibration, quantity: Quantity, magnitude: bool = False
) -> dict[str, Any]:
    """Draw the coverage of every method along the truth, at 68.3 % below and at 95.4 % above, with the targets as bands.

    ``magnitude``: of the magnitude, by the image of the interval. Returns "points", a list [2][M], and "targets".
    """
    x = result.truths * quantity.scale
    shift = 0.012 * float(np.ptp(x)) if len(x) > 1 else 0.0
    artists: dict[str, Any] = {"points": [], "targets": []}
    for axes, (level, tolerance) in zip(panels[::-1], TARGETS.items(), strict=True):
        column, drawn = result.level(level), []
        artists["targets"].append(axes.axhspan(level - tolerance, level + tolerance, color=QUIET, alpha=0.25, lw=0))
        axes.axhline(level, color=REFERENCE, lw=0.7)
        for i, (method, (color, marker)) in enumerate(_LOOK.items()):
            value = result.coverage(method, magnitude)[:, column]
            error = result.coverage_error(method, magnitude)[:, :, column]
            place = x + (i - 1.5) * shift
            drawn.append(axes.errorbar(place, value, error, fmt=f"{marker}-", ms=2.6, lw=0.8, color=color, label=method))
        artists["points"].append(drawn)
        axes.set(ylabel=f"{100 * level:.1f} %", xlim=(x.min() - 4 * shift - 1e-9, x.max() + 4 * shift + 1e-9))
    set_ticks(panels[1].xaxis, quantity)
    symbol = rf"|{quantity.symbol}|" if magnitude else quantity.symbol
    panels[1].set(xlabel=f"true {quantity.label}")
    panels[0].figure.supylabel(rf"coverage of ${symbol}$", fontsize=panels[0].yaxis.label.get_fontsize())
    legend_above(panels[0], columns=2)
    return artists


def draw_levels(axes: Axes, result: PeriodCalibration, method: str, quantity: Quantity) -> dict[str, Any]:
    """Draw the coverage of ``method`` less the level against the level: one line per truth, and the error of one.

    Returns "lines" [A] and "band".
    """
    levels, deviation = result.levels, result.coverage(method) - result.levels
    colors = colormaps["viridis"](np.linspace(0.0, 0.9, len(result.points)))
    error = np.median(result.coverage_error(method), axis=(0, 1))
    artists: dict[str, Any] = {
        "band": axes.fill_between(levels, -error, error, color=QUIET, alpha=0.3, lw=0, label=r"$\pm 1\,\sigma$ of one")
    }
    artists["lines"] = []
    for truth, row, color in zip(result.truths * quantity.scale, deviation, colors, strict=True):
        label = f"{plain_number(truth)}°" if quantity.unit == "deg" and round(truth) % 90 == 0 else None
        artists["lines"] += axes.plot(levels, row, "o-", ms=1.8, lw=0.7, color=color, label=label)
    axes.axhline(0, color=REFERENCE, lw=0.7)
    axes.set(xlabel="nominal level", ylabel="coverage less level", xlim=(0, 1))
    legend_above(axes, columns=4)
    return artists


def draw_bias_and_spread(panels: Panels, result: PeriodCalibration, quantity: Quantity) -> dict[str, Any]:
    """Draw the bias over the spread (above), with that of the yardstick, and the spread over the yardstick's (below).

    Returns "bias", "known" and "ratio".
    """
    upper, lower = panels
    x, spread, known = result.truths * quantity.scale, result.spread(), result.spread(known=True)
    bias, error = result.bias()
    artists: dict[str, Any] = {}
    upper.axhspan(-0.1, 0.1, color=QUIET, alpha=0.25, lw=0)
    artists["bias"] = upper.errorbar(x, bias / spread, error / spread, fmt="o", ms=3, color=LEARNED, lw=0.9, label="bias")
    floor = (bias - result.excess_bias()[0]) / known
    (artists["known"],) = upper.plot(x, floor, "_", ms=8, color=THIRD, label=r"$x_\mathrm{hard}$ known")
    (artists["ratio"],) = lower.plot(x, spread / known, "o", ms=3, color=LEARNED)
    for axes, height in ((upper, 0), (lower, 1)):
        axes.axhline(height, color=REFERENCE, lw=0.7)
    lower.axhspan(0.9, 1.1, color=QUIET, alpha=0.25, lw=0)
    set_ticks(lower.xaxis, quantity)
    upper.set(ylabel=r"bias / $\sigma$")
    lower.set(xlabel=f"true {quantity.label}", ylabel="σ / known", ylim=(0.85, 1.15))
    legend_above(upper)
    return artists
