"""Learned transfer density against simulation, one observable at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmem.plotting.histogram import centres, density, draw_ratio
from bmem.plotting.style import LEARNED, REFERENCE, Panels, legend_above
from bmem.plotting.ticks import set_ticks
from bmem.quantity import Quantity

Array = NDArray[np.float64]


LABELS = ("simulation", "learned transfer")


def draw_transfer(
    panels: Panels,
    simulated: Array,
    learned: Array,
    edges: Array,
    quantity: Quantity,
    *,
    labels: tuple[str, str] = LABELS,
) -> dict[str, Any]:
    """Draw samples of one observable, ``simulated`` [N] and ``learned`` [R, M] by R networks, in bins of ``edges`` [B + 1].

    ``edges`` and the samples are in the stored unit of ``quantity``; the networks share their noise, so that the spread of
    their histograms is theirs; ``labels`` are of the two samples. The lower panel is the mean of the networks over the
    simulation: points carry the error of the learned sample, the grey band that of the simulated one, the coloured band is
    one standard deviation of the networks.
    Returns "simulated", "simulated_errors", "learned", "ratio", "ratio_band" and, if R > 1, "network_band".
    """
    main, lower = panels
    edges = edges * quantity.scale
    known, known_error = density(simulated * quantity.scale, edges)
    models, errors = map(np.array, zip(*(density(sample * quantity.scale, edges) for sample in learned), strict=True))
    model, model_error = models.mean(0), errors.mean(0)
    x = centres(edges)
    artists: dict[str, Any] = {}
    artists["simulated"] = main.stairs(known, edges, color=REFERENCE, alpha=0.15, fill=True, lw=0)
    main.stairs(known, edges, color=REFERENCE, lw=0.8, label=labels[0])
    artists["simulated_errors"] = main.errorbar(x, known, known_error, fmt="none", color=REFERENCE, lw=0.8)
    artists["learned"] = main.errorbar(
        x, model, model_error, np.diff(edges) / 2, fmt="o", ms=2.5, color=LEARNED, lw=0.9, label=labels[1]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, ratio_error, band = (y / known for y in (model, model_error, known_error))
    if len(learned) > 1:
        spread = models.std(0, ddof=1) * np.divide(1, known, out=np.zeros_like(known), where=known > 0)
        sides = {"baseline": ratio - spread, "fill": True, "color": LEARNED, "alpha": 0.25, "lw": 0}
        artists["network_band"] = lower.stairs(ratio + spread, edges, label="networks, 1 σ", **sides)
    artists["ratio"] = draw_ratio(lower, edges, ratio, ratio_error, half_range=0.5)
    band = np.where(known > 0, band, 0.0)
    artists["ratio_band"] = lower.stairs(
        1 + band, edges, baseline=1 - band, fill=True, color=REFERENCE, alpha=0.15, lw=0, label=f"statistics of {labels[0]}"
    )
    per_unit = f" [{quantity.suffix.strip()}$^{{-1}}$]" if quantity.unit else ""
    main.set(ylabel=rf"$(1/N)\,dN/d{quantity.symbol}${per_unit}", ylim=(0, 1.1 * float((known + known_error).max())))
    main.ticklabel_format(axis="y", scilimits=(-4, 5))  # an exponent above the panel would hide the legend
    lower.set(xlabel=quantity.label, xlim=(edges[0], edges[-1]))
    set_ticks(lower.xaxis, quantity)
    legend_above(main, columns=2, others=(lower,))
    return artists
