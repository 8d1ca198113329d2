"""The parts of the uncertainty: python run.py [PART ...] [--run RUN] [--out OUT] [--method METHOD].

Parts are pulls, events and training of the toy, and thj, thj_sizes and thj_spread, which take the finished run in RUN.
Prints tables and writes them and figures to OUT; see README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike
from thj import Quality, Recipe, ThjBench
from toy import POSTERIOR, Bench, Measurement, Toy, repeated

from bmem.inference.combine import Budget
from bmem.plotting import style
from bmem.plotting.budget import BudgetScan, draw_budget
from bmem.process.single_top_higgs import ALPHA

TRIALS = 30
PAIRS = 1000
SIZE_TRIALS = 8
SHARES = (1 / 64, 1 / 16, 1 / 4, 1)
SMALL = 16
SPREAD_TRAININGS = 9
EVENTS, POINTS = 1000, 64
PULLS = (
    "| pairs | trials | true error | network | integration | pull mean | width | width without network |\n"
    "|---|---|---|---|---|---|---|---|"
)
SIZES = (
    "| simulated events | hidden units | held-out log p | network error | shift from x_hard known | information kept |\n"
    "|---|---|---|---|---|---|"
)
SPREAD = (
    "| training | held-out log p | claimed | shift from x_hard known | information kept | α̂ | claimed by σ_k | claimed by "
    "networks | α̂ with a common σ_k |\n|---|---|---|---|---|---|---|---|---|"
)
PARTS = "| {} | statistical | integration | network | switched |\n|---|---|---|---|---|"


class Study:
    """The parts of the study, their tables in OUT/NAME.md and figures beside them."""

    def __init__(self, out: Path, toy: Toy, trainings: int = SPREAD_TRAININGS) -> None:
        self.out, self.toy, self.bench, self.trainings = out, toy, Bench(), trainings
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
        """More and more training events at 1000 measured ones: does the claim fall as the true error does?"""
        counts, lines, scans = (500, 2000, 8000, 32_000), [PULLS], []
        for n in counts:
            found = repeated(self.toy.sized(n), self.bench, 1000, range(1, SIZE_TRIALS + 1), _show)
            lines.append(_pull_row(n, found))
            self._write("training", lines)
            scans.append(found)
        self._draw_training(counts, scans)

    def _draw_training(self, counts: Sequence[int], scans: Sequence[Sequence[Measurement]]) -> None:
        """Root mean squares over the trainings of each size, with the errors that their number leaves."""
        statistical = np.array([rms([m.result.statistical[0] for m in found]) for found in scans])
        integration, network, error = (
            np.array([rms([getattr(m, name) for m in found]) for found in scans])
            for name in ("integration", "network", "error")
        )
        sources = {"statistical": statistical, "integration": integration, "network": network}
        scan = BudgetScan(np.array(counts, float), sources, dict.fromkeys(sources, np.zeros(len(counts))))
        with style.house_style():
            figure, axes = style.new_figure(height=3.0)
            draw_budget(axes, scan, "training events", ALPHA.quantity)
            true = np.degrees(error)
            known = true / np.sqrt(2 * SIZE_TRIALS)
            axes.errorbar(counts, true, known, fmt="D--", ms=3, lw=0.9, color=style.THIRD, label="true error")
            style.legend_above(axes, columns=2)
            plain_ticks(axes.yaxis)
            style.save(figure, self.out / "training")

    def thj(self, bench: ThjBench) -> None:
        """tHj with the networks of a run: events of the measurement, and points of each integral."""
        events, points = (100, 200, 400, 800, 1600), (32, 64, 128, 256, 512)
        self._scan("thj_events", "events", events, [bench.budget(n, 64) for n in events])
        self._scan("thj_points", "points of each integral", points, [bench.budget(100, m) for m in points])

    def thj_sizes(self, bench: ThjBench) -> None:
        """tHj with less simulation and smaller networks; the largest of both are those of the run."""
        largest, lines, found = bench.largest, [SIZES], {}
        for share in SHARES:
            for hidden in (SMALL, largest.hidden):
                recipe = replace(largest, events=round(largest.events * share), hidden=hidden, replicas=8)
                full = (recipe.events, hidden) == (largest.events, largest.hidden)
                networks = bench.networks if full else bench.trained(recipe, hidden)
                found[recipe] = bench.quality(networks, EVENTS, POINTS)
                lines.append(f"| {recipe.events} | {hidden} | {quality_cells(found[recipe])} |")
                self._write("thj_sizes", lines)
        self._draw(draw_sizes, "thj_sizes", found)

    def thj_spread(self, bench: ThjBench) -> None:
        """Independent trainings of tHj, each on simulation of its own: is the claimed error their true spread?"""
        share, lines, found = bench.largest.events // 64, [SPREAD], []
        for i in range(self.trainings):
            recipe = Recipe(share, SMALL, first=i * share)
            found.append(bench.quality(bench.trained(recipe, 1000 + i), EVENTS // 2, POINTS))
            lines.append(f"| {i + 1} | {quality_cells(found[-1])} | {spread_cells(found[-1])} |")
            self._write("thj_spread", lines)
        self._write("thj_spread", [*lines, "", spread_verdict(found)])

    def _draw(self, draw: Callable[..., None], name: str, found: Any) -> None:
        with style.house_style():
            figure, panels = plt.subplots(3, 1, sharex=True, figsize=(style.COLUMN, 4.6))
            draw(panels, found)
            style.save(figure, self.out / name)

    def _scan(self, name: str, label: str, x: Sequence[int], budgets: Sequence[Budget]) -> None:
        rows = [f"| {n} | {_parts(b)}" for n, b in zip(x, budgets, strict=True)]
        self._write(name, [PARTS.format(label), *rows])
        with style.house_style():
            figure, axes = style.new_figure()
            draw_budget(axes, BudgetScan.of(x, budgets), label, ALPHA.quantity)
            plain_ticks(axes.yaxis)
            style.save(figure, self.out / name)

    def _write(self, name: str, lines: Iterable[str]) -> None:
        text = "\n".join(lines) + "\n"
        print(text, flush=True)
        (self.out / f"{name}.md").write_text(text, encoding="utf-8")


def _parts(budget: Budget) -> str:
    assert budget.integration is not None
    assert budget.network is not None
    sigmas = (budget.statistical[0], budget.integration.std[0], budget.network.std[0])
    return " | ".join(f"{np.degrees(sigma):.3f}°" for sigma in sigmas) + f" | {100 * budget.network.switched:.0f} % |"


def _pull_row(pairs: int, found: Sequence[Measurement]) -> str:
    pulls, without = (np.array([getattr(m, name) for m in found]) for name in ("pull", "pull_without_network"))
    sizes = (np.array([getattr(m, name) for m in found]) for name in ("error", "network", "integration"))
    error, network, integration = (np.degrees(rms(size)) for size in sizes)
    n = len(found)
    return (
        f"| {pairs} | {n} | {error:.2f}° | {network:.2f}° | {integration:.2f}° | {pulls.mean():+.2f} ± "
        f"{pulls.std(ddof=1) / np.sqrt(n):.2f} | {pulls.std(ddof=1):.2f} ± {pulls.std(ddof=1) / np.sqrt(2 * n - 2):.2f} | "
        f"{without.std(ddof=1):.2f} |"
    )


def rms(values: ArrayLike) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _show(found: Measurement) -> None:
    error, network, integration = np.degrees([found.error, found.network, found.integration])
    print(f"error {error:+.2f}°, network {network:.2f}°, integration {integration:.2f}°, pull {found.pull:+.2f}", flush=True)


def quality_cells(found: Quality) -> str:
    """Held-out log density, network error, shift and information kept."""
    network, shift, error = np.degrees([found.network, found.shift, found.shift_error])
    return f"{found.held_out:.3f} | {network:.2f}° | {shift:+.2f} ± {error:.2f}° | {100 * found.kept:.1f} %"


def spread_cells(found: Quality) -> str:
    """α̂, what the resamples claim through σ_k and through the networks alone, and α̂ with a common σ_k."""
    cells = np.degrees([found.estimate, found.counting, found.weights, found.common])
    return " | ".join(f"{cell:.2f}°" for cell in cells)


def spread_verdict(found: Sequence[Quality]) -> str:
    """The true spread of independent trainings against what they claim, with their own σ_k and with a common one."""
    own, common = _verdict(found, "estimate", "network"), _verdict(found, "common", "weights")
    return f"{own}\n\nWith a common σ_k against the claim of the networks alone: {common}"


def _verdict(found: Sequence[Quality], estimate: str, claim: str) -> str:
    estimates, claims = (np.degrees([getattr(q, name) for q in found]) for name in (estimate, claim))
    pulls, n = (estimates - estimates.mean()) / claims, len(found)
    known = 1 / np.sqrt(2 * (n - 1))
    spread, width, shift = estimates.std(ddof=1), pulls.std(ddof=1), np.degrees([q.shift for q in found])
    return (
        f"True spread of {n} trainings {spread:.2f} ± {known * spread:.2f}°, claimed {rms(claims):.2f}°, pull width "
        f"{width:.2f} ± {known * width:.2f}; mean shift {shift.mean():+.2f} ± {spread / np.sqrt(n):.2f}° (trainings) "
        f"± {np.degrees(found[0].shift_error):.2f}° (events)"
    )


def plain_ticks(axis: Axis) -> None:
    """Numbers 1, 2, 5, 10, ... on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def draw_sizes(panels: Sequence[Axes], found: Mapping[Recipe, Quality]) -> None:
    """Network error, shift and held-out log density against simulation, a line for each size of the networks."""
    best = max(quality.held_out for quality in found.values())
    looks = zip(sorted({recipe.hidden for recipe in found}), (style.SECOND, style.LEARNED), "^o", strict=True)
    for hidden, colour, marker in looks:
        rows = [(r.events, q) for r, q in sorted(found.items(), key=lambda item: item[0].events) if r.hidden == hidden]
        x, qualities = [events for events, _ in rows], [quality for _, quality in rows]
        network = np.degrees([q.network for q in qualities])
        look: dict[str, Any] = {"fmt": f"{marker}-", "ms": 3.5, "lw": 0.9, "color": colour}
        panels[0].errorbar(x, network, network / np.sqrt(14), label=f"{hidden} units", **look)
        panels[1].errorbar(x, np.degrees([q.shift for q in qualities]), network, **look)
        panels[2].errorbar(x, [best - q.held_out for q in qualities], **look)
    panels[0].set(ylabel="network error [°]", yscale="log")
    plain_ticks(panels[0].yaxis)
    panels[1].set(ylabel=r"shift of $\hat\alpha$ [°]")
    error = np.degrees(next(iter(found.values())).shift_error)
    panels[1].axhspan(-error, error, color=style.QUIET, alpha=0.25, lw=0)
    panels[2].set(ylabel=r"loss of $\log p$", xlabel="simulated events", xscale="log")
    sizes = sorted({recipe.events for recipe in found})
    panels[2].set_xticks(sizes, [str(n) for n in sizes])
    panels[2].xaxis.set_minor_formatter(NullFormatter())
    style.legend_above(panels[0])


def main() -> None:
    """Run the parts that are asked for, those of the toy by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["pulls", "events", "training"])
    parser.add_argument("--run", type=Path, help="folder of a finished run, for the parts of tHj")
    parser.add_argument("--out", type=Path, default=Path("out/uncertainty_budget"))
    parser.add_argument("--trainings", type=int, default=SPREAD_TRAININGS, help="independent ones in thj_spread")
    parser.add_argument("--method", default=POSTERIOR.method, help="posterior over the weights")
    arguments = parser.parse_args()
    toy = Toy(PAIRS, posterior=replace(POSTERIOR, method=arguments.method))
    study = Study(arguments.out, toy, arguments.trainings)
    for part in arguments.parts:
        getattr(study, part)(*([ThjBench(arguments.run)] if part.startswith("thj") else []))


if __name__ == "__main__":
    main()
