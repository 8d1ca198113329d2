"""Every figure of ``bmem.plotting``, drawn from the examples; ``python tests/plotting/drawings.py`` stores the images anew.

Look at an image before it is committed: from then on it is what a figure has to look like.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples as made
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from quantities import ALPHA

from bmem.plotting import (
    acceptance,
    belt,
    budget,
    calibration,
    contours,
    coverage,
    density,
    event_display,
    goodness,
    influence,
    integration,
    likelihood,
    posterior,
    power,
    ranking,
    training,
    transfer,
)
from bmem.plotting.style import house_style, new_figure, new_panels

IMAGES = Path(__file__).parent / "images"
TEXTS = IMAGES / "texts.json"
_DPI = 60
Maker = Callable[[], Figure]
DRAWINGS: dict[str, tuple[set[str], Maker]] = {}
"""The functions of ``bmem.plotting`` that make an image, and how, by its name."""


def _store(name: str, maker: Maker, *functions: Any) -> None:
    DRAWINGS[name] = ({function.__name__ for function in functions}, maker)


def _panel(name: str, function: Any, *arguments: Any, height: float = 2.6, **options: Any) -> None:
    """A figure of one panel by one ``function``."""

    def maker() -> Figure:
        figure, axes = new_figure(height=height)
        function(axes, *arguments, **options)
        return figure

    _store(name, maker, function)


def _panels(name: str, function: Any, *arguments: Any, height: float = 3.2, ratio: float = 2.3, **options: Any) -> None:
    """A figure of two panels."""

    def maker() -> Figure:
        figure, panels = new_panels(height=height, ratio=ratio)
        function(panels, *arguments, **options)
        return figure

    _store(name, maker, function)


def _three(name: str, columns: int, *arguments: Any) -> None:
    """A learned density with its error and pull, in a row or a column."""

    def maker() -> Figure:
        rows = 3 // columns
        figure, panels = plt.subplots(rows, columns, sharex=columns == 1, figsize=(2.0 * columns + 1.0, 1.5 * rows + 0.5))
        density.draw_density(tuple(panels), *arguments)
        return figure

    _store(name, maker, density.draw_density)


def _event() -> Figure:
    figure, panels = event_display.event_figure()
    event_display.draw_event(panels, made.event(), "sample, event 17")
    return figure


PREDICTIONS, VARIABLE = made.predictions()
SIMULATED, LEARNED = made.falling(4000, 50.0), np.stack([made.falling(8000, m, 1) for m in (45, 50, 55)])
EDGES = np.linspace(0, 200, 21)
EFFECTIVE = np.append(made.falling(600, 400.0) + 90, [12.0, 30.0, 45.0])
PARETO = np.concatenate([0.25 + 0.15 * made.gaussian(400), [0.75, 0.9, 1.4], [np.nan]])
TRUTHS = np.radians([30.0, 60.0, 90.0])
PULLS = [made.subsamples(n).pulls() for n in (20, 30, 40)]
EXPECTED = {"50 events": made.regions(25.0), "200 events": made.regions(12.0)}
LENGTHS = np.array([[0.4, 0.2, 0.1, np.nan], [1.0, 0.5, 0.3, 0.2]])
REGIONS = [made.posterior(0.8).interval(level) for level in made.LEVELS]

_panel("likelihood_part", likelihood.draw_likelihood, made.curve(5.0), ALPHA, title=r"$\hat{\alpha}$ = 45 ± 5°, 100 events")
_panel("likelihood_whole", likelihood.draw_likelihood, made.curve(35.0, 2.0), ALPHA)
_panels("estimates", calibration.draw_estimates, made.subsamples(), ALPHA)
_panel("pulls", calibration.draw_pulls, made.subsamples().pulls(), ALPHA)
_panel("coverage", calibration.draw_coverage, made.subsamples().coverage((0.3, 0.683, 0.954)))
_panel("coverage_along", calibration.draw_coverage_along, TRUTHS, made.coverages(), ALPHA)
_panels("bias_along", calibration.draw_bias_along, TRUTHS, PULLS, ALPHA)
_panels("methods_along", coverage.draw_methods_along, made.period(), ALPHA, height=3.8, ratio=1)
_panel("levels", coverage.draw_levels, made.period(), "profile", ALPHA)
_panels("bias_and_spread", coverage.draw_bias_and_spread, made.period(), ALPHA)
_panel("belt", belt.draw_belt, made.belt(), ALPHA, made.curve(35.0, 2.0))
_panel("budget", budget.draw_budget, made.budget_scan(), "events", ALPHA)
_panel("contours", contours.draw_contours, made.contours(), truth=(0.45, 0.6), height=3.2)
_three("density", 1, made.band(1), "$x$")
_three("density_map", 3, made.band(2), "$x$", "$y$")
_store("event", _event, event_display.draw_event, event_display.draw_transverse, event_display.draw_eta_phi)
_panel("goodness", goodness.draw_goodness, made.goodness())
_panel("event_densities", goodness.draw_event_densities, made.goodness())
_panel("influence", influence.draw_influence, made.influence(), height=3.2)
_panel("effective_points", integration.draw_effective_points, EFFECTIVE, 50)
_panel("relative_error", integration.draw_relative_error, 0.02 * np.exp(0.5 * made.gaussian(500)), 0.05)
_panel("pareto_k", integration.draw_pareto_k, PARETO)
_panel("posterior", posterior.draw_posterior, made.posterior(0.8), REGIONS, [made.posterior(c) for c in (0.7, 0.9)])
_panels("sbc", posterior.draw_sbc, made.sbc(), height=3.4, ratio=1)
_panel("predictive", posterior.draw_predictive, made.predictive(), made.PT)
_panel("power", power.draw_power, made.power(), 100, ALPHA, rate=True)
_panel("kept", power.draw_kept, made.power(), ALPHA)
_panel("power_events", power.draw_power_events, made.power(), [10, 1000], np.radians([45.0, 90.0]), ALPHA)
_panel("expected_intervals", power.draw_expected_intervals, np.radians(made.DEGREES), EXPECTED, ALPHA, height=3.2)
_panel("expected_lengths", power.draw_expected_lengths, [10, 40, 160, 640], LENGTHS, [0.0, np.pi / 4], ALPHA)
_panel("ranking", ranking.draw_ranking, made.impacts(), ALPHA, height=3.0)
_panel("losses", training.draw_losses, made.history())
_panels("transfer", transfer.draw_transfer, SIMULATED, LEARNED, EDGES, made.PT)
_panel("reliability", acceptance.draw_reliability, PREDICTIONS, np.linspace(0, 1, 11))
_panels("acceptance", acceptance.draw_acceptance, PREDICTIONS, VARIABLE, EDGES, made.PT)


def written(figure: Figure) -> list[Text]:
    """All that is seen written in a figure once it is laid out: labels, numbers, legends."""
    figure.canvas.draw()
    hidden = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        hidden |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high} | {tick.label2 for tick in ticks}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in hidden]


def texts(written: list[Text]) -> list[str]:
    """What is stored of it."""
    return sorted({text.get_text() for text in written})


def bare(figure: Figure) -> Figure:
    """Without anything written and in a fixed layout: letters differ with the version of matplotlib, and move everything."""
    figure.set_layout_engine("none")
    for axes in figure.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
    for axes in figure.axes:
        if (place := axes.get_subplotspec()) is not None:
            axes.set_position(place.get_position(figure))
        else:
            axes.set_visible(False)  # the bar of a map's colours
    for artist in [*figure.findobj(Legend), *figure.findobj(Text)]:
        artist.set_visible(False)
    return figure


def rendered(figure: Figure) -> bytes:
    """The PNG of a figure, small and without the versions of the software."""
    stream = io.BytesIO()
    bare(figure).savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()


def pixels(png: bytes | Path) -> NDArray[np.float64]:
    """[height, width, 3], between 0 and 255."""
    read = plt.imread(io.BytesIO(png) if isinstance(png, bytes) else png)
    return 255.0 * np.asarray(read, np.float64)[..., :3]


if __name__ == "__main__":
    mpl.use("Agg")
    IMAGES.mkdir(exist_ok=True)
    said = {}
    for name, (_, maker) in DRAWINGS.items():
        with house_style():
            figure = maker()
            said[name] = texts(written(figure))
            (IMAGES / f"{name}.png").write_bytes(rendered(figure))
        plt.close(figure)
    TEXTS.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
