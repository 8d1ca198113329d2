"""-2Δ log L of one sample against its parameter, with bands, levels, intervals and all minima."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity

Array = NDArray[np.float64]
Pieces = tuple[tuple[float, float], ...]

BANDS = ((95.45, 0.18), (68.27, 0.32))
"""Central percentages of the curves that a band holds, and its opacity."""
_MARGIN = 0.08
"""Of what matters, left free on both sides."""
_INSET = (0.27, 0.6, 0.46, 0.34)
"""Left, bottom, width and height of the whole curve inside the arms of a cropped one, as fractions of the panel."""
_LINE = 0.012
"""What is thinner than this fraction of a panel is hidden by a line."""


@dataclass(frozen=True)
class LikelihoodCurve:
    """-2Δ log L of one sample as it is drawn, in bmem's units (radians for angles).

    ``theta`` [G] the grid; ``delta`` [G] -2 log L less its minimum; ``curves`` [B, G] the same of each bootstrap
    resample or replica (their spread makes the bands), or None; ``minima`` [m] and ``minimum_values`` [m] all local
    minima and their -2Δ log L, the best first; ``intervals`` the pieces (low, high) of the interval at each confidence
    level; ``truth`` if it is known; ``period`` of an angle.
    """

    theta: Array
    delta: Array
    curves: Array | None = None
    minima: Array = field(default_factory=lambda: np.empty(0))
    minimum_values: Array = field(default_factory=lambda: np.empty(0))
    intervals: Mapping[float, Pieces] = field(default_factory=dict)
    truth: float | None = None
    period: float | None = None

    def around(self, centre: float) -> LikelihoodCurve:
        """The same curve over the turn around ``centre``; of what is no angle, itself."""
        if self.period is None:
            return self
        # both ends of a whole turn are the same point
        order = np.unique(self._turned(self.theta, centre).round(12), return_index=True)[1]
        curves = None if self.curves is None else self.curves[:, order]
        pieces = {level: tuple(self._moved(piece, centre) for piece in found) for level, found in self.intervals.items()}
        return replace(
            self,
            theta=self._turned(self.theta, centre)[order],
            delta=self.delta[order],
            curves=curves,
            minima=self._turned(self.minima, centre),
            intervals=pieces,
            truth=None if self.truth is None else float(self._turned(np.array(self.truth), centre)),
        )

    def _turned(self, theta: Array, centre: float) -> Array:
        assert self.period is not None
        return np.asarray(centre + np.mod(theta - centre + self.period / 2, self.period) - self.period / 2)

    def _moved(self, piece: tuple[float, float], centre: float) -> tuple[float, float]:
        """A piece of an interval, its middle within the turn around ``centre``."""
        middle, half = (piece[0] + piece[1]) / 2, (piece[1] - piece[0]) / 2
        middle = float(self._turned(np.array(middle), centre))
        return middle - half, middle + half

    def part_below(self, top: float) -> tuple[float, float]:
        """Ends of the connected part around the best minimum in which the curve lies below ``top``."""
        best = int(np.abs(self.theta - self.minima[0]).argmin()) if len(self.minima) else int(self.delta.argmin())
        above = np.flatnonzero(self.delta > top)
        low = above[above < best].max(initial=-1) + 1
        high = above[above > best].min(initial=len(self.theta)) - 1
        return float(self.theta[low]), float(self.theta[high])


def draw_likelihood(
    axes: Axes, curve: LikelihoodCurve, quantity: Quantity, top: float = 12.0, title: str = ""
) -> dict[str, Any]:
    """Draw ``curve`` up to -2Δ log L = ``top``, under a ``title`` that says what was measured.

    Where it is below ``top`` around its best minimum in less than half of the range, this part is shown, and all of the
    range in an inset if there are minima elsewhere. Bands and median have no entry in the legend where a line hides them.

    Returns its artists: "curve", "minima" (lines), "levels", "intervals" (lists), "bands", "median", "truth" and "inset"
    (its axes) where given.
    """
    whole, window = curve, _window(curve, top)
    if window is not None and not curve.theta[0] <= window[0] < window[1] <= curve.theta[-1]:
        curve = curve.around(float(np.mean(window)))
    low, high = window or (curve.theta[0], curve.theta[-1])
    inset = window is not None and not all(low <= theta <= high for theta in curve.minima)
    height = max(top, _room_for_inset(curve, low, high)) if inset else top
    axes.set(xlim=(low * quantity.scale, high * quantity.scale), ylim=(0, height))
    artists = _draw(axes, curve, quantity)
    if inset:
        artists["inset"] = _draw_inset(axes, whole, quantity, (low, high))
    set_ticks(axes.xaxis, quantity)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=(1, 2, 5, 10)))
    axes.set(xlabel=quantity.label, ylabel=r"$-2\,\Delta\log L$")
    legend_above(axes, title=title)
    return artists


def _window(curve: LikelihoodCurve, top: float) -> tuple[float, float] | None:
    """What of the parameter matters, with margins; None if that is most of its range."""
    turned = curve.around(float(curve.minima[0])) if len(curve.minima) else curve
    low, high = turned.part_below(top)
    margin = _MARGIN * (high - low)
    if high - low + 2 * margin > float(np.ptp(curve.theta)) / 2:
        return None
    return low - margin, high + margin


def _room_for_inset(curve: LikelihoodCurve, low: float, high: float) -> float:
    """Height of a panel from ``low`` to ``high`` whose curve stays below its inset."""
    left, bottom, width, _ = _INSET
    ends = [low + fraction * (high - low) for fraction in (left - _MARGIN, left + width + _MARGIN)]
    under = curve.delta[(curve.theta >= ends[0]) & (curve.theta <= ends[1])]
    return float(under.max(initial=0.0)) / (bottom - 2 * _MARGIN)


def _draw(axes: Axes, curve: LikelihoodCurve, quantity: Quantity) -> dict[str, Any]:
    """All of a panel whose limits are set."""
    x = curve.theta * quantity.scale
    artists: dict[str, Any] = {}
    artists["intervals"] = _draw_intervals(axes, curve.intervals, quantity)
    artists["levels"] = _draw_levels(axes)
    if curve.truth is not None:
        artists["truth"] = _draw_truth(axes, curve.truth * quantity.scale)
    if curve.curves is not None:
        artists["bands"] = _draw_bands(axes, x, curve.curves)
        median = np.median(curve.curves, axis=0)
        label = "median" if _seen(axes, x, np.minimum(median, curve.delta), np.maximum(median, curve.delta)) else None
        (artists["median"],) = axes.plot(x, median, color=LEARNED, ls=(0, (2, 1)), lw=0.8, label=label)
    (artists["curve"],) = axes.plot(x, curve.delta, color=LEARNED, label=r"$-2\Delta\log L$", zorder=3)
    artists["minima"] = _draw_minima(axes, curve, quantity)
    return artists


def _seen(axes: Axes, x: Array, low: Array, high: Array) -> bool:
    """Whether what lies between two curves is anywhere in the panel thicker than a line, across its slope."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    shape = axes.bbox.height / axes.bbox.width
    middle = (low + high) / 2
    slope = np.gradient(middle, x) * (right - left) / (top - bottom) * shape
    thickness = (high - low) / (top - bottom) / np.sqrt(1 + slope**2)
    inside = (x >= left) & (x <= right) & (middle >= bottom) & (middle <= top)
    return bool((thickness[inside] > _LINE).any())


def _draw_truth(axes: Axes, truth: float) -> Any:
    """A line, named where it is seen."""
    low, high = axes.get_xlim()
    label = "truth" if low <= truth <= high else None
    return axes.axvline(truth, color=REFERENCE, ls=(0, (4, 2)), lw=0.9, label=label)


def _draw_bands(axes: Axes, x: Array, curves: Array) -> list[Any]:
    bands = []
    for percent, opacity in BANDS:
        low, high = np.percentile(curves, [50 - percent / 2, 50 + percent / 2], axis=0)
        label = rf"{percent:.0f} % band" if _seen(axes, x, low, high) else None
        bands.append(axes.fill_between(x, low, high, color=LEARNED, alpha=opacity, lw=0, label=label, zorder=2))
    return bands


def _draw_levels(axes: Axes) -> list[Any]:
    lines = []
    for sigmas in range(1, int(np.sqrt(axes.get_ylim()[1])) + 1):
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


def _draw_minima(axes: Axes, curve: LikelihoodCurve, quantity: Quantity, size: float = 4.5) -> list[Any]:
    """The best minimum, and the others that lie in the panel."""
    lines: list[Any] = []
    (left, right), top = axes.get_xlim(), axes.get_ylim()[1]
    for i, (theta, value) in enumerate(zip(curve.minima * quantity.scale, curve.minimum_values, strict=True)):
        if i and not (left <= theta <= right and value <= top):
            continue
        face, label = (LEARNED, "best fit") if i == 0 else ("white", "other minima" if len(lines) == 1 else None)
        lines += axes.plot(theta, value, "o", ms=size, mec=LEARNED, mfc=face, label=label, clip_on=False, zorder=4)
    return lines


def _draw_inset(axes: Axes, curve: LikelihoodCurve, quantity: Quantity, shown: tuple[float, float]) -> Axes:
    """All of the range with all minima; what is ``shown`` in the panel is marked."""
    inset = axes.inset_axes(_INSET, zorder=5)
    x = curve.theta * quantity.scale
    inset.set(xlim=(x[0], x[-1]), ylim=(0, 1.5 * max(float(curve.minimum_values.max()), axes.get_ylim()[1] / 2)))
    for turn in (0.0,) if curve.period is None else (-curve.period, 0.0, curve.period):
        ends = [(end + turn) * quantity.scale for end in shown]
        inset.axvspan(*ends, color=QUIET, alpha=0.2, lw=0)
    if curve.truth is not None:
        inset.axvline(curve.truth * quantity.scale, color=REFERENCE, ls=(0, (4, 2)), lw=0.6)
    inset.plot(x, curve.delta, color=LEARNED, lw=0.9)
    _draw_minima(inset, curve, quantity, size=3)
    set_ticks(inset.xaxis, quantity, most=4)
    inset.tick_params(labelsize=6.5, pad=1.5, length=2, which="major")
    inset.tick_params(length=1, which="minor")
    return inset
