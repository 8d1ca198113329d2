"""Part of stage 5: what the bank says beyond coverage: expected precision, calibration and predictions of the posterior.

Three artifacts, each skipped when it is there: ``Prospects`` (power and expected intervals), the simulation-based
calibration of the posterior (in pieces that are kept), and for every sample the predictive histograms of its observables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from bmem.artifacts import Blocks, Form
from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt
from bmem.calibration.predictive import Observable, PosteriorDraws, PredictiveHistogram, predictive_histograms
from bmem.calibration.prospects import RESERVE, Prospects, prospects
from bmem.calibration.record import Array
from bmem.calibration.sbc import SbcSettings, SimulationBasedCalibration, simulation_based_calibration
from bmem.channels.contract import shown_observables
from bmem.config import BANK, Config
from bmem.errors import RangeError
from bmem.inference import export
from bmem.inference.objective import unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement
from bmem.rng import numpy_generator
from bmem.stages.belt import belt_of, load_bank, parents, treatment
from bmem.stages.period import identity
from bmem.stages.run import Run, plain
from bmem.stages.simulate import load_sample, measured_samples

KIND, SBC, PREDICTIVE = "prospects", "posterior calibration", "predictive"
_PIECE, _DRAWS = 100, 200


def calibrate_with_bank(run: Run) -> None:
    """Compute what is not there yet; without a bank nothing."""
    if not run.config.belt.bank_events:
        return
    bank = _Bank(run)
    _prospects(run, bank)
    _posterior_calibration(run, bank)
    for sample in measured_samples(run):
        _predictive(run, bank, sample.name)


def load_prospects(run: Run) -> Prospects:
    """The finished expectations.

    Raises:
        ArtifactError: there are none, or they are damaged.
    """
    return Prospects.from_dict(run.load_json(run.prospects, KIND))


def load_posterior_calibration(run: Run) -> SimulationBasedCalibration:
    """The finished calibration of the posterior.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    return SimulationBasedCalibration.from_dict(run.load_json(run.posterior_calibration, SBC))


def load_predictive(run: Run, name: str) -> dict[str, PredictiveHistogram]:
    """The predicted histograms of a sample, by observable.

    Raises:
        ArtifactError: there are none, or they are damaged.
    """
    content = run.load_json(run.predictive(name), PREDICTIVE)
    return {observable: PredictiveHistogram.from_dict(found) for observable, found in content.items()}


@dataclass(frozen=True)
class _Bank:
    """The bank, read at most once and only if something has to be computed."""

    run: Run

    @cached_property
    def events(self) -> Bank:
        return load_bank(self.run)

    @cached_property
    def observables(self) -> Array:
        """Those of the usable events [N, 11], in the order of ``events``."""
        integrals = Coefficients.load(self.run.coefficients(BANK))
        usable = np.setdiff1d(np.arange(integrals.n_events), unusable_events(integrals, MorphingBasis.of(self.run.process)))
        return _observables(self.run, BANK)[usable]


def _observables(run: Run, name: str) -> Array:
    """[N, 11] of the accepted events of a sample."""
    return run.channel.observe(load_sample(run, name)[0]).numpy()


def _prospects(run: Run, bank: _Bank) -> None:
    events = run.config.fit.size
    settings = {"belt": plain(run.config.belt), "events": events, "seed": run.config.seed}
    if run.done(run.prospects, KIND, settings, parents(run)):
        return
    try:
        belt = _belt(run, bank.events, events)
        with run.progress("expected intervals") as progress:
            found = prospects(bank.events, events, belt, progress, factor=run.channel.rate.get("process"))
    except RangeError as error:
        run.say(f"  [yellow]no expected precision: {error}[/]")
        return
    run.save_json(run.prospects, KIND, found.to_dict(), settings, parents(run))
    quantity, place = run.process.parameters[0].quantity, len(found.power.truths) // 4
    truth, sigma = quantity.printed([found.power.truths[place], found.power.sigma(events)[place]])
    unit, name = quantity.suffix, quantity.shown
    run.say(f"  expected from {events} events at {name} = {truth:.3g}{unit}: σ({name}) = {sigma:.1f}{unit}")


def _belt(run: Run, bank: Bank, events: int) -> Belt | None:
    """The belt of the fit, if there is one for the likelihood averaged over replicas."""
    if run.config.belt.replicas == "drawn" and len(bank.fiducial) > 1:
        return None
    try:
        return belt_of(run, events)
    except RangeError:
        return None


def _posterior_calibration(run: Run, bank: _Bank) -> None:
    section = run.config.calibration
    settings = {"belt": plain(run.config.belt), "events": run.config.fit.size, "seed": run.config.seed}
    settings |= {"simulations": section.simulations}
    if run.done(run.posterior_calibration, SBC, settings, parents(run)):
        return
    form: Form[SimulationBasedCalibration] = Form.json(SBC, SimulationBasedCalibration)
    folder, own = run.cache("calibrate", "sbc"), settings | {"of": identity(run)}
    pieces = Blocks(folder, own, form, lambda chunk: f"part_{chunk[0]}")
    sizes = [len(part) for part in np.array_split(np.arange(section.simulations), -(-section.simulations // _PIECE))]
    parts: dict[int, SimulationBasedCalibration] = {}
    try:
        with run.progress("calibrate the posterior") as progress:
            for number, part in pieces.map(partial(_sbc, bank.events, run.config), enumerate(sizes), run.workers):
                parts[number] = part
                progress(len(parts), len(sizes))
    except RangeError as error:
        run.say(f"  [yellow]no calibration of the posterior: {error}[/]")
        return
    found = SimulationBasedCalibration.joined([parts[number] for number in sorted(parts)])
    run.save_json(run.posterior_calibration, SBC, found.to_dict(), settings, parents(run))
    run.forget("calibrate", "sbc")
    run.say(f"  posterior of {found.events} events: p = {found.p_ranks:.3f} (ranks), {found.p_levels:.3f} (levels)")


def _sbc(bank: Bank, config: Config, chunk: tuple[int, int]) -> SimulationBasedCalibration:
    """A chunk (its number, simulations) of the calibration."""
    number, simulations = chunk
    events = config.fit.size
    settings = SbcSettings(events, simulations, minimum=RESERVE * events, treatment=treatment(config))
    return simulation_based_calibration(bank, settings, numpy_generator(config.seed, "sbc", number))


def _predictive(run: Run, bank: _Bank, name: str) -> None:
    origin: dict[str, Path] = parents(run) | {"fit": run.fit(name)}
    settings = {"seed": run.config.seed}
    if run.done(run.predictive(name), PREDICTIVE, settings, origin):
        return
    fit = Measurement.load(run.fit(name))
    used = np.setdiff1d(np.arange(fit.events), fit.excluded)
    observed = _observables(run, name)[used]
    columns = {quantity.name: column for column, quantity in shown_observables(run.channel)}
    observables = {o: Observable.binned(bank.observables[:, i], observed[:, i]) for o, i in columns.items()}
    draws = export.load(run.inference_data(name))
    try:
        with run.progress(f"predict {name}") as progress:
            found = predictive_histograms(
                bank.events,
                observables,
                draws=PosteriorDraws.of_inference_data(draws, run.process.parameters[0].name, _DRAWS),
                rng=numpy_generator(run.config.seed, "predictive", name),
                progress=progress,
            )
    except RangeError as error:
        run.say(f"  [yellow]{name}: no predictive check: {error}[/]")
        return
    content = {observable: histogram.to_dict() for observable, histogram in found.items()}
    run.save_json(run.predictive(name), PREDICTIVE, content, settings, origin)
    worst = min(found, key=lambda observable: found[observable].p_value)
    run.say(f"  {name}: predictive p of {len(found)} observables, the smallest {found[worst].p_value:.2f} ({worst})")
