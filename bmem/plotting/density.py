"""A learned density with its network uncertainty: mean and band, relative error, and pull against a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Normalize
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from bmem.networks.band import DensityBand
from bmem.plotting.histogram import centres
from bmem.plotting.style import LEARNED, QUIET, REFERENCE, legend_above
from bmem.plotting.ticks import number_log_axis, percent_number

Array = NDArray[np.float64]

Three = tuple[Axes, Axes, Axes]
"""Panels of the density, of its relative error and of its pull."""

_LARGEST_PULL = 4.0


def draw_density(panels: Three, band: DensityBand, *labels: str) -> dict[str, Any]:
    """Draw a band of one coordinate in panels with a common x axis, or of two coordinates in panels side by side.

    The first panel has the mean (of one coordinate with a band of one network error, and the reference, if there is one),
    the second the relative network error, the third the pull, which stays hidden without a reference.

    Args:
        panels: for density, relative error and pull.
        band: of one or two coordinates.
        labels: of the coordinates, as many as there are.

    Returns:
        The artists: "mean", "relative" and, with a reference, "pull"; of one coordinate also "band" and "reference".
    """
    artists = _draw_lines(panels, band, *labels) if len(band.edges) == 1 else _draw_maps(panels, band, *labels)
    panels[2].set_visible(band.reference is not None)
    return artists


def percent_axis(axis: Axis) -> None:
    """Label a logarithmic axis in per cent."""
    number_log_axis(axis, percent_number)


def _draw_lines(panels: Three, band: DensityBand, label: str) -> dict[str, Any]:
    density, relative, pull = panels
    edges, mean, error = band.edges[0], band.mean, band.error
    artists: dict[str, Any] = {}
    artists["band"] = density.stairs(mean + error, edges, baseline=mean - error, fill=True, color=LEARNED, alpha=0.3, lw=0)
    artists["mean"] = density.stairs(mean, edges, baseline=None, color=LEARNED, label="learned")
    artists["relative"] = relative.stairs(band.relative_error, edges, baseline=None, color=LEARNED)
    density.set(ylabel="density", ylim=(0, None))
    relative.set(ylabel=r"$\sigma/p$", yscale="log", ylim=_logarithmic_limits(band.relative_error))
    percent_axis(relative.yaxis)
    lowest = relative if band.reference is None else pull
    if band.reference is not None:
        artists["reference"] = _draw_reference(density, edges, band.reference, band.reference_error)
        pull.axhspan(-1, 1, color=QUIET, alpha=0.2, lw=0)
        pull.axhline(0, color=QUIET, lw=0.7)
        (artists["pull"],) = pull.plot(
            centres(edges), np.clip(band.pull, -_LARGEST_PULL, _LARGEST_PULL), "o", ms=2.5, color=LEARNED, clip_on=False
        )
        pull.set(ylabel="pull", ylim=(-_LARGEST_PULL, _LARGEST_PULL))
        pull.yaxis.set_major_locator(MultipleLocator(2))
    lowest.set(xlabel=label, xlim=(edges[0], edges[-1]))
    legend_above(density, columns=2)
    return artists


def _logarithmic_limits(values: Array) -> tuple[float, float]:
    known = values[np.isfinite(values) & (values > 0)]
    return (float(known.min()) / 1.2, float(known.max()) * 1.2) if len(known) else (0.1, 1.0)


def _draw_reference(axes: Axes, edges: Array, reference: Array, error: Array | None) -> Any:
    """A line, dashed so that the mean under it is seen; with error bars if it comes from a sample."""
    if error is not None and error.any():
        return axes.errorbar(
            centres(edges), reference, error, fmt="o", ms=2.5, color=REFERENCE, lw=0.8, label="reference", zorder=3
        )
    return axes.stairs(reference, edges, baseline=None, color=REFERENCE, ls=(0, (3, 2)), lw=0.9, label="exact")


def _draw_maps(panels: Three, band: DensityBand, first: str, second: str) -> dict[str, Any]:
    limit = Normalize(-_LARGEST_PULL, _LARGEST_PULL)
    known = np.isfinite(band.relative_error)
    relative = np.where(known, band.relative_error, np.nan)
    drawn: dict[str, tuple[Array, str, Any]] = {
        "mean": (band.mean, "viridis", None),
        "relative": (relative, "magma_r", None),
    }
    if band.reference is not None:
        drawn["pull"] = (band.pull, "RdBu_r", limit)
    titles = {"mean": "density", "relative": r"$\sigma/p$", "pull": "pull"}
    artists: dict[str, Any] = {}
    for axes, (name, (values, colors, norm)) in zip(panels, drawn.items(), strict=False):
        artists[name] = axes.pcolormesh(*band.edges, values.T, cmap=colors, norm=norm, rasterized=True)
        axes.figure.colorbar(
            artists[name], ax=axes, location="top", label=titles[name], extend="both" if norm else "neither"
        )
        axes.set(xlabel=first)
    panels[0].set_ylabel(second)
    return artists
