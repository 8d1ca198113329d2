"""Diagnostics of the per-event integrals: effective sample, Pareto k, errors, and the worst events.

Counts are on logarithmic axes, so that the few events in the tails are seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bmem.integration.diagnostics import PARETO_K_LIMIT
from bmem.plotting.histogram import draw_rare_counts
from bmem.plotting.style import LEARNED, REFERENCE, SECOND, legend_above
from bmem.plotting.ticks import number_log_axis, percent_number, plain_number

Array = NDArray[np.float64]


def draw_effective_points(axes: Axes, points: Array, least: float, bins: int = 30) -> dict[str, Any]:
    """Draw the histogram of the effective number of points of the events' integrals, ``points`` [N], with its limit.

    An event below ``least`` is flagged. Returns "steps", "errors", "median" and "limit".
    """
    artists = _draw_log_histogram(axes, points, bins, least)
    _mark(axes, artists, least, f"{np.sum(points < least)} of {len(points)} below {least:g}")
    axes.set(xlabel="effective points of an event's integral")
    number_log_axis(axes.xaxis)
    legend_above(axes, columns=2)
    return artists


def draw_relative_error(axes: Axes, error: Array, target: float | None = None, bins: int = 30) -> dict[str, Any]:
    """Draw the histogram of the relative error of the events' densities, ``error`` [N], with its ``target`` if there is one.

    Returns "steps", "errors", "median" and "limit".
    """
    artists = _draw_log_histogram(axes, error, bins, target, percent_number)
    if target is not None:
        _mark(axes, artists, target, f"target {percent_number(target)}")
    axes.set(xlabel="relative error of an event's integral")
    number_log_axis(axes.xaxis, percent_number)
    legend_above(axes, columns=2)
    return artists


def draw_pareto_k(axes: Axes, k: Array, bins: int = 30) -> dict[str, Any]:
    """Draw the histogram of the Pareto k [N] of the events' weights with the limit of trust; events without k are counted.

    Returns "steps", "errors" and "limit".
    """
    known = k[np.isfinite(k)]
    low, high = min(0.0, known.min(initial=0.0)), max(1.0, known.max(initial=1.0))
    unknown = len(k) - len(known)
    label = f"{np.sum(known > PARETO_K_LIMIT)} of {len(k)} above {PARETO_K_LIMIT}"
    label += f", {unknown} without $k$" if unknown else ""
    edges = np.linspace(low, high, bins + 1)
    artists: dict[str, Any] = {}
    artists["steps"], artists["errors"] = draw_rare_counts(axes, known, edges, LEARNED, "events")
    _mark(axes, artists, PARETO_K_LIMIT, label)
    margin = (high - low) / bins
    axes.set(xlabel=r"Pareto $k$ of the weights", ylabel="events", xlim=(low - margin, high + margin))
    legend_above(axes, columns=2)
    return artists


def worst_events(diagnostics: Mapping[str, NDArray[Any]], n: int = 10, by: str = "relative_error") -> list[tuple[Any, ...]]:
    """Rows (event, value of each diagnostic) of the ``n`` events with the largest ``by``; NaN counts as largest."""
    badness = np.nan_to_num(np.asarray(diagnostics[by], float), nan=np.inf)
    order = np.argsort(-badness, kind="stable")[:n]
    return [(int(event), *(array[event].item() for array in diagnostics.values())) for event in order]


def _mark(axes: Axes, artists: dict[str, Any], limit: float, label: str) -> None:
    artists["limit"] = axes.axvline(limit, color=SECOND, ls=(0, (4, 2)), lw=0.9, label=label)


def _draw_log_histogram(
    axes: Axes, values: Array, bins: int, limit: float | None, shown: Any = plain_number
) -> dict[str, Any]:
    """The histogram over an axis that holds the ``limit``, too, and the median as ``shown``."""
    kept = values[np.isfinite(values) & (values > 0)]
    low, high = (kept.min(), kept.max()) if len(kept) else (0.1, 1.0)
    edges = np.geomspace(low / 1.1, high * 1.1, bins + 1)
    artists: dict[str, Any] = {}
    missing = len(values) - len(kept)
    events = "events" + (f" ({missing} not shown: zero or not finite)" if missing else "")
    artists["steps"], artists["errors"] = draw_rare_counts(axes, kept, edges, LEARNED, events)
    if len(kept):
        median = float(np.median(kept))
        text = f"median {shown(float(f'{median:.3g}'))}"
        artists["median"] = axes.axvline(median, color=REFERENCE, ls=(0, (1, 1)), lw=0.9, label=text)
    ends = (edges[0], edges[-1]) if limit is None else (min(edges[0], limit / 1.3), max(edges[-1], limit * 1.3))
    axes.set(xscale="log", ylabel="events", xlim=ends)
    return artists
