"""Is the network error right? python run.py [--out OUT] [--trainings T] [--rows N] [--only NAME ...].

Trains T networks on training sets of their own, claims an error for each with every posterior, and compares the claims with
the true errors: a table and a figure in OUT; see README.md.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import truth
from matplotlib.figure import Figure
from measurements import Array, Probe
from methods import METHODS, POINT, Method, network
from torch import Tensor, nn

from bmem.errors import TrustWarning
from bmem.networks import negative_log_likelihood
from bmem.plotting import style
from bmem.replicas import PointEstimate, Replicas
from bmem.rng import generator

SEED = 1
REGIONS = {"bulk": "bulk", "tail": "tail", "fit": "fitted condition"}


@dataclass
class Record:
    """What one method claimed, training by training.

    Attributes:
        errors: by region: mean over replicas less the truth [T, points].
        claims: by region: spread over replicas [T, points].
        seconds: of all fits.
    """

    errors: dict[str, list[Array]]
    claims: dict[str, list[Array]]
    seconds: float = 0.0

    def add(self, found: dict[str, Array], seconds: float) -> None:
        """Take in one training: differences from the truth [R, points] by region."""
        self.seconds += seconds
        for region, values in found.items():
            self.errors.setdefault(region, []).append(values.mean(axis=0))
            self.claims.setdefault(region, []).append(values.std(axis=0, ddof=1) if len(values) > 1 else 0 * values[0])

    def row(self, region: str) -> dict[str, float]:
        """The numbers of the table."""
        error, claim = np.stack(self.errors[region]), np.stack(self.claims[region])
        numbers = {
            "error": _rms(error),
            "spread": float(np.sqrt(error.var(axis=0, ddof=1).mean())),
            "seconds": self.seconds / len(error),
        }
        if not claim.any():
            return numbers
        pull = np.abs(error) / claim
        return numbers | {
            "claimed": _rms(claim),
            "pull": float(np.quantile(pull, 0.683)),
            "covers1": float((pull < 1).mean()),
            "covers2": float((pull < 2).mean()),
        }


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def exact(replicas: Replicas) -> Replicas:
    """The same networks in double precision."""
    module = copy.deepcopy(replicas.module).double()
    return Replicas(module, {name: value.double() for name, value in replicas.weights.items()})


def train(data: tuple[Tensor, Tensor], training: int) -> tuple[nn.Module, Replicas, float]:
    """One network on its own training set: module, replicas and seconds."""
    module, begin = network(data[1]), time.process_time()
    module.reset(generator(SEED, "network", training))
    point = PointEstimate()
    point.fit(module, negative_log_likelihood, data, POINT, seed=training)
    return module, point.sample(1, generator(SEED)), time.process_time() - begin


def study(trainings: int, rows: int, methods: dict[str, Method]) -> Iterator[dict[str, Record]]:
    """The records of all methods after each training; "point estimate" is the first."""
    probe = Probe.draw(2000, 2000, generator(SEED, "probe"))
    records = {name: Record({}, {}) for name in ("point estimate", *methods)}
    for training in range(trainings):
        data = tuple(values.float() for values in truth.draw(rows, generator(SEED, "rows", training)))
        module, point, seconds = train((data[0], data[1]), training)
        records["point estimate"].add(probe.errors(exact(point)), seconds)
        for name, method in methods.items():
            begin = time.process_time()
            posterior = method.make()
            posterior.fit(copy.deepcopy(module), negative_log_likelihood, data, method.training, seed=1000 + training)
            replicas = posterior.sample(method.replicas, generator(SEED, "draw", training))
            records[name].add(probe.errors(exact(replicas)), time.process_time() - begin)
        yield records


Rows = dict[str, dict[str, dict[str, float]]]
"""Numbers of the table by method and region."""


def table(rows: Rows) -> str:
    """The result in Markdown, region by region."""
    lines = []
    for region, title in REGIONS.items():
        lines += [
            f"\n| {title} | true error | true spread | claimed | pull width | covers 68.3 % | 95.4 % | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, regions in rows.items():
            row = regions[region]
            claims = [f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in (("claimed", 3), ("pull", 2))]
            covers = [f"{100 * row[key]:.0f} %" if key in row else "-" for key in ("covers1", "covers2")]
            cells = [f"{row['error']:.3f}", f"{row['spread']:.3f}", *claims, *covers, f"{row['seconds']:.1f}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(rows: Rows) -> Figure:
    """Claimed over true error of every method, one panel per region."""
    names = [name for name in rows if name != "point estimate"][::-1]
    made, _ = style.new_figure(height=0.19 * len(names) + 0.9, width=2 * style.COLUMN)
    made.clear()
    panels = made.subplots(1, len(REGIONS), sharey=True)
    heights = np.arange(len(names))
    looks = {"error": (style.LEARNED, "o", "error"), "spread": (style.SECOND, "s", "spread of trainings")}
    for axes, (region, title) in zip(panels, REGIONS.items(), strict=True):
        axes.axvline(1, color=style.REFERENCE, lw=0.7)
        for key, (color, marker, label) in looks.items():
            ratio = [rows[name][region]["claimed"] / rows[name][region][key] for name in names]
            axes.plot(ratio, heights, marker, ms=3.5, color=color, ls="none", label=f"true: {label}")
        axes.set(xscale="log", xlim=(0.25, 8), xlabel="claimed error / true", title=title, ylim=(-0.6, len(names) - 0.4))
        axes.set_xticks([0.3, 1, 3], ["0.3", "1", "3"])
        axes.set_xticks([0.5, 2, 5], minor=True)
        axes.tick_params(axis="x", which="minor", labelbottom=False)
        axes.grid(axis="y", color=style.QUIET, alpha=0.3, lw=0.4)
    panels[0].set_yticks(heights, names)
    for axes in panels:
        axes.tick_params(axis="y", which="both", length=0)
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside upper right", ncols=2)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--trainings", type=int, default=12)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--only", nargs="*", default=list(METHODS), help="of the methods")
    options = parser.parse_args()
    methods = {name: METHODS[name] for name in options.only}
    torch.set_num_threads(1)
    # What a posterior says of itself is not the question here.
    warnings.simplefilter("ignore", TrustWarning)
    options.out.mkdir(parents=True, exist_ok=True)
    for number, records in enumerate(study(options.trainings, options.rows, methods), 1):
        print(f"training {number} of {options.trainings}", flush=True)
        if number > 1:
            rows = {name: {region: record.row(region) for region in REGIONS} for name, record in records.items()}
            (options.out / "network_uncertainty.md").write_text(table(rows) + "\n")
            with style.house_style():
                style.save(figure(rows), options.out / "network_uncertainty")


if __name__ == "__main__":
    main()
