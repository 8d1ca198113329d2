"""Part of stage 5: the calibration over the whole range of the parameter, from toys of the bank."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmem import artifacts
from bmem.artifacts import Blocks, Form, JsonFile, Product, Work, read_json
from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt, make_belt
from bmem.calibration.period import LEVELS, PeriodPoint, PeriodScan, PeriodSettings
from bmem.calibration.period_verdict import PeriodCalibration
from bmem.config import RANGE_CALIBRATION
from bmem.errors import RangeError
from bmem.rng import numpy_generator
from bmem.stages.belt import belt_settings, known_as, load_bank, parents, treatment
from bmem.stages.population import is_needed
from bmem.stages.run import Run, plain

KIND = "period"
RECOMMENDED = "Feldman-Cousins"
TOY, TOY_OF_HALVES = "toy of the period", "toy of the belts of the halves"
"""Units of work: of the calibration itself, and of the two belts that it needs."""


def products(run: Run) -> list[Product[PeriodCalibration]]:
    """The calibration of all truths of the configuration, if there is a bank and toys know of the parameter alone."""
    return [product(run)] if run.config.belt.bank_events and not is_needed(run.config) else []


def product(run: Run) -> Product[PeriodCalibration]:
    """The calibration of all truths of the configuration."""

    def make() -> JsonFile | None:
        try:
            result = _calibrate(run)
        except RangeError as error:
            run.say(f"  [yellow]no calibration over the period: {error}[/]")
            return None
        run.say(f"  {result.verdict(RECOMMENDED)}")
        return JsonFile(KIND, result.to_dict())

    toys = len(run.config.truths) * run.config.calibration.toys
    return Product(
        "calibration over the period",
        run.calibration(RANGE_CALIBRATION),
        KIND,
        _settings(run),
        parents(run),
        make,
        lambda path: PeriodCalibration.from_dict(read_json(path, KIND)),
        (Work(TOY, toys), Work(TOY_OF_HALVES, 2 * run.config.belt.toys)),
        unfinished=run.cache("calibrate", RANGE_CALIBRATION),
    )


def _settings(run: Run) -> dict[str, Any]:
    own = {name: plain(run.config.calibration)[name] for name in ("size", "toys")} | {"angles": list(run.config.truths)}
    return {"belt": known_as(run.config.belt), "calibration": own, "seed": run.config.seed}


def _calibrate(run: Run) -> PeriodCalibration:
    section, folder = run.config.calibration, run.cache("calibrate", RANGE_CALIBRATION)
    identical = _settings(run) | {"of": identity(run)}
    halves = load_bank(run).halves(numpy_generator(run.config.seed, "halves"))
    settings = PeriodSettings(section.size, section.toys, treatment=treatment(run.config))
    belts = Blocks(folder, identical, Form(".json", _write_belt, Belt.load), lambda half: f"belt_{half}")
    made = dict(belts.map(lambda half: _belt(run, halves[half], half), range(len(halves))))
    scan = PeriodScan(halves, [made[half] for half in sorted(made)], run.seed("period"), settings)
    first, shown = run.config.first.name, run.config.first.quantity
    points: Blocks[PeriodPoint] = Blocks(
        folder, identical, Form.json(KIND, PeriodPoint), lambda truth: f"{first}_{float(shown.printed(truth)):g}"
    )
    truths = [float(shown.stored(value)) for value in run.config.truths]
    found: dict[int, PeriodPoint] = {}
    with run.progress("calibrate the period") as progress:
        for number, point in points.map(scan.at, truths, run.workers):
            found[number] = point
            progress(len(found), len(truths))
    return PeriodCalibration(tuple(found[number] for number in sorted(found)))


def identity(run: Run) -> dict[str, str]:
    """Checksums of what a calibration with the bank is made from."""
    return {name: artifacts.read_header(path).sha256 for name, path in parents(run).items()}


def _belt(run: Run, half: Bank, number: int) -> Belt:
    """The belt of a half of the bank."""
    seed, settings = run.seed("belt", "half", number), belt_settings(run, LEVELS)
    with run.progress(f"belt of half {number + 1}") as progress:
        return make_belt(half, run.config.calibration.size, seed, settings, progress, workers=run.workers)


def _write_belt(path: Path, belt: Belt, settings: Mapping[str, Any]) -> object:
    return belt.save(path, settings)
