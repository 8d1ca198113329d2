"""Diagnostics of the per-event integrals: effective sample, Pareto k, errors, and the worst events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bmem.integration.diagnostics import PARETO_K_LIMIT
from bmem.plotting.histogram import draw_counts
from bmem.plotting.style import LEARNED, REFERENCE, SECOND, legend_above
from bmem.plotting.ticks import set_log_ticks

Array = NDArray[np.float64]


def draw_effective_fraction(axes: Axes, fraction: Array, bins: int = 30) -> dict[str, Any]:
    """Draw the histogram of the effective sample over the points used, ``fraction`` [N], on a logarithmic axis.

    Returns "steps", "errors" and "median".
    """
    return _draw_log_histogram(axes, fraction, bins, "effective fraction of the points")


def draw_relative_error(axes: Axes, error: Array, bins: int = 30) -> dict[str, Any]:
    """Draw the histogram of the relative error of the events' densities, ``error`` [N]: "steps", "errors", "median"."""
    return _draw_log_histogram(axes, error, bins, "relative error of the integral")


def draw_pareto_k(axes: Axes, k: Array, bins: int = 30) -> dict[str, Any]:
    """Draw the histogram of the Pareto k [N] of the events' weights with the limit of trust; events without k are counted.

    Returns "steps", "errors" and "limit".
    """
    known = k[np.isfinite(k)]
    low, high = min(0.0, known.min(initial=0.0)), max(1.0, known.max(initial=1.0))
    artists: dict[str, Any] = {}
    beyond = f"{np.mean(k > PARETO_K_LIMIT):.1%} above {PARETO_K_LIMIT}".replace("%", " %")
    unknown = len(k) - len(known)
    label = beyond + (f", {unknown} without $k$" if unknown else "")
    artists["steps"], artists["errors"] = draw_counts(axes, known, np.linspace(low, high, bins + 1), LEARNED, "events")
    artists["limit"] = axes.axvline(PARETO_K_LIMIT, color=SECOND, ls=(0, (4, 2)), lw=0.9, label=label)
    axes.set(xlabel=r"Pareto $k$ of the weights", ylabel="events", xlim=(low, high))
    legend_above(axes, columns=2)
    return artists


def worst_events(diagnostics: Mapping[str, NDArray[Any]], n: int = 10, by: str = "relative_error") -> list[tuple[Any, ...]]:
    """Rows (event, value of each diagnostic) of the ``n`` events with the largest ``by``; NaN counts as largest."""
    badness = np.nan_to_num(np.asarray(diagnostics[by], float), nan=np.inf)
    order = np.argsort(-badness, kind="stable")[:n]
    return [(int(event), *(array[event].item() for array in diagnostics.values())) for event in order]


def _draw_log_histogram(axes: Axes, values: Array, bins: int, label: str) -> dict[str, Any]:
    shown = values[np.isfinite(values) & (values > 0)]
    low, high = (shown.min(), shown.max()) if len(shown) else (0.1, 1.0)
    edges = np.geomspace(low / 1.1, high * 1.1, bins + 1)
    artists: dict[str, Any] = {}
    missing = len(values) - len(shown)
    events = "events" + (f" ({missing} not shown: zero or not finite)" if missing else "")
    artists["steps"], artists["errors"] = draw_counts(axes, shown, edges, LEARNED, events)
    if len(shown):
        median = float(np.median(shown))
        text = f"median {median:.1%}".replace("%", " %")
        artists["median"] = axes.axvline(median, color=REFERENCE, ls=(0, (4, 2)), lw=0.9, label=text)
    axes.set(xscale="log", xlabel=label, ylabel="events", xlim=(edges[0], edges[-1]))
    set_log_ticks(axes, lambda value: f"{100 * value:g} %")
    legend_above(axes, columns=2)
    return artists
