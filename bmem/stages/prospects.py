"""Part of stage 5: what the bank says beyond coverage: expected precision, calibration and predictions of the posterior.

Three artifacts, each skipped when it is there: ``Prospects`` (power and expected intervals), the simulation-based
calibration of the posterior (in pieces that are kept), and for every sample the predictive histograms of its observables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt
from bmem.calibration.power import Expectation, Power, power
from bmem.calibration.predictive import Observable, PosteriorDraws, PredictiveHistogram, predictive_histograms
from bmem.calibration.record import Array
from bmem.calibration.sbc import SbcSettings, SimulationBasedCalibration, simulation_based_calibration
from bmem.config import BANK, Config
from bmem.errors import RangeError
from bmem.events.reconstruction import OBSERVABLES
from bmem.inference import export
from bmem.inference.intervals import IntervalSet
from bmem.inference.objective import unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.rng import numpy_generator
from bmem.stages.belt import belt_of, load_bank, parents, treatment
from bmem.stages.fit import KIND as FIT
from bmem.stages.period import identity
from bmem.stages.pieces import Pieces
from bmem.stages.run import Run, plain
from bmem.stages.simulate import load_sample

LEVEL = 0.683
PREDICTED = ("pt_H", "y_H", "pt_j", "eta_j", "y_t", "m_t")
"""Observables whose distribution is predicted."""
KIND, SBC, PREDICTIVE = "prospects", "posterior calibration", "predictive"
_CURVE = np.radians(np.arange(0.0, 180.1, 7.5))
"""Truths of the precision."""
_REGIONS = np.radians(np.arange(-180.0, 180.1, 30.0))
"""Truths of the expected intervals."""
_LENGTHS = np.radians([0.0, 45.0, 90.0, 135.0])
"""Truths of the lengths of the intervals against the number of events."""
_TIMES = 2.0 ** np.arange(-3, 9)
"""Numbers of events for that, in units of those of the fit."""
_FEWEST = 5
_PIECE, _DRAWS, _BINS = 100, 200, 12
_RESERVE = 10.0


@dataclass(frozen=True)
class Prospects:
    """What measurements are expected to tell: the ``power`` along α, and expected regions of ``level``.

    ``regions`` by their label, one for each of the ``truths``; total ``lengths`` [T, E] of those at ``length_truths`` [T]
    for numbers of ``events`` [E], NaN where the bank is too small to tell.
    """

    power: Power
    level: float
    truths: Array
    regions: Mapping[str, tuple[IntervalSet, ...]]
    length_truths: Array
    events: Array
    lengths: Array

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes None."""
        arrays = {name: getattr(self, name).tolist() for name in ("truths", "length_truths", "events")}
        lengths = np.where(np.isfinite(self.lengths), self.lengths, None).tolist()  # type: ignore[call-overload]
        regions = {label: [region.to_dict() for region in sets] for label, sets in self.regions.items()}
        return {**arrays, "power": self.power.to_dict(), "level": self.level, "regions": regions, "lengths": lengths}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Prospects:
        """The inverse of ``to_dict``."""
        arrays = {name: np.array(content[name], np.float64) for name in ("truths", "length_truths", "events", "lengths")}
        regions = {
            label: tuple(IntervalSet.from_dict(region) for region in sets) for label, sets in content["regions"].items()
        }
        return cls(power=Power.from_dict(content["power"]), level=content["level"], regions=regions, **arrays)


def foresee(run: Run) -> None:
    """Compute what is not there yet; without a bank nothing."""
    if not run.config.belt.bank_events:
        return
    bank = _Bank(run)
    _prospects(run, bank)
    _posterior_calibration(run, bank)
    for sample in run.config.sample:
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
    events = run.config.fit.events
    settings = {"belt": plain(run.config.belt), "events": events, "seed": run.config.seed}
    if run.done(run.prospects, KIND, settings, parents(run)):
        return
    try:
        found = _expected(run, bank.events, events)
    except RangeError as error:
        run.say(f"  [yellow]no expected precision: {error}[/]")
        return
    run.save_json(run.prospects, KIND, found.to_dict(), settings, parents(run))
    sigma, place = np.degrees(found.power.sigma(events)), int(np.abs(_CURVE - np.pi / 4).argmin())
    run.say(f"  expected from {events} events at α = 45°: σ(α̂) = {sigma[place]:.1f}°")


def _expected(run: Run, bank: Bank, events: int) -> Prospects:
    found, belt = power(bank, _CURVE, factor=run.channel.rate.get("process")), _belt(run, bank, events)
    regions: dict[str, list[IntervalSet]] = {}
    numbers = np.unique(np.round(_TIMES * events)).astype(np.int64)
    numbers = numbers[numbers >= _FEWEST]
    lengths = np.full((len(_LENGTHS), len(numbers)), np.nan)
    with run.progress("expected intervals") as progress:
        for done, truth in enumerate(_REGIONS, 1):
            expectation = Expectation.of(bank, truth)
            for label, n, threshold in _wanted(events, belt):
                if _RESERVE * n <= expectation.effective:
                    regions.setdefault(label, []).append(expectation.interval(n, LEVEL, threshold))
            progress(done, len(_REGIONS) + len(_LENGTHS))
        for row, truth in enumerate(_LENGTHS):
            expectation = Expectation.of(bank, truth)
            for column, n in enumerate(numbers):
                if _RESERVE * n <= expectation.effective:
                    lengths[row, column] = expectation.interval(int(n), LEVEL).length
            progress(len(_REGIONS) + row + 1, len(_REGIONS) + len(_LENGTHS))
    whole = {label: tuple(sets) for label, sets in regions.items() if len(sets) == len(_REGIONS)}
    return Prospects(found, LEVEL, _REGIONS, whole, _LENGTHS, numbers.astype(np.float64), lengths)


def _wanted(events: int, belt: Belt | None) -> list[tuple[str, int, Belt | None]]:
    """Label, number of events and belt of the expected regions, the widest first."""
    named = f"{events} events"
    with_belt = [] if belt is None else [(f"{named}, Feldman-Cousins", events, belt)]
    return [*with_belt, (named, events, None), (f"{4 * events} events", 4 * events, None)]


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
    settings = {"belt": plain(run.config.belt), "events": run.config.fit.events, "seed": run.config.seed}
    settings |= {"simulations": section.simulations}
    if run.done(run.posterior_calibration, SBC, settings, parents(run)):
        return
    pieces = Pieces(run, run.cache("calibrate", "sbc"), SBC, settings | {"of": identity(run)})
    sizes = [len(part) for part in np.array_split(np.arange(section.simulations), -(-section.simulations // _PIECE))]
    chunks = {f"part_{number}": (number, size) for number, size in enumerate(sizes)}
    try:
        with run.progress("calibrate the posterior") as progress:
            make = partial(_sbc, bank.events, run.config)
            parts = pieces.records(chunks, SimulationBasedCalibration, make, progress)
    except RangeError as error:
        run.say(f"  [yellow]no calibration of the posterior: {error}[/]")
        return
    found = SimulationBasedCalibration.joined(parts)
    run.save_json(run.posterior_calibration, SBC, found.to_dict(), settings, parents(run))
    run.forget("calibrate", "sbc")
    run.say(f"  posterior of {found.events} events: p = {found.p_ranks:.3f} (ranks), {found.p_levels:.3f} (levels)")


def _sbc(bank: Bank, config: Config, chunk: tuple[int, int]) -> SimulationBasedCalibration:
    """A chunk (its number, simulations) of the calibration."""
    number, simulations = chunk
    events = config.fit.events
    settings = SbcSettings(events, simulations, minimum=_RESERVE * events, treatment=treatment(config))
    return simulation_based_calibration(bank, settings, numpy_generator(config.seed, "sbc", number))


def _predictive(run: Run, bank: _Bank, name: str) -> None:
    origin: dict[str, Path] = parents(run) | {"fit": run.fit(name)}
    settings = {"seed": run.config.seed}
    if run.done(run.predictive(name), PREDICTIVE, settings, origin):
        return
    fit = run.load_json(run.fit(name), FIT)
    used = np.setdiff1d(np.arange(fit["events"]), fit["excluded"])
    observed = _observables(run, name)[used]
    columns = {o: OBSERVABLES.index(o) for o in PREDICTED}
    observables = {o: _observable(bank.observables[:, i], observed[:, i]) for o, i in columns.items()}
    try:
        with run.progress(f"predict {name}") as progress:
            found = predictive_histograms(
                bank.events,
                observables,
                draws=_draws(run, name),
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


def _observable(feature: Array, observed: Array) -> Observable:
    """Bins of equal width over all but the outermost of the bank's events."""
    low, high = np.quantile(feature, [0.01, 0.99])
    return Observable(feature, observed, np.linspace(low, high, _BINS + 1))


def _draws(run: Run, name: str) -> PosteriorDraws:
    """Some of the draws that the fit kept for arviz, evenly over its chains."""
    data = export.load(run.inference_data(name))
    parameter = run.process.parameters[0].name
    theta, replica = data.posterior[parameter].to_numpy().ravel(), data.sample_stats["replica"].to_numpy().ravel()
    chosen = np.linspace(0, len(theta) - 1, min(_DRAWS, len(theta))).round().astype(np.int64)
    return PosteriorDraws.of(theta[chosen], replica[chosen])
