"""Part of stage 5: the calibration over the whole period of α, from toys of the bank, in pieces that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt, make_belt
from bmem.calibration.period import LEVELS, PeriodPoint, PeriodScan, PeriodSettings
from bmem.calibration.period_verdict import PeriodCalibration
from bmem.config import PERIOD
from bmem.errors import RangeError
from bmem.rng import numpy_generator
from bmem.stages.belt import belt_settings, load_bank, parents, treatment
from bmem.stages.run import Run, plain

KIND = "period"
RECOMMENDED = "Feldman-Cousins"


def calibrate_period(run: Run) -> None:
    """Calibrate all truths of the configuration, if there is a bank and it has not been done yet."""
    if not run.config.belt.bank_events:
        return
    path, origin = run.calibration(PERIOD), (_settings(run), parents(run))
    if run.done(path, KIND, *origin):
        return
    try:
        result = _calibrate(run)
    except RangeError as error:
        run.say(f"  [yellow]no calibration over the period: {error}[/]")
        return
    run.save_json(path, KIND, result.to_dict(), *origin)
    run.forget("calibrate", PERIOD)
    run.say(f"  {result.verdict(RECOMMENDED)}")


def load_period(run: Run) -> PeriodCalibration:
    """The finished calibration.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    return PeriodCalibration.from_dict(run.load_json(run.calibration(PERIOD), KIND))


def _settings(run: Run) -> dict[str, Any]:
    own = {name: plain(run.config.calibration)[name] for name in ("size", "toys", "angles")}
    return {"belt": plain(run.config.belt), "calibration": own, "seed": run.config.seed}


def _calibrate(run: Run) -> PeriodCalibration:
    section = run.config.calibration
    halves = load_bank(run).halves(numpy_generator(run.config.seed, "halves"))
    pieces = _Pieces(run, run.cache("calibrate", PERIOD), _settings(run) | {"of": _identity(run)})
    belts = [pieces.belt(half, h) for h, half in enumerate(halves)]
    settings = PeriodSettings(section.size, section.toys, treatment=treatment(run))
    scan = PeriodScan(halves, belts, run.seed("period"), settings)
    points = []
    with run.progress("calibrate the period") as progress:
        for number, degrees in enumerate(section.angles):
            points.append(pieces.point(scan, degrees))
            progress(number + 1, len(section.angles))
    return PeriodCalibration(tuple(points))


def _identity(run: Run) -> dict[str, str]:
    """Checksums of what the calibration is made from."""
    return {name: artifacts.read_header(path).sha256 for name, path in parents(run).items()}


@dataclass(frozen=True)
class _Pieces:
    """Finished pieces in a folder; those of other ``settings`` are computed anew."""

    run: Run
    folder: Path
    settings: Mapping[str, Any]

    def belt(self, half: Bank, number: int) -> Belt:
        """The belt of a half of the bank."""
        path = self.folder / f"belt_{number}.json"
        if self._there(path):
            return Belt.load(path)
        seed, settings = self.run.seed("belt", "half", number), belt_settings(self.run, LEVELS)
        with self.run.progress(f"belt of half {number + 1}") as progress:
            belt = make_belt(half, self.run.config.calibration.size, seed, settings, progress)
        belt.save(path, self.settings)
        return belt

    def point(self, scan: PeriodScan, degrees: float) -> PeriodPoint:
        """One truth."""
        path = self.folder / f"alpha_{degrees:g}.json"
        if self._there(path):
            return PeriodPoint.from_dict(self.run.load_json(path, KIND))
        point = scan.at(float(np.radians(degrees)))
        self.run.save_json(path, KIND, point.to_dict(), self.settings, {})
        return point

    def _there(self, path: Path) -> bool:
        return artifacts.exists(path) and artifacts.read_header(path).settings == self.settings
