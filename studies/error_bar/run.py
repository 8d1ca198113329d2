"""Is the error bar true? python run.py [toy_100] [toy_1000] [toy_10000] [background_nuisances] [--out OUT] [--quick].

Each part updates OUT/results.json; ``--readme`` writes the table of README.md from it. See README.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from contaminated import ContaminatedBank
from numpy.typing import NDArray
from toy import REPLICAS, closure

from bmem.calibration.experiments import Others
from bmem.calibration.neyman import BeltSettings
from bmem.calibration.population_belt import make_population_belt
from bmem.calibration.population_coverage import CoveragePoint, coverage_point
from bmem.rng import numpy_generator

SEED = 1
EXPERIMENTS = {100: 800, 1000: 600, 10_000: 300}
TRUTHS = (-165, -150, -110, -90, -64, -30, 0, 15, 45, 90, 105, 135, 180)
"""Degrees; most of them no true values of the belts."""
HERE = Path(__file__).parent
MARK = "<!-- from results.json -->"
Results = dict[str, float]


def toy(events: int, scale: int) -> Results:
    """Pulls and coverage of the average over replicas, of its profile interval and of the old mean of likelihoods."""
    experiments = EXPERIMENTS[events] // scale
    found = closure(events, experiments, SEED)
    usable = np.isfinite(found.old.error)
    return {
        f"toy_experiments_{events}": experiments,
        f"toy_pull_width_{events}": float(found.equal.pulls.std(ddof=1)),
        f"toy_pull_mean_{events}": float(found.equal.pulls.mean()),
        f"toy_coverage_68_{events}": float(found.equal.inside.mean()),
        f"toy_coverage_68_profile_{events}": float(found.profile.mean()),
        f"toy_network_share_{events}": found.network_share,
        f"toy_effective_replicas_{events}": float(found.effective.mean()),
        f"toy_old_pull_width_{events}": float(found.old.pulls[usable].std(ddof=1)),
        f"toy_old_coverage_68_{events}": float(found.old.inside.mean()),
        f"toy_old_effective_replicas_{events}": float(found.effective_old.mean()),
    }


def background_nuisances(scale: int) -> Results:
    """Coverage at 13 θ of samples with background and two systematic effects, by belts of both constructions."""
    profiled, drawn = _covered("profiled", scale), _covered("drawn", scale)
    names = {"": profiled.covered[:, :, 1], "_drawn": drawn.covered[:, :, 1], "_profile_interval": profiled.covered[:, :, 0]}
    found: Results = {"background_nuisances_toys": 2 * profiled.toys, "background_nuisances_belt_minutes": profiled.minutes}
    for ending, covered in names.items():
        for level, column in zip((68, 95), covered.mean(axis=1).T, strict=True):
            stem = f"coverage_{level}_background_nuisances{ending}"
            found |= {f"{stem}_min": float(column.min()), f"{stem}_max": float(column.max())}
    return found


@dataclass(frozen=True)
class _Covered:
    """[13, H, M, L], see ``CoveragePoint``, from ``toys`` of each half; ``minutes`` of processor time for the two belts."""

    covered: NDArray[np.float64]
    toys: int
    minutes: float


def _covered(others: Others, scale: int) -> _Covered:
    halves = ContaminatedBank.of(40_000, 14_000, SEED).population().halves(numpy_generator(SEED, "halves"))
    settings, begun = BeltSettings(points=25, toys=max(3000 // scale, 400), halvings=0), time.process_time()
    belts = [make_population_belt(half, SEED + number, settings, others) for number, half in enumerate(halves)]
    minutes, toys = (time.process_time() - begun) / 60, 2000 // scale
    points: list[CoveragePoint] = []
    for degrees in TRUTHS:
        points.append(coverage_point(halves, belts, float(np.radians(degrees)), toys=toys, seed=SEED))
        print(others, degrees, points[-1].covered.mean(axis=0).round(4).tolist(), flush=True)
    return _Covered(np.stack([point.covered for point in points]), toys, minutes)


PARTS: dict[str, Callable[[int], Results]] = {
    **{f"toy_{events}": partial(toy, events) for events in EXPERIMENTS},
    "background_nuisances": background_nuisances,
}


def table(results: Results) -> str:
    """The toy's part of README.md."""
    lines = [
        f"| events | network / total | pull width | ± total covers | profile covers | effective of {REPLICAS} "
        "| old: pull width | covers | effective |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for events in EXPERIMENTS:
        if f"toy_experiments_{events}" not in results:
            continue
        width, share, experiments = (results[f"toy_{n}_{events}"] for n in ("pull_width", "network_share", "experiments"))
        covers = [f"{100 * results[f'toy_{n}_68{end}_{events}']:.1f} %" for n, end in _COVERAGES]
        effective, before = (results[f"toy_{n}effective_replicas_{events}"] for n in ("", "old_"))
        lines.append(
            f"| {events} | {share:.2f} | {width:.2f} ± {width / np.sqrt(2 * experiments):.2f} | {covers[0]} | {covers[1]} "
            f"| {effective:.1f} | {results[f'toy_old_pull_width_{events}']:.2f} | {covers[2]} | {before:.1f} |"
        )
    counts = [results[f"toy_experiments_{e}"] for e in EXPERIMENTS if f"toy_experiments_{e}" in results]
    errors = [100 * np.sqrt(0.683 * 0.317 / count) for count in counts]
    return "\n".join([*lines, "", "Binomial errors of the coverages: " + ", ".join(f"{e:.1f}" for e in errors) + " %."])


_COVERAGES = (("coverage", ""), ("coverage", "_profile"), ("old_coverage", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {list(PARTS)}, by default all")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--readme", action="store_true", help="only write README.md from the results")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {sorted(unknown)}; there are {list(PARTS)}")
    path = given.out / "results.json"
    given.out.mkdir(parents=True, exist_ok=True)
    for name in [] if given.readme else given.parts or PARTS:
        found = PARTS[name](10 if given.quick else 1)
        every = {**(json.loads(path.read_text()) if path.exists() else {}), **found}
        path.write_text(json.dumps(dict(sorted(every.items())), indent=2) + "\n")
        print(json.dumps(found, indent=2), flush=True)
    if given.readme:
        readme = HERE / "README.md"
        before, _, after = readme.read_text().split(MARK)
        readme.write_text(MARK.join([before, f"\n\n{table(json.loads(path.read_text()))}\n\n", after]))


if __name__ == "__main__":
    main()
