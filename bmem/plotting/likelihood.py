"""-2Δ log L of one sample against its parameter, with bands, levels, intervals and all minima."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import stats

from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity

Array = NDArray[np.float64]
Pieces = tuple[tuple[float, float], ...]

BANDS = ((95.45, 0.18), (68.27, 0.32))
"""Central percentages of the curves that a band holds, and its opacity."""


@dataclass(frozen=True)
class LikelihoodCurve:
    """-2Δ log L of one sample as it is drawn, in bmem's units (radians for angles).

    ``theta`` [G] the grid; ``delta`` [G] -2 log L less its minimum; ``curves`` [B, G] the same of each bootstrap
    resample or replica (their spread makes the bands), or None; ``minima`` [m] and ``minimum_values`` [m] all local
    minima and their -2Δ log L, the best first; ``intervals`` the pieces (low, high) of the interval at each confidence
    level; ``truth`` if it is known.
    """

    theta: Array
    delta: Array
    curves: Array | None = None
    minima: Array = field(default_factory=lambda: np.empty(0))
    minimum_values: Array = field(default_factory=lambda: np.empty(0))
    intervals: Mapping[float, Pieces] = field(default_factory=dict)
    truth: float | None = None


def draw_likelihood(axes: Axes, curve: LikelihoodCurve, quantity: Quantity, top: float = 12.0) -> dict[str, Any]:
    """Draw ``curve`` up to -2Δ log L = ``top``.

    Returns its artists: "curve", "minima" (lines), "levels", "intervals" (lists), "bands", "median" and "truth" where
    given.
    """
    x = curve.theta * quantity.scale
    artists: dict[str, Any] = {}
    artists["intervals"] = _draw_intervals(axes, curve.intervals, quantity)
    artists["levels"] = _draw_levels(axes, top)
    if curve.truth is not None:
        artists["truth"] = axes.axvline(curve.truth * quantity.scale, color=REFERENCE, ls=(0, (4, 2)), lw=0.9, label="truth")
    if curve.curves is not None:
        artists["bands"] = _draw_bands(axes, x, curve.curves)
        (artists["median"],) = axes.plot(
            x, np.median(curve.curves, axis=0), color=LEARNED, ls=(0, (2, 1)), lw=0.8, label="median"
        )
    (artists["curve"],) = axes.plot(x, curve.delta, color=LEARNED, label=r"$-2\Delta\log L$", zorder=3)
    artists["minima"] = _draw_minima(axes, curve, quantity, top)
    set_ticks(axes.xaxis, quantity)
    axes.set(xlim=(x[0], x[-1]), ylim=(0, top), xlabel=quantity.label, ylabel=r"$-2\,\Delta\log L$")
    legend_above(axes)
    return artists


def _draw_bands(axes: Axes, x: Array, curves: Array) -> list[Any]:
    bands = []
    for percent, opacity in BANDS:
        low, high = np.percentile(curves, [50 - percent / 2, 50 + percent / 2], axis=0)
        label = rf"{percent:.0f} % band"
        bands.append(axes.fill_between(x, low, high, color=LEARNED, alpha=opacity, lw=0, label=label, zorder=2))
    return bands


def _draw_levels(axes: Axes, top: float) -> list[Any]:
    lines = []
    for sigmas in range(1, int(np.sqrt(top)) + 1):
        lines.append(axes.axhline(sigmas**2, color=QUIET, lw=0.6, ls=(0, (1, 2)), zorder=1))
        axes.text(1.015, sigmas**2, rf"${sigmas}\sigma$", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    return lines


def _draw_intervals(axes: Axes, intervals: Mapping[float, Pieces], quantity: Quantity) -> list[Any]:
    patches = []
    for level in sorted(intervals, reverse=True):
        height = float(stats.chi2.ppf(level, 1))
        for i, (low, high) in enumerate(intervals[level]):
            edges = (low * quantity.scale, high * quantity.scale)
            label = f"{100 * level:.1f} % interval" if i == 0 else None
            opacity = 0.32 if level < 0.9 else 0.16
            patches.append(axes.fill_between(edges, 0, height, color=SECOND, alpha=opacity, lw=0, label=label, zorder=1))
            axes.hlines(height, *edges, color=SECOND, lw=1.4, alpha=2 * opacity, zorder=2.5)
    return patches


def _draw_minima(axes: Axes, curve: LikelihoodCurve, quantity: Quantity, top: float) -> list[Any]:
    lines = []
    shown = [(theta, value) for theta, value in zip(curve.minima, curve.minimum_values, strict=True) if value <= top]
    for i, (theta, value) in enumerate(shown):
        face, label = (LEARNED, "best fit") if i == 0 else ("white", "other minima" if i == 1 else None)
        lines += axes.plot(
            theta * quantity.scale, value, "o", ms=4.5, mec=LEARNED, mfc=face, label=label, clip_on=False, zorder=4
        )
    return lines
