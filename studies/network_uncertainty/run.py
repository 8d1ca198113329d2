"""Is the network error right? python run.py [--out OUT] [--trainings T] [--rows N] [--scratch] [--only NAME ...].

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
from measurements import Array, Probe, negative_log_likelihood
from methods import FROM_SCRATCH, METHODS, POINT, Method, network
from torch import Tensor, nn

from bmem.errors import TrustWarning
from bmem.networks.layers import initialise
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
        numbers = {"error": _rms(error), "spread": _rms(error - error.mean(axis=0)) * (len(error) / (len(error) - 1)) ** 0.5}
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
    initialise(module, generator(SEED, "network", training))
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


def table(records: dict[str, Record]) -> str:
    """The result in Markdown, region by region."""
    trainings, lines = len(records["point estimate"].errors["fit"]), []
    for region, title in REGIONS.items():
        lines += [
            f"\n| {title} | true error | true spread | claimed | pull width | covers 68.3 % | 95.4 % | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, record in records.items():
            row = record.row(region)
            claims = [f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in (("claimed", 3), ("pull", 2))]
            covers = [f"{100 * row[key]:.0f} %" if key in row else "-" for key in ("covers1", "covers2")]
            cells = [f"{row['error']:.3f}", f"{row['spread']:.3f}", *claims, *covers, f"{record.seconds / trainings:.1f}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(records: dict[str, Record]) -> Figure:
    """Claimed over true error and coverage of every method, one panel per region."""
    names = [name for name in records if name != "point estimate"][::-1]
    made, _ = style.new_figure(height=0.25 * len(names) + 1.0, width=2 * style.COLUMN)
    made.clear()
    panels = made.subplots(1, len(REGIONS), sharey=True)
    heights = np.arange(len(names))
    for axes, (region, title) in zip(panels, REGIONS.items(), strict=True):
        rows = [records[name].row(region) for name in names]
        axes.axvline(1, color=style.REFERENCE, lw=0.7)
        for key, color, marker, label in (
            ("error", style.LEARNED, "o", "true error"),
            ("spread", style.SECOND, "s", "spread of trainings"),
        ):
            ratio = [row["claimed"] / row[key] for row in rows]
            axes.plot(ratio, heights, marker, ms=3.5, color=color, label=f"claimed / {label}")
        axes.set(xscale="log", xlim=(0.15, 7), xlabel="claimed / true", ylim=(-0.6, len(names) - 0.4))
        axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
        axes.minorticks_off()
        axes.set_title(title, fontsize="medium", loc="right")
    panels[0].set_yticks(heights, names)
    style.legend_above(panels[0], columns=1)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--trainings", type=int, default=12)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--scratch", action="store_true", help="ensembles that are trained from the beginning instead")
    parser.add_argument("--only", nargs="*", help="of the methods")
    options = parser.parse_args()
    methods = FROM_SCRATCH if options.scratch else METHODS
    methods = {name: methods[name] for name in options.only or methods}
    torch.set_num_threads(1)
    # What a posterior says of itself is not the question here.
    warnings.simplefilter("ignore", TrustWarning)
    options.out.mkdir(parents=True, exist_ok=True)
    for number, records in enumerate(study(options.trainings, options.rows, methods), 1):
        print(f"training {number} of {options.trainings}", flush=True)
        if number > 1:
            (options.out / "network_uncertainty.md").write_text(table(records) + "\n")
    print(table(records))
    with style.style():
        style.save(figure(records), options.out / "network_uncertainty")


if __name__ == "__main__":
    main()
