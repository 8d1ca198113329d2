"""Coverage of belts with background and systematic effects on the toy in closed form, by both constructions."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from contaminated import ContaminatedBank
from numpy.typing import NDArray

from bmem.calibration.experiments import Others
from bmem.calibration.neyman import BeltSettings
from bmem.calibration.population_belt import make_population_belt
from bmem.calibration.population_coverage import CoveragePoint, coverage_point
from bmem.rng import numpy_generator

SEED = 1
TRUTHS = (-165, -150, -110, -90, -64, -30, 0, 15, 45, 90, 105, 135, 180)
"""Degrees; some of them no true values of the belts."""
_NAMES = {"": "belt, profiled", "_drawn": "belt, drawn", "_profile_interval": "profile interval"}


def background_nuisances(scale: int) -> dict[str, float]:
    """Lowest and highest coverage over 13 θ of samples with background and two systematic effects."""
    profiled, drawn = _covered("profiled", scale), _covered("drawn", scale)
    shares = profiled.covered[:, :, 1], drawn.covered[:, :, 1], profiled.covered[:, :, 0]
    found = {"background_nuisances_toys": 2.0 * profiled.toys, "background_nuisances_belt_minutes": profiled.minutes}
    for ending, covered in zip(_NAMES, shares, strict=True):
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


def table(results: dict[str, float]) -> str:
    """The part of README.md on belts."""
    lines = ["| interval | 68.3 % covers | 95.4 % covers |", "|---|---|---|"]
    for ending, name in _NAMES.items():
        stems = [f"coverage_{level}_background_nuisances{ending}" for level in (68, 95)]
        ranges = [f"{100 * results[f'{stem}_min']:.1f} to {100 * results[f'{stem}_max']:.1f} %" for stem in stems]
        lines.append(f"| {name} | {ranges[0]} | {ranges[1]} |")
    toys, minutes = results["background_nuisances_toys"], results["background_nuisances_belt_minutes"]
    errors = [100 * np.sqrt(level * (1 - level) / toys) for level in (0.683, 0.954)]
    note = (
        f"Lowest and highest of 13 values of θ, {toys:.0f} toys each: errors {errors[0]:.1f} and {errors[1]:.1f} %. "
        f"The two profiled belts took {minutes:.1f} minutes of one core."
    )
    return "\n".join([*lines, "", note])
