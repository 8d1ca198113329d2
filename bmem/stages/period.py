"""Part of stage 5: the calibration over the whole period, from toys of the bank, in pieces that are kept."""

from __future__ import annotations

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
from bmem.stages.pieces import Pieces
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
    pieces = Pieces(run, run.cache("calibrate", PERIOD), KIND, _settings(run) | {"of": identity(run)})
    belts = [_belt(pieces, half, h) for h, half in enumerate(halves)]
    settings = PeriodSettings(section.size, section.toys, treatment=treatment(run.config))
    scan = PeriodScan(halves, belts, run.seed("period"), settings)
    truths = {f"alpha_{degrees:g}": float(np.radians(degrees)) for degrees in section.angles}
    with run.progress("calibrate the period") as progress:
        points = pieces.records(truths, PeriodPoint, scan.at, progress)
    return PeriodCalibration(tuple(points))


def identity(run: Run) -> dict[str, str]:
    """Checksums of what a calibration with the bank is made from."""
    return {name: artifacts.read_header(path).sha256 for name, path in parents(run).items()}


def _belt(pieces: Pieces, half: Bank, number: int) -> Belt:
    """The belt of a half of the bank."""
    run, path = pieces.run, pieces.folder / f"belt_{number}.json"
    if pieces.there(path):
        return Belt.load(path)
    seed, settings = run.seed("belt", "half", number), belt_settings(run, LEVELS)
    with run.progress(f"belt of half {number + 1}") as progress:
        belt = make_belt(half, run.config.calibration.size, seed, settings, progress, workers=run.workers)
    belt.save(path, pieces.settings)
    return belt
