"""Part of stage 5: what the bank says beyond coverage: expected precision, calibration and predictions of the posterior.

Three products: ``Prospects`` (power and expected intervals), the simulation-based
calibration of the posterior (in pieces that are kept), and for every sample the predictive histograms of its observables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bmem.artifacts import Blocks, Form, JsonFile, Product, Work, read_json
from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt
from bmem.calibration.predictive import Observable, PosteriorDraws, PredictiveHistogram, predictive_histograms
from bmem.calibration.prospects import RESERVE, Prospects, prospects_of
from bmem.calibration.record import Array
from bmem.calibration.sbc import SbcSettings, SimulationBasedCalibration, simulation_based_calibration
from bmem.channels.contract import readable, shown_observables
from bmem.config import BANK, Config
from bmem.errors import RangeError
from bmem.inference import export
from bmem.inference.objective import unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement
from bmem.rng import numpy_generator
from bmem.stages.belt import belt_of, known_as, load_bank, parents, treatment
from bmem.stages.period import identity
from bmem.stages.population import is_needed
from bmem.stages.run import Run
from bmem.stages.simulate import load_sample, measured_samples

KIND, SBC, PREDICTIVE = "prospects", "posterior calibration", "predictive"
SIMULATION = "simulation of the posterior"
"""Unit of work: a sample whose posterior is calibrated."""
_PIECE, _DRAWS = 100, 200

Predictions = dict[str, PredictiveHistogram]
Loaded = TypeVar("Loaded")
_FORM: Form[SimulationBasedCalibration] = Form.json(SBC, SimulationBasedCalibration)


def products(run: Run) -> list[Product[Any]]:
    """All of them, if there is a bank; they are of the signal and its shape, so none of samples with backgrounds."""
    if not run.config.belt.bank_events or run.config.background:
        return []
    found = FromBank(run)
    return [found.prospects, found.posterior, *(found.predictions(sample.name) for sample in measured_samples(run))]


@dataclass(frozen=True)
class FromBank:
    """The products; the bank is read at most once, and only if something has to be computed."""

    run: Run

    @cached_property
    def bank(self) -> Bank:
        return load_bank(self.run)

    @cached_property
    def observables(self) -> Array:
        """Those of the usable events [N, D], in the order of the ``bank``."""
        integrals, basis = Coefficients.load(self.run.coefficients(BANK)), MorphingBasis.of(self.run.process)
        usable = np.setdiff1d(np.arange(integrals.n_events), unusable_events(integrals, basis))
        return _observables(self.run, BANK)[usable]

    @property
    def prospects(self) -> Product[Prospects]:
        """Expected precision and intervals."""
        run, read = self.run, _reader(KIND, Prospects.from_dict)

        def make() -> JsonFile | None:
            return _prospects(run, self.bank)

        return Product("prospects", run.prospects, KIND, _settings(run), parents(run), make, read)

    @property
    def posterior(self) -> Product[SimulationBasedCalibration]:
        """The calibration of the posterior."""
        run, read = self.run, _reader(SBC, SimulationBasedCalibration.from_dict)
        simulations = run.config.calibration.simulations
        settings, pieces = _settings(run) | {"simulations": simulations}, run.cache("calibrate", "sbc")

        def make() -> JsonFile | None:
            return _posterior_calibration(run, self.bank, Blocks(pieces, settings | {"of": identity(run)}, _FORM, _piece))

        path, cost = run.posterior_calibration, (Work(SIMULATION, simulations),)
        return Product("posterior calibration", path, SBC, settings, parents(run), make, read, cost, unfinished=pieces)

    def predictions(self, name: str) -> Product[Predictions]:
        """The predicted histograms of a sample, by observable."""
        run, read = self.run, _reader(PREDICTIVE, _predictions)
        settings, origin = {"seed": run.config.seed}, parents(run) | {"fit": run.fit(name)}

        def make() -> JsonFile | None:
            return _predictive(self, name)

        return Product(f"predictions of {name}", run.predictive(name), PREDICTIVE, settings, origin, make, read)


def _settings(run: Run) -> dict[str, Any]:
    return {"belt": known_as(run.config.belt), "events": run.config.fit.size, "seed": run.config.seed}


def _reader(kind: str, record: Callable[[dict[str, Any]], Loaded]) -> Callable[[Path], Loaded]:
    return lambda path: record(read_json(path, kind))


def _predictions(content: Mapping[str, Any]) -> Predictions:
    return {observable: PredictiveHistogram.from_dict(found) for observable, found in content.items()}


def _observables(run: Run, name: str) -> Array:
    """[N, D] of the accepted events of a sample."""
    return readable(run.channel, run.channel.observe(load_sample(run, name)[0])).numpy()


def _prospects(run: Run, bank: Bank) -> JsonFile | None:
    events = run.config.fit.size
    try:
        belt = _belt(run, bank, events)
        with run.progress("expected intervals") as progress:
            found = prospects_of(bank, events, belt, progress, factor=run.channel.rate.get("process"))
    except RangeError as error:
        run.say(f"  [yellow]no expected precision: {error}[/]")
        return None
    quantity, place = run.process.parameters[0].quantity, len(found.power.truths) // 4
    truth, sigma = quantity.printed([found.power.truths[place], found.power.sigma(events)[place]])
    unit, name = quantity.suffix, quantity.shown
    run.say(f"  expected from {events} events at {name} = {truth:.3g}{unit}: σ({name}) = {sigma:.1f}{unit}")
    return JsonFile(KIND, found.to_dict())


def _belt(run: Run, bank: Bank, events: int) -> Belt | None:
    """The belt of the fit, if there is one for the likelihood averaged over replicas, and of the shape."""
    if is_needed(run.config):
        return None
    if run.config.belt.replicas == "drawn" and len(bank.fiducial) > 1:
        return None
    try:
        return belt_of(run, events)
    except RangeError:
        return None


def _posterior_calibration(run: Run, bank: Bank, pieces: Blocks[SimulationBasedCalibration]) -> JsonFile | None:
    simulations = run.config.calibration.simulations
    sizes = [len(part) for part in np.array_split(np.arange(simulations), -(-simulations // _PIECE))]
    parts: dict[int, SimulationBasedCalibration] = {}
    try:
        with run.progress("calibrate the posterior") as progress:
            for number, part in pieces.map(partial(_sbc, bank, run.config), enumerate(sizes), run.workers):
                parts[number] = part
                progress(len(parts), len(sizes))
    except RangeError as error:
        run.say(f"  [yellow]no calibration of the posterior: {error}[/]")
        return None
    found = SimulationBasedCalibration.joined([parts[number] for number in sorted(parts)])
    run.say(f"  posterior of {found.events} events: p = {found.p_ranks:.3f} (ranks), {found.p_levels:.3f} (levels)")
    return JsonFile(SBC, found.to_dict())


def _piece(chunk: tuple[int, int]) -> str:
    return f"part_{chunk[0]}"


def _sbc(bank: Bank, config: Config, chunk: tuple[int, int]) -> SimulationBasedCalibration:
    """A chunk (its number, simulations) of the calibration."""
    number, simulations = chunk
    events = config.fit.size
    settings = SbcSettings(events, simulations, minimum=RESERVE * events, treatment=treatment(config))
    return simulation_based_calibration(bank, settings, numpy_generator(config.seed, "sbc", number))


def _predictive(source: FromBank, name: str) -> JsonFile | None:
    run = source.run
    fit = Measurement.load(run.fit(name))
    used = np.setdiff1d(np.arange(fit.events), fit.excluded)
    known, observed = source.observables, _observables(run, name)[used]
    shown = {quantity.name: column for column, quantity in shown_observables(run.channel)}
    columns = {name: column for name, column in shown.items() if np.isfinite(known[:, column]).any()}
    observables = {o: Observable.binned(known[:, i], observed[:, i]) for o, i in columns.items()}
    draws = export.load(run.inference_data(name))
    try:
        with run.progress(f"predict {name}") as progress:
            found = predictive_histograms(
                source.bank,
                observables,
                draws=PosteriorDraws.of_inference_data(draws, run.process.parameters[0].name, _DRAWS),
                rng=numpy_generator(run.config.seed, "predictive", name),
                progress=progress,
            )
    except RangeError as error:
        run.say(f"  [yellow]{name}: no predictive check: {error}[/]")
        return None
    worst = min(found, key=lambda observable: found[observable].p_value)
    run.say(f"  {name}: predictive p of {len(found)} observables, the smallest {found[worst].p_value:.2f} ({worst})")
    return JsonFile(PREDICTIVE, {observable: histogram.to_dict() for observable, histogram in found.items()})
