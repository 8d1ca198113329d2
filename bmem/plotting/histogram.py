"""Binned data with their statistical errors: what all figure families count with."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Array = NDArray[np.float64]


def density(values: Array, edges: Array) -> tuple[Array, Array]:
    """(1/N) dN/dx in bins [B] between ``edges`` [B + 1] and its Poisson error; N counts values outside the bins too."""
    counts = np.histogram(values, edges)[0]
    norm = max(len(values), 1) * np.diff(edges)
    return counts / norm, np.sqrt(counts) / norm


def centres(edges: Array) -> Array:
    """Middles [B] of the bins between ``edges`` [B + 1]."""
    return (edges[1:] + edges[:-1]) / 2


def draw_counts(axes: Axes, values: Array, edges: Array, color: str, label: str | None = None) -> tuple[Any, Any]:
    """Draw a histogram of counts with Poisson error bars; return (steps, error bars)."""
    counts = np.histogram(values, edges)[0]
    steps = axes.stairs(counts, edges, color=color, fill=True, alpha=0.25, lw=0)
    axes.stairs(counts, edges, color=color, lw=0.9)
    filled = counts > 0
    bars = axes.errorbar(
        centres(edges)[filled], counts[filled], np.sqrt(counts[filled]), fmt="o", ms=2.5, color=color, lw=0.8, label=label
    )
    axes.set_ylim(0, 1.15 * max(1.0, float((counts + np.sqrt(counts)).max())))
    return steps, bars
