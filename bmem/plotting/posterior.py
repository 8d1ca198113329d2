"""The posterior of a parameter with its regions, its calibration, and what it predicts for an observable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bmem.calibration.predictive import PredictiveHistogram
from bmem.calibration.sbc import SimulationBasedCalibration
from bmem.inference.bayes import Posterior
from bmem.inference.intervals import IntervalSet
from bmem.plotting.histogram import centres
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, SECOND, Panels, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity


def draw_posterior(
    axes: Axes,
    result: Posterior,
    regions: Sequence[IntervalSet] = (),
    replicas: Sequence[Posterior] = (),
) -> dict[str, Any]:
    """Draw the density of ``result``, filled over its ``regions``, with those of the single ``replicas`` as thin lines.

    The prior is named above. Returns "curve", "regions" (a list for each of them) and "replicas" (lines).
    """
    quantity = result.parameter.quantity
    x, density = _density(result, quantity)
    artists: dict[str, Any] = {"regions": [], "replicas": []}
    for region in sorted(regions, key=lambda r: -r.level):
        opacity = 0.4 if region.level < 0.9 else 0.2
        label = f"{100 * region.level:.1f} % region"
        inside = region.contains(result.points)
        artists["regions"].append(
            axes.fill_between(x, 0, density, where=inside, color=SECOND, alpha=opacity, lw=0, label=label)
        )
    for i, replica in enumerate(replicas):
        named = f"{len(replicas)} replicas" if i == 0 else None
        artists["replicas"] += axes.plot(*_density(replica, quantity), color=QUIET, lw=0.5, alpha=0.7, label=named)
    (artists["curve"],) = axes.plot(x, density, color=LEARNED, label="posterior")
    top = max(float(line.get_ydata().max()) for line in [artists["curve"], *artists["replicas"]])
    low, high = (bound * quantity.scale for bound in result.parameter.bounds)
    set_ticks(axes.xaxis, quantity)
    unit = f" [1/{quantity.suffix.strip()}]" if quantity.unit else ""
    axes.set(xlim=(low, high), ylim=(0, 1.08 * top), xlabel=quantity.label, ylabel=f"posterior density{unit}")
    legend_above(axes, columns=2)
    legend: Any = axes.get_legend()
    legend.set_title(f"prior: {result.prior}", {"size": 8})
    return artists


def _density(result: Posterior, quantity: Quantity) -> tuple[Any, Any]:
    return result.points * quantity.scale, np.exp(result.log_density) / quantity.scale


def draw_sbc(panels: Panels, result: SimulationBasedCalibration, bins: int = 20) -> dict[str, Any]:
    """Draw the ranks of the truths (above) and the levels of the regions that hold them (below), both to be flat.

    The band is the 95 % interval of a bin of a calibrated posterior. Returns "ranks", "levels" (steps) and "bands".
    """
    artists: dict[str, Any] = {"bands": []}
    edges = np.linspace(0, 1, bins + 1)
    expected = len(result.truths) / bins
    half = 1.96 * np.sqrt(expected * (1 - 1 / bins))
    shown = (
        ("ranks", "below the truth", result.ranks, result.p_ranks),
        ("levels", "of its region", result.levels, result.p_levels),
    )
    for axes, (name, label, values, p) in zip(panels, shown, strict=True):
        artists["bands"].append(axes.axhspan(expected - half, expected + half, color=QUIET, alpha=0.25, lw=0))
        axes.axhline(expected, color=REFERENCE, lw=0.7)
        counts = np.histogram(values, edges)[0]
        artists[name] = axes.stairs(counts, edges, color=LEARNED, lw=1.0)
        axes.set(ylabel=label, xlim=(0, 1), ylim=(0, 1.2 * max(float(counts.max()), expected + half)))
        axes.text(0.98, 0.06, f"$p = {p:.3f}$", transform=axes.transAxes, ha="right", fontsize=7)
    panels[1].set(xlabel="posterior probability")
    panels[0].set_title(f"{len(result.truths)} samples of {result.events} events; prior: {result.prior}", fontsize=7)
    return artists


def draw_predictive(axes: Axes, result: PredictiveHistogram, quantity: Quantity) -> dict[str, Any]:
    """Draw the observed counts with the bands of the posterior's prediction: of its mean, and of samples of the same size.

    With several replicas one standard deviation of the networks at the same value is drawn, too. Returns "observed" (error
    bars), "expected" (line), "mean_band", "sample_band" and, with several replicas, "network_band".
    """
    edges = result.edges * quantity.scale
    artists: dict[str, Any] = {}
    for name, replicated, opacity, label in (
        ("sample_band", True, 0.18, "samples, 95 %"),
        ("mean_band", False, 0.45, "expectation, 95 %"),
    ):
        low, high = result.band(0.954, replicated)
        artists[name] = axes.stairs(high, edges, baseline=low, color=LEARNED, fill=True, alpha=opacity, lw=0, label=label)
    if result.network is not None:
        centre, sides = result.by_replica.mean(axis=0), dict[str, Any](fill=True, color=SECOND, alpha=0.5, lw=0)
        low, high = centre - result.network, centre + result.network
        artists["network_band"] = axes.stairs(high, edges, baseline=low, label="networks, 1 σ", **sides)
    artists["expected"] = axes.stairs(result.expected.mean(axis=0), edges, color=LEARNED, lw=0.9)
    x, counts = centres(edges), result.observed
    artists["observed"] = axes.errorbar(
        x, counts, np.sqrt(counts), fmt="o", ms=2.5, lw=0.8, color=REFERENCE, label=f"observed, $p = {result.p_value:.2f}$"
    )
    highest = max(float(result.band(0.954, True)[1].max()), float((counts + np.sqrt(counts)).max()))
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * highest), xlabel=quantity.label, ylabel="events")
    legend_above(axes, columns=2)
    return artists
