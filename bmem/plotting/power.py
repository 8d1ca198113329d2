"""Expected precision: σ along the truth and against the number of events, and the intervals that are expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bmem.calibration.power import Power
from bmem.inference.intervals import IntervalSet
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, THIRD, legend_above
from bmem.plotting.ticks import set_log_ticks, set_ticks
from bmem.quantity import Quantity

_COLORS = (LEARNED, SECOND, THIRD, "#CC79A7", "#E69F00")
_MOST = 30.0
"""Largest over smallest σ that a panel shows: it is infinite where the likelihood is even."""


def draw_power(axes: Axes, power: Power, events: float, quantity: Quantity, rate: bool = False) -> dict[str, Any]:
    """Draw the expected σ of ``events`` events along the truth, on a logarithmic axis cut off where σ diverges.

    Returns "reco" with its "band" of Monte Carlo errors and "hard"; with ``rate`` also "rate", the number of events used.
    """
    x, scale = power.truths * quantity.scale, quantity.scale
    reco, error = power.sigma(events) * scale, np.nan_to_num(power.sigma_error(events) * scale)
    hard = power.sigma(events, hard=True) * scale
    artists: dict[str, Any] = {"band": axes.fill_between(x, reco - error, reco + error, color=LEARNED, alpha=0.3, lw=0)}
    (artists["reco"],) = axes.plot(x, reco, "o-", ms=2.2, color=LEARNED, label="reconstructed")
    (artists["hard"],) = axes.plot(x, hard, ls=(0, (4, 2)), color=REFERENCE, label=r"$x_\mathrm{hard}$ known")
    lowest = hard
    if rate:
        lowest = np.fmin(hard, power.sigma(events, rate=True) * scale)
        (artists["rate"],) = axes.plot(
            x, power.sigma(events, rate=True) * scale, "s-", ms=2.0, color=THIRD, label="reconstructed, with rate"
        )
    set_ticks(axes.xaxis, quantity)
    low = float(np.nanmin(lowest)) / 1.3
    axes.set(xlim=(x[0], x[-1]), yscale="log", ylim=(low, min(_MOST * low, 1.3 * float(np.nanmax(reco)))))
    set_log_ticks(axes)
    axes.set(xlabel=f"true {quantity.label}", ylabel=_sigma_label(quantity, f", {events:g} events"))
    legend_above(axes, columns=2)
    return artists


def draw_kept(axes: Axes, power: Power, quantity: Quantity) -> dict[str, Any]:
    """Draw the share of the information with x_hard known that the reconstruction keeps, along the truth: "kept".

    Shares that are not known, where x_hard itself says next to nothing, have an error bar that says so.
    """
    artists = {"kept": axes.errorbar(power.truths * quantity.scale, power.kept, power.kept_error, fmt="o", ms=2.2, lw=0.9)}
    set_ticks(axes.xaxis, quantity)
    axes.axhline(1, color=REFERENCE, lw=0.7)
    axes.set(xlabel=f"true {quantity.label}", ylabel="kept", ylim=(min(0.9, float(np.nanmin(power.kept)) - 0.05), 1.02))
    return artists


def draw_power_events(
    axes: Axes, power: Power, events: ArrayLike, truths: Sequence[float], quantity: Quantity
) -> dict[str, Any]:
    """Draw the expected σ against the number of ``events`` [E] at those of the power's truths nearest to ``truths``.

    Returns "reco" and "hard", lists with a line for each truth.
    """
    n = np.asarray(events, np.float64)
    artists: dict[str, Any] = {"reco": [], "hard": []}
    for truth, color in zip(truths, _COLORS, strict=False):
        place = int(np.abs(power.truths - truth).argmin())
        label = _named(float(power.truths[place]), quantity)
        for name, line in (("reco", "-"), ("hard", (0, (4, 2)))):
            information = power.information(hard=name == "hard")[place]
            sigma = quantity.scale / np.sqrt(n * information)
            artists[name] += axes.plot(n, sigma, ls=line, color=color, label=label if name == "reco" else None)
    axes.plot([], [], color=QUIET, ls=(0, (4, 2)), label=r"$x_\mathrm{hard}$ known")
    axes.set(xscale="log", yscale="log", xlim=(n[0], n[-1]), xlabel="events", ylabel=_sigma_label(quantity))
    set_log_ticks(axes)
    legend_above(axes, columns=2)
    return artists


def draw_expected_intervals(
    axes: Axes, truths: ArrayLike, regions: Mapping[str, Sequence[IntervalSet]], quantity: Quantity
) -> dict[str, Any]:
    """Draw the expected region at every one of the ``truths`` [A] as bars, each of the ``regions`` narrower than the last.

    Pieces beyond the ends of an angle's range come in again at the other side. Returns the list of bars of each label.
    """
    x = np.asarray(truths, np.float64) * quantity.scale
    widest = 0.8 * (np.diff(x).min() if len(x) > 1 else 1.0)
    artists: dict[str, Any] = {}
    for i, ((label, sets), color) in enumerate(zip(regions.items(), _COLORS, strict=False)):
        bars = [(place, piece) for place, region in zip(x, sets, strict=True) for piece in _unwrapped(region)]
        heights = np.array([(high - low) * quantity.scale for _, (low, high) in bars])
        bottoms = np.array([low * quantity.scale for _, (low, _) in bars])
        width = widest * (1 - i / len(regions))
        artists[label] = axes.bar([p for p, _ in bars], heights, width, bottoms, color=color, lw=0, label=label)
    axes.plot(x, x, color=REFERENCE, lw=0.8, label="truth")
    first = next(iter(regions.values()))[0].parameter
    set_ticks(axes.xaxis, quantity)
    set_ticks(axes.yaxis, quantity)
    margin = 0.6 * widest
    axes.set(xlim=(x[0] - margin, x[-1] + margin), ylim=[bound * quantity.scale for bound in first.bounds])
    axes.set(xlabel=f"true {quantity.label}", ylabel=f"expected interval of {quantity.label}")
    legend_above(axes)
    return artists


def draw_expected_lengths(
    axes: Axes, events: ArrayLike, lengths: ArrayLike, truths: Sequence[float], quantity: Quantity
) -> dict[str, Any]:
    """Draw the total ``lengths`` [T, E] of expected regions against the number of ``events`` [E] at the ``truths`` [T].

    Where a length is NaN it is not known. Returns "lengths", a list with a line for each truth.
    """
    n, values = np.asarray(events, np.float64), np.asarray(lengths, np.float64) * quantity.scale
    artists: dict[str, Any] = {"lengths": []}
    for truth, row, color, marker in zip(truths, values, _COLORS, "osD^v", strict=False):
        label = _named(truth, quantity)
        artists["lengths"] += axes.plot(n, row, marker=marker, ms=2.2, color=color, label=label)
    known = n[np.isfinite(values).any(axis=0)]
    axes.set(xscale="log", yscale="log", xlim=(known[0] / 1.1, known[-1] * 1.1), xlabel="events")
    axes.set(ylabel=f"length of the expected region{quantity.bracket}")
    set_log_ticks(axes)
    legend_above(axes, columns=2)
    return artists


def _named(truth: float, quantity: Quantity) -> str:
    return f"${quantity.symbol} = {truth * quantity.scale:.3g}${quantity.suffix}"


def _unwrapped(region: IntervalSet) -> list[tuple[float, float]]:
    """The pieces within the range of the parameter, those that cross its end cut in two."""
    period, high = region.parameter.period, region.parameter.bounds[1]
    if period is None:
        return list(region.intervals)
    pieces = []
    for a, b in region.intervals:
        pieces += [(a, b)] if b <= high else [(a, high), (high - period, b - period)]
    return pieces


def _sigma_label(quantity: Quantity, what: str = "") -> str:
    return rf"expected $\sigma({quantity.symbol})${what}{quantity.bracket}"
