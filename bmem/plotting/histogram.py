"""Binned data with their statistical errors: what all figure families count with."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bmem.plotting.style import LEARNED, QUIET
from bmem.plotting.ticks import number_log_axis

Array = NDArray[np.float64]


_LESS_THAN_ONE = 0.5
"""Where a logarithmic axis of counts begins, so that a single event has a height."""


def density(values: Array, edges: Array) -> tuple[Array, Array]:
    """(1/N) dN/dx in bins [B] between ``edges`` [B + 1] and its Poisson error; N counts values outside the bins too."""
    counts = np.histogram(values, edges)[0]
    norm = max(len(values), 1) * np.diff(edges)
    return counts / norm, np.sqrt(counts) / norm


def centres(edges: Array) -> Array:
    """Middles [B] of the bins between ``edges`` [B + 1]."""
    return (edges[1:] + edges[:-1]) / 2


def draw_ratio(axes: Axes, edges: Array, ratio: Array, error: Array, half_range: float) -> Any:
    """Draw ``ratio`` [B] with ``error`` ([B], or [2, B] if asymmetric) around 1; return its error bars.

    What lies outside 1 ± ``half_range`` is not lost: an arrow at the edge of the panel points to it.
    """
    axes.axhline(1, color=QUIET, lw=0.7)
    x = centres(edges)
    # of an empty bin the ratio is infinite: no bar, only an arrow
    shown, bar = (np.where(np.isfinite(values), values, np.nan) for values in (ratio, error))
    bars = axes.errorbar(x, shown, bar, np.diff(edges) / 2, fmt="o", ms=2.5, color=LEARNED, lw=0.9)
    for marker, outside, sign in (("^", ratio > 1 + half_range, 1), ("v", ratio < 1 - half_range, -1)):
        height = np.full(int(outside.sum()), 1 + 0.9 * sign * half_range)
        axes.plot(x[outside], height, marker, ms=3.5, color=LEARNED, mfc="white", ls="none")
    axes.set(ylim=(1 - half_range, 1 + half_range), ylabel="learned/sim.")
    return bars


def draw_counts(axes: Axes, values: Array, edges: Array, color: str, label: str | None = None) -> tuple[Any, Any]:
    """Draw a histogram of counts with Poisson error bars; return (steps, error bars)."""
    counts, steps, bars = _draw_steps(axes, values, edges, color, label)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_ylim(0, 1.15 * max(1.0, float((counts + np.sqrt(counts)).max())))
    return steps, bars


def draw_rare_counts(axes: Axes, values: Array, edges: Array, color: str, label: str | None = None) -> tuple[Any, Any]:
    """The same on a logarithmic axis, on which one event is as well seen as hundreds."""
    counts, steps, bars = _draw_steps(axes, values, edges, color, label)
    axes.set_ylim(_LESS_THAN_ONE, 2.0 * max(2.0, float(counts.max())))
    axes.set_yscale("log")
    number_log_axis(axes.yaxis)
    return steps, bars


def _draw_steps(axes: Axes, values: Array, edges: Array, color: str, label: str | None) -> tuple[Array, Any, Any]:
    counts = np.histogram(values, edges)[0]
    steps = axes.stairs(counts, edges, color=color, fill=True, alpha=0.25, lw=0)
    axes.stairs(counts, edges, color=color, lw=0.9)
    filled, x = counts > 0, centres(edges)
    bars = axes.errorbar(
        x[filled], counts[filled], np.sqrt(counts[filled]), fmt="o", ms=2.5, color=color, lw=0.8, label=label
    )
    return counts, steps, bars
