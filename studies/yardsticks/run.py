"""Who measures α best from the same events? python run.py RUN [--out OUT].

RUN is the folder of the finished study of coverage, with its bank. Prints tables and writes them and a figure to OUT; see
README.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from estimators import Simulation
from rich.console import Console

from bmem.calibration.bank import Bank
from bmem.calibration.neyman import BeltSettings, make_belt
from bmem.calibration.period import PeriodPoint, PeriodScan, PeriodSettings
from bmem.calibration.power import Power, power_at
from bmem.calibration.toy_intervals import METHODS
from bmem.channels.thj.reconstruction import Reconstruction
from bmem.config import BANK, TRAINING, parse
from bmem.events import parquet
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients, simulated_cross_section
from bmem.plotting import style
from bmem.process.single_top_higgs import ALPHA
from bmem.replicas import Replicas
from bmem.rng import numpy_generator
from bmem.stages import Run
from bmem.stages.belt import load_bank
from bmem.stages.simulate import load_sample

KNOWN, MEM, JOINT, CLASSIFIER = "x_hard known", "matrix element method", "joint ratio", "classifier"
ANGLES = tuple(range(0, 181, 15))
SHOWN = (0, 45, 90)
LEVELS = (0.683, 0.954)
BELT = BeltSettings(points=37, toys=3000, levels=LEVELS, halvings=0)
TOYS = PeriodSettings(size=100, toys=8000)
LOOKS = {
    KNOWN: (style.REFERENCE, "-"),
    MEM: (style.LEARNED, "o-"),
    JOINT: (style.SECOND, "^-"),
    CLASSIFIER: (style.THIRD, "s-"),
}


@dataclass(frozen=True)
class Yardstick:
    """What one likelihood makes of the bank: toys at ``ANGLES``, and the information in it."""

    points: list[PeriodPoint]
    power: Power

    @classmethod
    def of(cls, bank: Bank, seed: int) -> Yardstick:
        """Belts of one half of the bank are tested with toys of the other one; all yardsticks see the same toys."""
        halves = bank.halves(numpy_generator(seed, "halves"))
        belts = [make_belt(half, TOYS.size, seed + h, BELT) for h, half in enumerate(halves)]
        scan = PeriodScan(halves, belts, seed, TOYS)
        return cls([scan.at(float(np.radians(a))) for a in ANGLES], power_at(bank, np.radians(ANGLES)))


class Study:
    """The events of the run in ``folder`` and what the estimators make of them."""

    def __init__(self, folder: Path, out: Path) -> None:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.run = Run(parse(content, str(folder / "config.json")), folder, Console(stderr=True))
        self.out = out
        out.mkdir(parents=True, exist_ok=True)

    def banks(self) -> dict[str, Bank]:
        """One bank of the same events for each likelihood."""
        run = self.run
        pairs, mem = parquet.read_pairs(run.events(TRAINING)), load_bank(run)
        sigma, _ = simulated_cross_section(run.process, pairs)
        hard = pairs.accepted_hard
        simulation = Simulation.of(run.process, Reconstruction()(pairs.reco), hard.x, hard.theta, sigma)
        banks = {KNOWN: mem.known(), MEM: mem}
        trainings: dict[str, Callable[[int], Replicas]] = {JOINT: simulation.joint_ratio, CLASSIFIER: simulation.classifier}
        for name, train in trainings.items():
            start = time.perf_counter()
            networks = train(run.seed("yardsticks", name))
            print(f"{name}: trained in {time.perf_counter() - start:.0f} s", flush=True)
            banks[name] = self._bank(networks, simulation.sigma.numpy(), mem)
        return banks

    def _bank(self, networks: Replicas, sigma: np.ndarray, mem: Bank) -> Bank:
        """The bank of the run with learned ratios instead of integrals; a ratio has no integration error."""
        x_reco, start = Reconstruction()(load_sample(self.run, BANK)[0]), time.perf_counter()
        with torch.no_grad():
            values = networks("coefficients", x_reco).numpy()
        print(f"{1e6 * (time.perf_counter() - start) / len(x_reco):.0f} µs for an event", flush=True)
        r, n, k = values.shape
        fiducial = np.tile(sigma, (r, 1))
        observed = Coefficients(values, np.zeros((r, n, k, k)), fiducial, np.zeros((r, k, k)))
        exact = Coefficients.load(self.run.hard_coefficients(BANK))
        exact = replace(exact, fiducial=mem.exact_fiducial[None])
        mixture, basis = mixture_coefficients(self.run.process).numpy(), MorphingBasis.of(self.run.process)
        return Bank.of_mixture(observed, exact, mixture, basis)

    def write(self, found: Mapping[str, Yardstick]) -> None:
        """The tables and the figure."""
        tables = [table(found, degrees) for degrees in SHOWN]
        text = "\n\n".join("\n".join(lines) for lines in tables) + "\n"
        print(text, flush=True)
        (self.out / "yardsticks.md").write_text(text, encoding="utf-8")
        with style.house_style():
            figure, panels = plt.subplots(3, 1, sharex=True, figsize=(style.COLUMN, 5.0))
            draw(panels, found)
            style.save(figure, self.out / "yardsticks")


def table(found: Mapping[str, Yardstick], degrees: int) -> list[str]:
    """One row for each likelihood."""
    names = ("information kept", "bias", "σ(α̂)", "σ / σ known", "pull width", "profile covers", "Feldman-Cousins covers")
    lines = [f"| α = {degrees}° | {' | '.join(names)} | its length |", "|---" * 9 + "|"]
    a = ANGLES.index(degrees)
    floor = found[KNOWN].points[a].spread.mean()
    for name, one in found.items():
        point = one.points[a]
        kept, error = (100 * getattr(one.power, part)[a] for part in ("kept", "kept_error"))
        share = "–" if degrees in (0, 180) else f"{kept:.1f} ± {error:.1f} %"
        bias, bias_error, spread = np.degrees([point.bias.mean(), point.bias_error(), point.spread.mean()])
        profile, belt = (100 * covered(point, method) for method in ("profile", "Feldman-Cousins"))
        lines.append(
            f"| {name} | {share} | {bias:+.2f} ± {bias_error:.2f}° | {spread:.2f}° | {point.spread.mean() / floor:.3f} | "
            f"{point.pull_width.mean():.2f} | {profile:.1f} % | {belt:.1f} % | {np.degrees(length(point)):.1f}° |"
        )
    return lines


def covered(point: PeriodPoint, method: str) -> float:
    """Coverage of α by the 68.3 % interval of a method."""
    return float(point.covered[:, METHODS.index(method), 0].mean())


def length(point: PeriodPoint) -> float:
    """Mean total length of the 68.3 % interval of Feldman and Cousins."""
    return float(point.length[:, METHODS.index("Feldman-Cousins"), 0].mean())


def draw(panels: np.ndarray, found: Mapping[str, Yardstick]) -> None:
    """Information kept, length of the interval over that with x_hard known, and its coverage, along α."""
    floor = np.array([length(point) for point in found[KNOWN].points])
    inner = slice(1, -1)
    for name, one in found.items():
        colour, form = LOOKS[name]
        look: dict[str, Any] = {"fmt": form, "ms": 3, "lw": 0.9, "color": colour}
        kept, error = one.power.kept[inner], one.power.kept_error[inner]
        panels[0].errorbar(ANGLES[inner], 100 * kept, 100 * error, **look)
        panels[1].errorbar(ANGLES, [length(p) for p in one.points] / floor, label=name, **look)
        panels[2].errorbar(ANGLES, [100 * covered(p, "Feldman-Cousins") for p in one.points], **look)
    panels[0].set(ylabel="information kept [%]", ylim=(60, 103))
    panels[1].set(ylabel="length / length known")
    panels[2].set(ylabel="coverage [%]", ylim=(64, 73), xlabel=f"true {ALPHA.quantity.label}", xticks=range(0, 181, 30))
    panels[2].axhline(68.3, color=style.QUIET, lw=0.7)
    handles, labels = panels[1].get_legend_handles_labels()
    panels[0].legend(handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)


def main() -> None:
    """Train, make the belts, draw the toys."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the finished study of coverage")
    parser.add_argument("--out", type=Path, default=Path("out/yardsticks"))
    arguments = parser.parse_args()
    study = Study(arguments.run, arguments.out)
    found = {}
    for name, bank in study.banks().items():
        found[name] = Yardstick.of(bank, study.run.config.seed)
        print(f"{name}: {bank.n_events} events, {bank.excluded} left out", flush=True)
    study.write(found)


if __name__ == "__main__":
    main()
