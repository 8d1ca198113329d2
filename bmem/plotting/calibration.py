"""Calibration: the estimates of subsamples around the truth, their pulls, coverage, and all of these along the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bmem.calibration.coverage import Coverage
from bmem.calibration.pulls import PullSummary
from bmem.calibration.subsamples import SubsampleFits
from bmem.plotting.histogram import draw_counts
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, THIRD, Panels, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity

Array = NDArray[np.float64]


def draw_estimates(panels: Panels, fits: SubsampleFits, quantity: Quantity) -> dict[str, Any]:
    """Draw the estimates of all subsamples around the truth: a histogram above, each one with its Hesse error below.

    An estimate without a usable error is an open circle; error bars are whole, of an angle up to a turn around the truth.
    Returns "steps", "histogram", "points", "without_error", "truth" (the two lines) and "mean" (the span mean ± its error).
    """
    upper, lower = panels
    values, errors = fits.estimates * quantity.scale, fits.errors * quantity.scale
    truth, count = fits.truth * quantity.scale, len(fits.estimates)
    edges = _edges(np.append(values, truth))
    artists: dict[str, Any] = {}
    artists["steps"], artists["histogram"] = draw_counts(upper, values, edges, LEARNED, f"{count} subsamples of {fits.size}")
    rows, known = np.arange(1, count + 1), np.isfinite(errors)
    artists["points"] = lower.errorbar(values[known], rows[known], xerr=errors[known], fmt="o", ms=2, color=LEARNED, lw=0.7)
    (artists["without_error"],) = lower.plot(values[~known], rows[~known], "o", ms=2.5, mfc="white", mec=LEARNED)
    mean, error = float(values.mean()), float(values.std(ddof=1)) / np.sqrt(count)
    artists["mean"] = upper.axvspan(mean - error, mean + error, color=SECOND, alpha=0.35, lw=0, label="mean ± its error")
    line: dict[str, Any] = {"color": REFERENCE, "ls": (0, (4, 2)), "lw": 0.9}
    artists["truth"] = (upper.axvline(truth, label="truth", **line), lower.axvline(truth, zorder=1, **line))
    upper.set(ylabel="subsamples")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, prune="upper"))
    set_ticks(lower.xaxis, quantity)
    lower.set(xlabel=_estimate_label(fits, quantity), ylabel="subsample", ylim=(0, count + 1))
    lower.set_xlim(*_whole(fits, edges, quantity))
    legend_above(upper, columns=3)
    return artists


def draw_pulls(axes: Axes, summary: PullSummary, quantity: Quantity, half_range: float = 4.0) -> dict[str, Any]:
    """Draw the pulls with the Gaussian of their mean and width, and the standard Gaussian that they should follow.

    Pulls beyond ``half_range`` are counted in the outermost bins. Returns "steps", "histogram", "fit", "standard" and
    "text".
    """
    edges = np.linspace(-half_range, half_range, 17)
    x, scale = np.linspace(-half_range, half_range, 400), summary.usable * (edges[1] - edges[0])
    pulls = np.clip(summary.pulls[np.isfinite(summary.pulls)], -half_range, half_range)
    artists: dict[str, Any] = {}
    artists["steps"], artists["histogram"] = draw_counts(axes, pulls, edges, LEARNED, "subsamples")
    standard = scale * stats.norm.pdf(x)
    fitted = scale * stats.norm.pdf(x, summary.mean, summary.width)
    (artists["standard"],) = axes.plot(x, standard, color=REFERENCE, ls=(0, (4, 2)), lw=0.9, label=r"$\mathcal{N}(0, 1)$")
    (artists["fit"],) = axes.plot(x, fitted, color=SECOND, label="Gaussian fit")
    text = (
        rf"mean ${summary.mean:.2f} \pm {summary.mean_error:.2f}$" + "\n"
        rf"width ${summary.width:.2f} \pm {summary.width_error:.2f}$"
    )
    if beyond := int((np.abs(pulls) == half_range).sum()):
        text += "\n" + rf"{beyond} beyond $\pm {half_range:g}$"
    top = max(axes.get_ylim()[1], 1.1 * float(max(standard.max(), fitted.max())))
    artists["text"] = axes.text(
        0.96, 0.95, text, transform=axes.transAxes, ha="right", va="top", fontsize=8, linespacing=1.4
    )
    label = rf"$(\hat{{{quantity.symbol}}} - {quantity.symbol})/\sigma$"
    axes.set(xlabel=label, ylabel="subsamples", xlim=(-half_range, half_range), ylim=(0, top))
    legend_above(axes)
    return artists


def draw_coverage(axes: Axes, result: Coverage, label: str = "profile intervals") -> dict[str, Any]:
    """Draw observed against nominal coverage with Clopper-Pearson errors (68.3 %): "points" and "diagonal"."""
    artists: dict[str, Any] = {}
    artists["diagonal"] = axes.axline((0, 0), slope=1, color=QUIET, lw=0.7, ls=(0, (4, 2)), label="exact")
    artists["points"] = axes.errorbar(
        result.levels, result.fraction, _coverage_error(result), fmt="o", ms=3, color=LEARNED, lw=0.9, label=label
    )
    axes.set(xlabel="nominal level", ylabel="observed coverage", xlim=(0, 1.02), ylim=(0, 1.02))
    legend_above(axes, columns=2)
    return artists


def draw_coverage_along(axes: Axes, truths: ArrayLike, results: Sequence[Coverage], quantity: Quantity) -> dict[str, Any]:
    """Draw the coverage of the same levels at several ``truths`` [T]: one series and one nominal line per level.

    Returns "points" and "nominal", lists with one entry per level.
    """
    x, levels = np.asarray(truths) * quantity.scale, results[0].levels
    shift = 0.01 * float(np.ptp(x)) if len(x) > 1 else 0.0
    artists: dict[str, Any] = {"points": [], "nominal": []}
    for i, (level, color) in enumerate(zip(levels, (LEARNED, SECOND, THIRD), strict=False)):
        fraction = np.array([result.fraction[i] for result in results])
        errors = np.stack([_coverage_error(result)[:, i] for result in results], axis=1)
        artists["nominal"].append(axes.axhline(level, color=color, lw=0.7, ls=(0, (4, 2))))
        artists["points"].append(
            axes.errorbar(
                x + (i - 0.5) * shift, fraction, errors, fmt="o", ms=3, color=color, lw=0.9, label=f"{100 * level:.1f} %"
            )
        )
    set_ticks(axes.xaxis, quantity)
    lowest = min(float(np.min(result.lower)) for result in results)
    axes.set(xlabel=f"true {quantity.label}", ylabel="observed coverage", ylim=(max(0.0, lowest - 0.05), 1.02))
    legend_above(axes)
    return artists


def draw_bias_along(
    panels: Panels, truths: ArrayLike, summaries: Sequence[PullSummary], quantity: Quantity
) -> dict[str, Any]:
    """Draw bias and spread of the estimates (above) and the pull width (below) at several ``truths`` [T].

    Returns "bias", "spread" and "width".
    """
    upper, lower = panels
    x = np.asarray(truths) * quantity.scale
    artists: dict[str, Any] = {}
    for name, color, shape in (("bias", LEARNED, "o"), ("spread", SECOND, "s")):
        values = np.array([getattr(summary, name) for summary in summaries]) * quantity.scale
        errors = np.array([getattr(summary, f"{name}_error") for summary in summaries]) * quantity.scale
        artists[name] = upper.errorbar(x, values, errors, fmt=shape, ms=3, color=color, lw=0.9, label=name)
    widths, errors = np.array([(summary.width, summary.width_error) for summary in summaries]).T
    artists["width"] = lower.errorbar(x, widths, errors, fmt="o", ms=3, color=LEARNED, lw=0.9)
    for axes, height in ((upper, 0), (lower, 1)):
        axes.axhline(height, color=QUIET, lw=0.7)
    set_ticks(lower.xaxis, quantity)
    upper.set(ylabel=rf"$\hat{{{quantity.symbol}}} - {quantity.symbol}${quantity.bracket}")
    lower.set(xlabel=f"true {quantity.label}", ylabel="pull width")
    legend_above(upper)
    return artists


def _estimate_label(fits: SubsampleFits, quantity: Quantity) -> str:
    return quantity.estimate_label + (", sign of the truth" if fits.folded else "")


def _whole(fits: SubsampleFits, edges: Array, quantity: Quantity) -> tuple[float, float]:
    """Limits that hold all error bars, but no more than a turn of an angle."""
    known = np.isfinite(fits.errors)
    ends = np.concatenate([fits.estimates + fits.errors, fits.estimates - fits.errors])[np.tile(known, 2)]
    if fits.period is not None:
        ends = ends.clip(fits.truth - fits.period / 2, fits.truth + fits.period / 2)
    shown = np.concatenate([ends * quantity.scale, edges[[0, -1]]])
    margin = 0.02 * float(np.ptp(shown))
    return float(shown.min()) - margin, float(shown.max()) + margin


def _coverage_error(result: Coverage) -> Array:
    """Distances [2, L] from the observed fraction to its Clopper-Pearson ends."""
    return np.stack([result.fraction - result.lower, result.upper - result.fraction])


def _edges(values: Array) -> Array:
    """Bins around the bulk (Freedman and Diaconis), but never fewer than 8 or more than 60 over the whole range."""
    bins = np.clip(len(np.histogram_bin_edges(values, "fd")) - 1, 8, 60)
    margin = 0.08 * float(np.ptp(values)) or 1.0
    return np.linspace(values.min() - margin, values.max() + margin, bins + 1)
