"""The parts of the uncertainty: python run.py [pulls] [events] [training] [thj] [--run RUN] [--out OUT] [--method METHOD].

Prints tables and writes them and figures to OUT; see README.md. ``thj`` takes the networks of the finished run in RUN.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from thj import ThjBench
from toy import POSTERIOR, Bench, Measurement, Toy, repeated

from bmem.inference.combine import Budget
from bmem.plotting import style
from bmem.plotting.budget import BudgetScan, draw_budget

TRIALS = 30
PAIRS = 1000
PULLS = (
    "| pairs | trials | true error | network | integration | pull mean | width | width without network |\n"
    "|---|---|---|---|---|---|---|---|"
)
PARTS = "| {} | statistical | integration | network | switched |\n|---|---|---|---|---|"


class Study:
    """The parts of the study, their tables in OUT/NAME.md and figures beside them."""

    def __init__(self, out: Path, toy: Toy) -> None:
        self.out, self.toy, self.bench = out, toy, Bench()
        out.mkdir(parents=True, exist_ok=True)

    def pulls(self) -> None:
        """Independent trainings and samples of the toy: is the exact answer within the claimed error?"""
        lines = [PULLS]
        for toy in (self.toy, self.toy.sized(8 * self.toy.events)):
            found = repeated(toy, self.bench, 300, range(1, TRIALS + 1), _show)
            lines.append(_pull_row(toy.events, found))
            self._write("pulls", lines)

    def events(self) -> None:
        """One training, more and more events: the integration error falls, the network error stays."""
        toy, counts = self.toy.sized(4 * self.toy.events), (100, 300, 1000, 3000, 10_000)
        transfer, observed = toy.replicas(1), self.bench.observed(counts[-1], 1)
        budgets = [self.bench.measure(transfer, observed[:n], 1).result for n in counts]
        self._scan("events", "events", counts, budgets)

    def training(self) -> None:
        """More and more training events at 1000 measured ones."""
        counts = (500, 2000, 8000, 32_000)
        observed = self.bench.observed(1000, 1)
        budgets = [self.bench.measure(self.toy.sized(n).replicas(1), observed, 1).result for n in counts]
        self._scan("training", "training events", counts, budgets)

    def thj(self, folder: Path) -> None:
        """tHj with the networks of a run: events of the measurement, and points of each integral."""
        bench, counts, points = ThjBench(folder), (100, 200, 400, 800), (32, 64, 128, 256)
        self._scan("thj_events", "events", counts, [bench.budget(n, 64) for n in counts])
        self._scan("thj_points", "points of each integral", points, [bench.budget(100, m) for m in points])

    def _scan(self, name: str, label: str, x: Sequence[int], budgets: Sequence[Budget]) -> None:
        rows = [f"| {n} | {_parts(b)} |" for n, b in zip(x, budgets, strict=True)]
        self._write(name, [PARTS.format(label), *rows])
        with style.style():
            figure, axes = style.new_figure()
            draw_budget(axes, BudgetScan.of(x, budgets), label)
            style.save(figure, self.out / name)

    def _write(self, name: str, lines: Iterable[str]) -> None:
        text = "\n".join(lines) + "\n"
        print(text, flush=True)
        (self.out / f"{name}.md").write_text(text, encoding="utf-8")


def _parts(budget: Budget) -> str:
    assert budget.integration is not None
    assert budget.network is not None
    sigmas = (budget.statistical[0], budget.integration.std[0], budget.network.std[0])
    return " | ".join(f"{np.degrees(sigma):.3f}°" for sigma in sigmas) + f" | {100 * budget.network.switched:.0f} %"


def _pull_row(pairs: int, found: Sequence[Measurement]) -> str:
    pulls, without = (np.array([getattr(m, name) for m in found]) for name in ("pull", "pull_without_network"))
    sizes = (np.array([getattr(m, name) for m in found]) for name in ("error", "network", "integration"))
    rms, network, integration = (np.degrees(np.sqrt(np.mean(size**2))) for size in sizes)
    n = len(found)
    return (
        f"| {pairs} | {n} | {rms:.2f}° | {network:.2f}° | {integration:.2f}° | {pulls.mean():+.2f} ± "
        f"{pulls.std(ddof=1) / np.sqrt(n):.2f} | {pulls.std(ddof=1):.2f} ± {pulls.std(ddof=1) / np.sqrt(2 * n - 2):.2f} | "
        f"{without.std(ddof=1):.2f} |"
    )


def _show(found: Measurement) -> None:
    error, network, integration = np.degrees([found.error, found.network, found.integration])
    print(f"error {error:+.2f}°, network {network:.2f}°, integration {integration:.2f}°, pull {found.pull:+.2f}", flush=True)


def main() -> None:
    """Run the parts that are asked for, all but thj by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["pulls", "events", "training"])
    parser.add_argument("--run", type=Path, help="folder of a finished run, for thj")
    parser.add_argument("--out", type=Path, default=Path("out/uncertainty_budget"))
    parser.add_argument("--method", default=POSTERIOR.method, help="posterior over the weights")
    arguments = parser.parse_args()
    study = Study(arguments.out, Toy(PAIRS, posterior=replace(POSTERIOR, method=arguments.method)))
    for part in arguments.parts:
        if part == "thj":
            study.thj(arguments.run)
        else:
            getattr(study, part)()


if __name__ == "__main__":
    main()
