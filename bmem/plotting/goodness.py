"""Goodness of fit: a statistic of the data among its toys, and the densities of the events among the expected ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bmem.calibration.goodness import MEAN, STATISTICS, Goodness
from bmem.plotting.histogram import centres, draw_counts
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, legend_above

_LABELS = {
    MEAN: r"mean $\log p$ less its expectation [spread$/\sqrt{n}$]",
    "distance": r"Anderson-Darling distance $A^2$ of $\log p$",
}


def draw_goodness(axes: Axes, goodness: Goodness, statistic: str = MEAN, bins: int = 40) -> dict[str, Any]:
    """Draw a ``statistic`` of the sample (one of ``STATISTICS``) against the histogram of its toys, with the p-value.

    Returns "toys" (steps) and "observed" (line).
    """
    row = STATISTICS.index(statistic)
    toys, observed = goodness.toys[row], float(goodness.observed[row])
    low, high = (min(toys.min(), observed), max(toys.max(), observed))
    edges = np.linspace(low - 0.02 * (high - low), high + 0.02 * (high - low), bins + 1)
    counts = np.histogram(toys, edges)[0]
    label = rf"{len(toys)} toys at the estimate"
    artists: dict[str, Any] = {"toys": axes.stairs(counts, edges, color=QUIET, fill=True, alpha=0.35, lw=0, label=label)}
    axes.stairs(counts, edges, color=QUIET, lw=0.9)
    p, error = goodness.p_values[row], goodness.p_errors[row]
    artists["observed"] = axes.axvline(observed, color=SECOND, lw=1.3, label=f"sample: $p = {p:.3f} \\pm {error:.3f}$")
    axes.set(xlabel=_LABELS[statistic], ylabel="toys", xlim=(edges[0], edges[-1]), ylim=(0, 1.12 * counts.max()))
    legend_above(axes, columns=2)
    return artists


def draw_event_densities(axes: Axes, goodness: Goodness, bins: int = 25) -> dict[str, Any]:
    """Draw log p of the events of the sample at its estimate against what is expected there.

    Returns "steps", "errors" (the sample) and "expected".
    """
    values = goodness.log_densities
    everything = np.concatenate([values, goodness.expected])
    low, high = np.quantile(everything, 0.002), everything.max()
    edges = np.linspace(min(low, values.min()), high + 0.01 * (high - low), bins + 1)
    artists: dict[str, Any] = {}
    artists["steps"], artists["errors"] = draw_counts(axes, values, edges, LEARNED, f"{len(values)} events")
    expected = np.histogram(goodness.expected, edges)[0] * len(values) / len(goodness.expected)
    (artists["expected"],) = axes.plot(centres(edges), expected, color=REFERENCE, label="expected at the estimate")
    axes.set(xlabel=r"$\log p(x\,|\,\hat\theta)$", ylabel="events", xlim=(edges[0], edges[-1]))
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.1 * float(expected.max())))
    legend_above(axes, columns=2)
    return artists
