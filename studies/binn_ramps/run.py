"""Learned densities with error bars on known ramps: python run.py [--out OUT] [--rows N] [--sizes N ...].

Trains a flow on each ramp, finds every posterior from there, and holds density and claimed error against the exact density;
then one ramp with training sets of four sizes. Tables and figures in OUT; see README.md.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray
from ramps import HALF, RAMPS, Ramp, Stretch, ring_on

from bmem.errors import TrustWarning
from bmem.networks import negative_log_likelihood
from bmem.networks.band import DensityBand, band_on_grid
from bmem.networks.coupling import CouplingFlow, CouplingSettings
from bmem.plotting import style
from bmem.plotting.density import draw_density, percent_axis
from bmem.replicas import Ensemble, Laplace, LowRank, MeanField, PointEstimate, Replicas, Swag, WeightPosterior
from bmem.rng import generator
from bmem.training import TrainingSettings

Array = NDArray[np.float64]

SEED = 1
REPLICAS = 16
NETWORK = CouplingSettings(blocks=2, hidden=32, layers=1, bins=8)
POINT = TrainingSettings(epochs=30, batch_size=256, learning_rate=5e-3)
NOTHING = torch.zeros(0)
"""The condition of a density without one."""


@dataclass(frozen=True)
class Method:
    """A posterior and the training in which it is found from a point estimate."""

    make: Callable[[], WeightPosterior]
    training: TrainingSettings


def _passes(epochs: int, learning_rate: float = POINT.learning_rate) -> TrainingSettings:
    return replace(POINT, epochs=epochs, learning_rate=learning_rate)


METHODS = {
    "mean field": Method(MeanField, _passes(15, 3e-3)),
    "mean field, temperature 0.1": Method(lambda: MeanField(temperature=0.1), _passes(15, 3e-3)),
    "low rank": Method(LowRank, _passes(15, 1e-2)),
    "Laplace of last layers": Method(lambda: Laplace(layers="last"), _passes(4, 1e-3)),
    "SWAG": Method(Swag, _passes(6)),
    "bootstrap": Method(lambda: Ensemble(REPLICAS, anew=False), _passes(2)),
    "ensemble": Method(lambda: Ensemble(6), POINT),
}
SCANNED = ("mean field", "mean field, temperature 0.1", "bootstrap")


def in_double(replicas: Replicas) -> Replicas:
    """The same networks in double precision."""
    module = copy.deepcopy(replicas.module).double()
    return Replicas(module, {name: value.double() for name, value in replicas.weights.items()})


@dataclass(frozen=True)
class Trained:
    """Networks of one posterior, their band along the ramp, and the seconds it took beyond the point estimate."""

    band: DensityBand
    seconds: float
    replicas: Replicas


def learn(name: str, rows: int, methods: tuple[str, ...]) -> dict[str, Trained]:
    """The bands of all posteriors along one ramp, learned from ``rows`` points."""
    ramp = RAMPS[name]
    x = ramp.draw(rows, generator(SEED, "rows", name, rows)).float()
    data, module = (x, x.new_zeros(len(x), 0)), CouplingFlow(2, 0, settings=NETWORK)
    module.reset(generator(SEED, "network", name))
    PointEstimate().fit(module, negative_log_likelihood, data, POINT, seed=SEED)
    found = {}
    for label in methods:
        method, begin = METHODS[label], time.perf_counter()
        posterior = method.make()
        posterior.fit(copy.deepcopy(module), negative_log_likelihood, data, method.training, seed=SEED + 1)
        drawn = len(posterior.modules) if isinstance(posterior, Ensemble) else REPLICAS
        replicas = in_double(posterior.sample(drawn, generator(SEED, "draw")))
        found[label] = Trained(along(ramp, replicas), time.perf_counter() - begin, replicas)
        print(f"{name}, {rows} points: {label}", flush=True)
    return found


def along(ramp: Ramp, replicas: Replicas) -> DensityBand:
    """The band along the ramp, integrated over the other coordinate, against the exact density."""
    band = band_on_grid(replicas, ramp.edges, NOTHING.double(), ramp.transform)
    return band.marginal(0).against(ramp.averages())


def table(found: dict[str, dict[str, Trained]]) -> str:
    """True and claimed errors, relative, averaged along the ramp (weights: the exact density), in Markdown."""
    lines = [
        "| density | posterior | true error | claimed | rms pull | within 1 σ | within 2 σ | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, trained in found.items():
        for label, result in trained.items():
            band, pull = result.band, np.abs(result.band.pull)
            cells = [f"{100 * value:.1f} %" for value in relative_errors(band)]
            cells += [
                f"{np.sqrt(np.mean(pull**2)):.2f}",
                f"{100 * np.mean(pull < 1):.0f} %",
                f"{100 * np.mean(pull < 2):.0f} %",
            ]
            lines.append(f"| {name} | {label} | {' | '.join(cells)} | {result.seconds:.1f} |")
    return "\n".join(lines)


def relative_errors(band: DensityBand, part: slice = slice(None)) -> tuple[float, float]:
    """True and claimed relative error, root mean square over points of the exact density in a part of the bins."""
    assert band.reference is not None
    exact = band.reference[part]
    weights = exact * np.diff(band.edges[0])[part]
    squares = ((band.mean[part] / exact - 1) ** 2, (band.error[part] / exact) ** 2)
    true, claimed = (float(np.sqrt(np.average(square, weights=weights))) for square in squares)
    return true, claimed


def bands_figure(found: dict[str, Trained], ramp: Ramp) -> Figure:
    """Density, relative error and pull along one ramp, one column per posterior."""
    labels = ["bootstrap", "mean field", "mean field, temperature 0.1", "low rank"]
    made, _ = style.new_figure(height=4.4, width=2.2 * style.COLUMN)
    made.clear()
    panels = made.subplots(3, len(labels), sharex=True, sharey="row", height_ratios=(2, 1, 1))
    for column, label in zip(panels.T, labels, strict=True):
        draw_density((column[0], column[1], column[2]), found[label].band, ramp.label)
        column[0].set_title(label, fontsize="medium")
        column[0].get_legend().remove()
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
    for axes in panels[2]:
        # no ticks at the ends, where those of the neighbour would touch them
        axes.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    percent_axis(panels[1, 0].yaxis)
    made.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return made


def map_figure(ring: Trained) -> Figure:
    """Density, relative error and pull of the ring in the plane."""
    edges = np.linspace(-HALF, HALF, 33)
    band = band_on_grid(ring.replicas, (edges, edges), NOTHING.double(), Stretch()).against(ring_on(edges))
    made, _ = style.new_figure(height=3.0, width=2.2 * style.COLUMN)
    made.clear()
    panels = made.subplots(1, 3, sharey=True)
    draw_density((panels[0], panels[1], panels[2]), band, "$x$", "$y$")
    return made


def errors_figure(found: dict[str, dict[str, Trained]]) -> Figure:
    """Absolute and relative claimed error along each ramp, all posteriors in one panel, and the true error."""
    made, _ = style.new_figure(height=4.6, width=2.2 * style.COLUMN)
    made.clear()
    panels = made.subplots(2, len(found), sharex="col")
    for column, (name, trained) in zip(panels.T, found.items(), strict=True):
        for number, (label, result) in enumerate(trained.items()):
            x = (result.band.edges[0][1:] + result.band.edges[0][:-1]) / 2
            column[0].plot(x, result.band.error, color=f"C{number}", label=label, lw=1.1)
            column[1].plot(x, result.band.relative_error, color=f"C{number}", lw=1.1)
        column[0].set_title(name, fontsize="medium")
        column[0].set(yscale="log")
        column[1].set(xlabel=RAMPS[name].label, yscale="log", xlim=(x[0], x[-1]))
        percent_axis(column[1].yaxis)
    panels[0, 0].set_ylabel("claimed error of the density")
    panels[1, 0].set_ylabel("relative")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside upper center", ncols=4)
    return made


def sizes_figure(scans: dict[int, dict[str, Trained]]) -> Figure:
    """Claimed and true relative error against the number of training points."""
    made, axes = style.new_figure(height=2.8)
    sizes = np.array(sorted(scans))
    colors = dict(zip(SCANNED, (style.SECOND, style.THIRD, style.LEARNED), strict=True))
    for label, color in colors.items():
        numbers = np.array([relative_errors(scans[size][label].band) for size in sizes])
        axes.plot(sizes, numbers[:, 1], "o-", color=color, ms=3.5, label=label)
        axes.plot(sizes, numbers[:, 0], "x:", color=color, ms=4, lw=0.8)
    claimed = relative_errors(scans[int(sizes[0])]["bootstrap"].band)[1]
    axes.plot(sizes, claimed * (sizes / sizes[0]) ** -0.5, color=style.QUIET, ls=(0, (4, 2)), lw=0.9, label=r"$1/\sqrt{N}$")
    axes.set(xscale="log", yscale="log", xlabel="training points", ylabel="relative error (crosses: true)")
    percent_axis(axes.yaxis)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    style.legend_above(axes, columns=2)
    return made


def sizes_table(scans: dict[int, dict[str, Trained]]) -> str:
    """Relative errors of the wedge against the size of the training set: everywhere, where it is low, where it is high."""
    lines = [
        "| training points | posterior | true error | claimed | claimed, x < 0.2 | claimed, x > 0.8 |",
        "|---|---|---|---|---|---|",
    ]
    for size, trained in scans.items():
        for label, result in trained.items():
            numbers = (
                *relative_errors(result.band),
                relative_errors(result.band, slice(0, 5))[1],
                relative_errors(result.band, slice(20, 25))[1],
            )
            lines.append(f"| {size} | {label} | {' | '.join(f'{100 * value:.1f} %' for value in numbers)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1500, 3000, 6000, 13_500])
    options = parser.parse_args()
    torch.set_num_threads(1)
    # What a posterior says of itself is not the question here.
    warnings.simplefilter("ignore", TrustWarning)
    options.out.mkdir(parents=True, exist_ok=True)
    found = {name: learn(name, options.rows, tuple(METHODS)) for name in RAMPS}
    scans = {size: learn("wedge", size, SCANNED) for size in options.sizes}
    text = f"{table(found)}\n\n{sizes_table(scans)}\n"
    (options.out / "binn_ramps.md").write_text(text)
    print(text)
    with style.house_style():
        for name, trained in found.items():
            style.save(bands_figure(trained, RAMPS[name]), options.out / f"ramps_{name}")
        style.save(map_figure(found["ring"]["bootstrap"]), options.out / "ramps_map")
        style.save(errors_figure(found), options.out / "ramps_errors")
        style.save(sizes_figure(scans), options.out / "ramps_sizes")


if __name__ == "__main__":
    main()
