"""Contours of two parameters with all minima."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bmem.inference.regions import ContourPath, ContourSet
from bmem.plotting.style import LEARNED, REFERENCE, SECOND, THIRD, legend_above
from bmem.plotting.ticks import set_ticks

_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)))
_COLORS = (LEARNED, SECOND, THIRD)
_ROUND: dict[str, Any] = {"solid_joinstyle": "round", "dash_joinstyle": "round"}


def draw_contours(
    axes: Axes,
    found: ContourSet,
    truth: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Draw the contours and minima of ``found``, and the true point where it is known, in bmem's units.

    Where a parameter is an angle, what lies beyond its range is drawn a second time, a turn back. Returns "contours", a list
    of lines for each level, "minima" (lines, the best first) and "truth" where given.
    """
    artists: dict[str, Any] = {"contours": []}
    quantities = tuple(parameter.quantity for parameter in found.parameters)
    scales = np.array([q.scale for q in quantities])
    for contour, color, style in zip(found.contours, _COLORS, _LINES, strict=False):
        label: str | None = f"{100 * contour.level:.1f} %"
        lines = []
        for path in contour.paths:
            for points in _copies(path, found):
                lines += axes.plot(*(points * scales).T, color=color, ls=style, label=label, **_ROUND)
                label = None
        artists["contours"].append(lines)
    artists["minima"] = _draw_minima(axes, found, scales)
    if truth is not None:
        (artists["truth"],) = axes.plot(
            *(np.array(truth) * scales), "+", color=REFERENCE, ms=8, mew=1.2, label="truth", zorder=4
        )
    for axis, quantity in zip((axes.xaxis, axes.yaxis), quantities, strict=True):
        set_ticks(axis, quantity)
    axes.set(xlabel=quantities[0].label, ylabel=quantities[1].label)
    _show_whole_turns(axes, found, scales)
    legend_above(axes, columns=4)
    return artists


def _show_whole_turns(axes: Axes, found: ContourSet, scales: np.ndarray) -> None:
    """All of an angle's range if what is drawn takes more than half of it."""
    for name, parameter, scale in zip(("xlim", "ylim"), found.parameters, scales, strict=True):
        shown = np.ptp(getattr(axes, f"get_{name}")())
        if parameter.period is not None and shown > parameter.period * scale / 2:
            low = parameter.bounds[0]
            axes.set(**{name: (low * scale, (low + parameter.period) * scale)})


def _draw_minima(axes: Axes, found: ContourSet, scales: np.ndarray) -> list[Any]:
    """The best fit, and the other minima that lie within the outermost contour."""
    highest = max((c.threshold for c in found.contours), default=np.inf)
    lines: list[Any] = []
    for i, (x, y, delta) in enumerate(found.minima):
        if i and delta > highest:
            continue
        face, label = (LEARNED, "best fit") if i == 0 else ("white", "other minima" if len(lines) == 1 else None)
        lines += axes.plot(x * scales[0], y * scales[1], "o", ms=4.5, mec=LEARNED, mfc=face, label=label, zorder=3)
    return lines


def _copies(path: ContourPath, found: ContourSet) -> list[np.ndarray]:
    """The points [n, 2] of a path, closed if it is, and again a turn back along every angle whose range it exceeds."""
    points = np.array(path.points)
    copies = [np.concatenate([points, points[:1]]) if path.closed else points]
    for i, p in enumerate(found.parameters):
        if p.period is not None and points[:, i].max() > p.bounds[0] + p.period:
            copies += [copy - p.period * np.eye(2)[i] for copy in copies]
    return copies
