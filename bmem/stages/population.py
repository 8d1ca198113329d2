"""The population of a run: its bank with events of the backgrounds, for belts where θ is not the only parameter.

That is so with backgrounds, whose fractions or cross sections are fitted, and with a luminosity, where the number of
events counts. The belt is then that of ``bmem.calibration.population_belt``, and coverage is measured with halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.artifacts import Blocks, Form, JsonFile, Product, Work, read_json
from bmem.calibration import population_belt
from bmem.calibration.composition import ByFractions, ByRate, Composition, Rate
from bmem.calibration.observed import Data
from bmem.calibration.population import Array, Population, SourceEvents
from bmem.calibration.population_belt import PopulationBelt, make_population_belt
from bmem.calibration.population_coverage import CoveragePoint, PopulationCoverage, coverage_point
from bmem.calibration.reweighted import Reweighted, over_density
from bmem.chain import hypotheses
from bmem.config import BANK, TRAINING, Config
from bmem.errors import RangeError
from bmem.events import parquet
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.rate import with_rate
from bmem.inference.scale import AffineBasis
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients, simulated_cross_section
from bmem.measurement import Measurement
from bmem.measurement.parts import LEVELS, BeltIntervals
from bmem.quantity import Parameter
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import background_parents, bank_name, log_densities
from bmem.stages.belt import TOY, belt_or_reason, belt_settings, parents, product
from bmem.stages.hypotheses import known_beside, listed
from bmem.stages.run import Run, plain

KIND = "population coverage"
TOY_OF_COVERAGE = "toy of the coverage"
"""Unit of work."""


def is_needed(config: Config) -> bool:
    """Whether θ is not all that toys know."""
    return bool(config.background) or config.fit.luminosity is not None


def belt_product(run: Run, events: int) -> Product[PopulationBelt]:
    """The belt for ``events`` events, or for the luminosity of the configuration."""
    by_rate = run.config.fit.luminosity is not None
    name = "the luminosity" if by_rate else f"{events} events"

    def make() -> PopulationBelt:
        with run.progress(f"belt for {name}") as progress:
            sought, others = belt_settings(run, LEVELS), run.config.belt.nuisances
            population = load_population(run, events)
            return make_population_belt(population, run.seed("belt"), sought, others, progress, workers=run.workers)

    path = run.out / "fit" / "belts" / ("luminosity.json" if by_rate else f"{events}_events_mixed.json")
    settings, cost = _settings(run) | {"events": None if by_rate else events}, (Work(TOY, run.config.belt.toys),)
    return Product(
        f"belt for {name}", path, population_belt.KIND, settings, _parents(run), make, PopulationBelt.load, cost
    )


def any_belt(run: Run, events: int) -> Product[Any]:
    """The belt of a measurement of ``events`` events, of whichever kind it is."""
    return belt_product(run, events) if is_needed(run.config) else product(run, events)


def measured_with_population(run: Run, result: Measurement) -> BeltIntervals | str:
    """The Feldman-Cousins intervals of a measurement; the reason if the bank is too small."""
    assert result.source is not None
    belt = belt_or_reason(run, belt_product(run, result.used))
    if isinstance(belt, str):
        return belt
    data = Data.of(result.source, _nominal(run.config, result.source.basis.parameters))
    return BeltIntervals(tuple(belt.interval(data, level) for level in LEVELS), float(belt.effective.min()))


def load_population(run: Run, events: int) -> Population:
    """The bank and the events of all backgrounds, for samples of ``events`` events or of the luminosity.

    Raises:
        ArtifactError: the bank is not there; run the stages simulate and integrate.
    """
    signal, weighted = Coefficients.load(run.coefficients(BANK)), weighted_bank(run)
    sources = [SourceEvents(_central(signal), log_densities(run, BANK, signal.n_events), weighted)]
    for background in run.config.background:
        name = bank_name(background)
        found = Coefficients.load(run.coefficients(name))
        sources.append(SourceEvents(_central(found), log_densities(run, name, found.n_events)))

    def analysis(coefficients: Coefficients, logs: Mapping[str, Array]) -> Hypothesis:
        only = run.config.fit.model_copy(update={"bases": (), "strength": False})
        return hypotheses(coefficients, run.channel, only, **known_beside(run.config, logs))[0]

    nominal = _nominal(run.config, (*weighted.basis.parameters, *run.config.shares))
    return Population.of(sources, analysis, composition(run, events, weighted), nominal)


def weighted_bank(run: Run) -> Reweighted:
    """The events of the bank with their weights, usable or not.

    Raises:
        ArtifactError: the bank is not there; run the stages simulate and integrate.
    """
    exact, mixture = Coefficients.load(run.hard_coefficients(BANK)), mixture_coefficients(run.process).numpy()
    sigma, _ = simulated_cross_section(run.process, parquet.read_pairs(run.events(TRAINING)))
    return Reweighted(MorphingBasis.of(run.process), over_density(exact.values[0], mixture), sigma)


def _central(coefficients: Coefficients) -> Coefficients:
    """Without resamples."""
    return replace(coefficients, bootstrap=None, fiducial_bootstrap=None)


def composition(run: Run, events: int, signal: Reweighted) -> Composition:
    """How many events of the ``signal``, whose σ_k were counted, and of the backgrounds a sample has."""
    own, shares, luminosity = len(signal.basis.parameters), run.config.shares, run.config.fit.luminosity
    places = range(own, own + len(shares))
    if luminosity is None:
        return ByFractions(events, tuple(places))
    rated = with_rate(MorphingBasis.of(run.process), run.channel.rate.get("process"))
    rates = [Rate(rated, signal.exact_fiducial, tuple(range(own)))]
    for place, share in zip(places, shares, strict=True):
        rates.append(Rate(AffineBasis((share,), np.zeros(1), np.ones((1, 1))), np.ones(1), (place,)))
    return ByRate(luminosity, rates)


def _nominal(config: Config, parameters: Sequence[Parameter]) -> Array:
    """Of all parameters but the first: the expected shares of the backgrounds, 0 of others."""
    expected = {p.name: b.expected for b, p in zip(config.background, config.shares, strict=True)}
    return np.array([expected.get(p.name, 0.0) for p in parameters[1:]], np.float64)


def _settings(run: Run) -> dict[str, Any]:
    config = run.config
    return {"belt": plain(config.belt), "luminosity": config.fit.luminosity, "seed": config.seed} | listed(config)


def _parents(run: Run) -> dict[str, Path]:
    banks = {bank_name(b): run.coefficients(bank_name(b)) for b in run.config.background}
    return parents(run) | banks | background_parents(run)


def products(run: Run) -> list[Product[PopulationCoverage]]:
    """The coverage at all truths of the configuration, if there is a bank and toys know of more than the parameter."""
    return [coverage_product(run)] if run.config.belt.bank_events and is_needed(run.config) else []


def coverage_product(run: Run) -> Product[PopulationCoverage]:
    """Coverage at all truths of the configuration."""

    def make() -> JsonFile | None:
        try:
            result = _Coverage(run).found()
        except RangeError as error:
            run.say(f"  [yellow]no coverage over the range: {error}[/]")
            return None
        run.say(f"  {result}")
        return JsonFile(KIND, result.to_dict())

    own = {name: plain(run.config.calibration)[name] for name in ("size", "toys")} | {"truths": list(run.config.truths)}
    path, pieces = run.out / "calibration" / "bank" / "coverage.json", run.cache("calibrate", "coverage")
    toys = len(run.config.truths) * run.config.calibration.toys
    return Product(
        "coverage over the range",
        path,
        KIND,
        _settings(run) | {"calibration": own},
        _parents(run),
        make,
        lambda path: PopulationCoverage.from_dict(read_json(path, KIND)),
        (Work(TOY_OF_COVERAGE, toys),),
        unfinished=pieces,
    )


@dataclass(frozen=True)
class _Coverage:
    """Measures coverage with halves of the population; finished pieces are kept."""

    run: Run

    def found(self) -> PopulationCoverage:
        run, folder = self.run, self.run.cache("calibrate", "coverage")
        checksums = {name: artifacts.read_header(path).sha256 for name, path in _parents(run).items()}
        identical = {**coverage_product(run).settings, "of": checksums}
        population = load_population(run, run.config.calibration.size)
        halves = population.halves(numpy_generator(run.config.seed, "halves"))
        belts = Blocks(folder, identical, Form(".json", _write, PopulationBelt.load), lambda half: f"belt_{half}")
        made = dict(belts.map(lambda half: self._belt(halves[half], half), range(len(halves))))
        points: Blocks[CoveragePoint] = Blocks(
            folder, identical, Form.json(KIND, CoveragePoint), lambda truth: f"truth_{truth:.6f}"
        )
        shown, toys, seed = run.config.first.quantity, run.config.calibration.toys // len(halves), run.seed("coverage")
        truths = [float(shown.stored(value)) for value in run.config.truths]

        def at(truth: float) -> CoveragePoint:
            return coverage_point(halves, [made[half] for half in sorted(made)], truth, toys=toys, seed=seed)

        found: dict[int, CoveragePoint] = {}
        with run.progress("coverage over the range") as progress:
            for number, point in points.map(at, truths):
                found[number] = point
                progress(len(found), len(truths))
        return PopulationCoverage(tuple(found[number] for number in sorted(found)))

    def _belt(self, half: Population, number: int) -> PopulationBelt:
        run, settings = self.run, belt_settings(self.run, LEVELS)
        seed, others = run.seed("belt", "half", number), run.config.belt.nuisances
        with run.progress(f"belt of half {number + 1}") as progress:
            return make_population_belt(half, seed, settings, others, progress, workers=run.workers)


def _write(path: Path, belt: PopulationBelt, settings: Mapping[str, Any]) -> object:
    return belt.save(path, settings)
