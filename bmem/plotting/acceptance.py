"""The learned acceptance: is the predicted probability the observed fraction, overall and along a variable?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bmem.calibration.coverage import clopper_pearson
from bmem.plotting.histogram import centres, draw_ratio
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, Panels, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """The ``predicted`` [N] acceptance of held-out simulated events, and whether each was ``accepted`` [N]."""

    predicted: Array
    accepted: BoolArray


def draw_reliability(axes: Axes, predictions: Predictions, edges: Array) -> dict[str, Any]:
    """Draw the accepted fraction against the mean predicted acceptance, in bins of the prediction [B + 1 edges].

    Errors are Clopper-Pearson (68.3 %). Returns "points" and "diagonal".
    """
    mean, fraction, error, _ = _binned(predictions.predicted, predictions, edges)
    artists: dict[str, Any] = {}
    artists["diagonal"] = axes.axline((0, 0), slope=1, color=QUIET, lw=0.7, ls=(0, (4, 2)), label="calibrated")
    artists["points"] = axes.errorbar(mean, fraction, error, fmt="o", ms=3, color=LEARNED, lw=0.9, label="validation events")
    top = min(1.02, 1.08 * float(np.maximum(mean, fraction + error[1]).max(initial=0.1)))
    axes.set(xlabel="predicted acceptance", ylabel="observed fraction", xlim=(0, top), ylim=(0, top))
    legend_above(axes, columns=2)
    return artists


def draw_acceptance(
    panels: Panels, predictions: Predictions, variable: Array, edges: Array, quantity: Quantity
) -> dict[str, Any]:
    """Draw the acceptance along a hard ``variable`` [N]: the mean prediction against the accepted fraction.

    ``variable`` and ``edges`` [B + 1] are in the stored unit of ``quantity``. The lower panel is learned over simulated with
    the binomial error of the simulated fraction. Returns "simulated", "learned" and "ratio".
    """
    main, lower = panels
    mean, fraction, error, filled = _binned(variable, predictions, edges)
    edges = edges * quantity.scale
    x, half = centres(edges)[filled], np.diff(edges)[filled] / 2
    artists: dict[str, Any] = {}
    steps = np.full(len(edges) - 1, np.nan)
    steps[filled] = mean
    artists["learned"] = main.stairs(steps, edges, color=LEARNED, lw=1.1, label="learned", baseline=None)
    artists["simulated"] = main.errorbar(
        x, fraction, error, half, fmt="o", ms=2.5, color=REFERENCE, lw=0.9, label="simulation"
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, ratio_error = mean / fraction, error[::-1] * mean / fraction**2
    every = np.full((3, len(edges) - 1), np.nan)
    every[:, filled] = np.where(fraction > 0, [ratio, *ratio_error], np.nan)
    artists["ratio"] = draw_ratio(lower, edges, every[0], every[1:], half_range=0.2)
    main.set(ylabel="acceptance", ylim=(0, 1.1 * float((fraction + error[1]).max())))
    lower.set(xlabel=quantity.label, xlim=(edges[0], edges[-1]))
    set_ticks(lower.xaxis, quantity)
    legend_above(main, columns=2)
    return artists


def _binned(variable: Array, predictions: Predictions, edges: Array) -> tuple[Array, Array, Array, BoolArray]:
    """Mean prediction, accepted fraction, its errors [2, B], of the bins that hold events; and which bins those are."""
    total = np.histogram(variable, edges)[0]
    filled = total > 0
    passed = np.histogram(variable[predictions.accepted], edges)[0][filled]
    total = total[filled]
    mean = np.histogram(variable, edges, weights=predictions.predicted)[0][filled] / total
    fraction = passed / total
    low, high = clopper_pearson(passed, total)
    return mean, fraction, np.stack([fraction - low, high - fraction]), filled
