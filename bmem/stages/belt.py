"""The bank of a run and its confidence belts, each made once for a number of events and then used for all data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bmem.artifacts import Product, Work
from bmem.artifacts.product import Loaded
from bmem.calibration import neyman
from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt, BeltSettings, make_belt
from bmem.calibration.toys import Treatment
from bmem.config import BANK, TRAINING, BeltSection, Config
from bmem.errors import RangeError
from bmem.events import parquet
from bmem.inference.minima import fit
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients, simulated_cross_section
from bmem.measurement import Measurement
from bmem.measurement.parts import LEVELS, BeltIntervals
from bmem.stages.run import Run, plain

TOY = "toy of a belt"
"""Unit of work."""


def load_bank(run: Run) -> Bank:
    """The integrated events of the bank, with the σ_k that the simulation of the training events counts.

    Raises:
        ArtifactError: the bank is not there; run the stages simulate and integrate.
    """
    observed, exact = Coefficients.load(run.coefficients(BANK)), Coefficients.load(run.hard_coefficients(BANK))
    sigma, covariance = simulated_cross_section(run.process, parquet.read_pairs(run.events(TRAINING)))
    exact = replace(exact, fiducial=sigma[None], fiducial_covariance=covariance[None])
    return Bank.of_mixture(observed, exact, mixture_coefficients(run.process).numpy(), MorphingBasis.of(run.process))


def parents(run: Run) -> dict[str, Path]:
    """The artifacts that a belt follows from."""
    return {"bank": run.coefficients(BANK), "hard": run.hard_coefficients(BANK), "training": run.events(TRAINING)}


def treatment(config: Config) -> Treatment:
    """How the toys of a run are analysed."""
    return Treatment(config.belt.replicas, config.belt.resample)


def known_as(section: BeltSection) -> dict[str, Any]:
    """As artifacts have always known the section: what only a population needs is told by that."""
    return {key: value for key, value in plain(section).items() if key not in ("nuisances", "background_events")}


def belt_settings(run: Run, levels: tuple[float, ...]) -> BeltSettings:
    """Those of the configuration, for these confidence levels."""
    section = run.config.belt
    return BeltSettings(section.points, section.toys, levels, treatment=treatment(run.config))


def product(run: Run, events: int) -> Product[Belt]:
    """The belt for ``events`` events."""
    settings = {"belt": known_as(run.config.belt), "events": events, "seed": run.config.seed}

    def make() -> Belt:
        with run.progress(f"belt for {events} events") as progress:
            sought = belt_settings(run, LEVELS)
            return make_belt(load_bank(run), events, run.seed("belt"), sought, progress, workers=run.workers)

    cost = (Work(TOY, run.config.belt.toys),)
    path = run.belt(events)
    return Product(f"belt for {events} events", path, neyman.KIND, settings, parents(run), make, Belt.load, cost)


def belt_of(run: Run, events: int) -> Belt:
    """The belt for ``events`` events: that of the run, or made and kept now.

    Raises:
        RangeError: the bank is worth too few events for it.
        ArtifactError: there is one that was made differently.
    """
    return run.engine.made(product(run, events))


def belt_or_reason(run: Run, belt: Product[Loaded]) -> Loaded | str:
    """The ``belt``, made and kept now if it is not there; the reason if the bank is too small for it."""
    try:
        return run.engine.made(belt)
    except RangeError as error:
        run.say(f"  [yellow]no Feldman-Cousins interval: {error}[/]")
        return str(error)


def measured_with_belt(run: Run, result: Measurement) -> BeltIntervals | str:
    """The Feldman-Cousins intervals of a measurement; the reason if the bank is too small.

    With ``replicas = "drawn"`` the measurement is made with the first replica, which is as good as any.
    """
    belt = belt_or_reason(run, product(run, result.used))
    if isinstance(belt, str):
        return belt
    assert result.source is not None
    likelihood = result.source.likelihood()
    one = run.config.belt.replicas == "drawn" and len(likelihood.replicas) > 1
    objective = likelihood.replicas[0] if one else likelihood
    minimum = fit(objective) if one else result.fit
    regions = tuple(belt.interval(objective, level, minimum) for level in LEVELS)
    return BeltIntervals(regions, float(np.min(belt.effective)))
