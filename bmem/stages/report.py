"""Stage 6: the products of a run, shown on one HTML page beside their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from bmem import artifacts
from bmem.artifacts import Product
from bmem.calibration.ceiling import Ceiling
from bmem.calibration.neyman import Belt
from bmem.calibration.period_verdict import PeriodCalibration
from bmem.calibration.population_coverage import PopulationCoverage
from bmem.calibration.predictive import PredictiveHistogram
from bmem.calibration.sample import SampleCalibration
from bmem.calibration.sbc import SimulationBasedCalibration
from bmem.channels.contract import conditions, display, readable, shown_observables
from bmem.config import Config
from bmem.errors import ArtifactError
from bmem.likelihood.coefficients import load_diagnostics
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.networks import Networks
from bmem.measurement import Measurement
from bmem.plotting.acceptance import Predictions
from bmem.plotting.experiment import Experiment
from bmem.process.contract import Parameter
from bmem.quantity import Quantity
from bmem.reports import calibration, coverage, events, measurement, networks, nuisances, period, posterior, prospects
from bmem.reports.album import Album
from bmem.reports.page import Caution, Chapter, Page, Picture, write_page
from bmem.reports.provenance import made, provenance_of
from bmem.reports.settings import as_toml, used_settings
from bmem.reports.summary import summary_text
from bmem.rng import generator
from bmem.stages import calibrate, ceiling
from bmem.stages.backgrounds import background_parents, background_trainings, held_out_events, learned_sample, observed
from bmem.stages.calibrate import true_value
from bmem.stages.period import product as period_product
from bmem.stages.population import coverage_product
from bmem.stages.prospects import FromBank
from bmem.stages.run import Run
from bmem.stages.simulate import load_sample, measured_samples
from bmem.stages.train import NAMES, load_history, load_networks, load_pairs, trainings

Loaded = TypeVar("Loaded")
_MEASUREMENT, _EVENTS, _INTEGRATION, _NETWORKS = "Measurement", "Events and goodness of fit", "Integration", "Networks"
_CALIBRATION, _POSTERIOR = "Calibration", "Posterior"
_PERIOD, _RANGE = "Calibration over the period", "Calibration over the range"
_LEARNED = 20_000
"""Events from the learned density of a background."""


def write_report(run: Run) -> None:
    """Draw everything and write ``report.html``; always anew, it is quick."""
    page = _Sources(run).page()
    write_page(run.out / "report.html", page)
    run.say(f"  {run.out / 'report.html'}")


def summary_of(run: Run) -> str:
    """What is measured so far, in lines for a terminal; nothing is computed or written.

    Raises:
        ArtifactError: no sample is measured, or what the result follows from is missing or damaged.
    """
    measured = tuple(sample for sample in run.config.sample if artifacts.exists(run.fit(sample.name)))
    if not measured:
        raise ArtifactError(f"{run.out}: no sample is measured yet; run 'bmem run CONFIG.toml --out {run.out}'")
    page, there = run.out / "report.html", replace(run, config=run.config.model_copy(update={"sample": measured}))
    return summary_text(_Sources(there).head(), str(page) if page.is_file() else "")


def experiment_of(config: Config) -> Experiment | None:
    """Whose label and look the figures have.

    Raises:
        MissingExtraError: mplhep is not installed.
    """
    look = config.figures
    return Experiment(look.experiment, look.label) if look.experiment else None


@dataclass(frozen=True)
class _Sources:
    """The finished products of a run, each read once, and the chapters on them."""

    run: Run

    @cached_property
    def album(self) -> Album:
        return Album(self.run.out / "figures", experiment_of(self.run.config))

    @property
    def parameter(self) -> Parameter:
        return self.run.process.parameters[0]

    @property
    def quantity(self) -> Quantity:
        return self.parameter.quantity

    @property
    def observables(self) -> dict[str, Quantity]:
        return {quantity.name: quantity for quantity in self.run.channel.observables}

    @cached_property
    def measurements(self) -> dict[str, Measurement]:
        return {sample.name: Measurement.load(self.run.fit(sample.name)) for sample in measured_samples(self.run)}

    @cached_property
    def truths(self) -> dict[str, float | None]:
        return {name: true_value(self.run, name) for name in self.measurements}

    @cached_property
    def diagnostics(self) -> dict[str, events.Diagnostics]:
        return {name: load_diagnostics(self.run.coefficients(name)) for name in self.measurements}

    @cached_property
    def calibrations(self) -> dict[str, SampleCalibration]:
        return _there({product.name: product for product in calibrate.products(self.run)})

    @cached_property
    def ceilings(self) -> dict[str, Ceiling]:
        return _there({product.name: product for product in ceiling.products(self.run)})

    @cached_property
    def range_calibration(self) -> PeriodCalibration | None:
        return period_product(self.run).if_there()

    @cached_property
    def mixed_coverage(self) -> PopulationCoverage | None:
        return coverage_product(self.run).if_there()

    @cached_property
    def posterior_calibration(self) -> SimulationBasedCalibration | None:
        return FromBank(self.run).posterior.if_there()

    @cached_property
    def predictions(self) -> dict[str, dict[str, PredictiveHistogram]]:
        return _there({name: FromBank(self.run).predictions(name) for name in self.measurements})

    def head(self) -> Page:
        """The page without its chapters."""
        return Page(
            title=f"Measurement of {self.quantity.shown}",
            subtitle=self.run.channel.title,
            headlines=tuple(
                measurement.headline(name, found, self.truths[name]) for name, found in self.measurements.items()
            ),
            verdict=calibration.calibration_verdict(self.calibrations, self.run.config.fit.luminosity is not None),
            warnings=tuple(self._warnings()),
        )

    def page(self) -> Page:
        chapters = [self._measurement(), self._events(), *self._calibration(), *self._period(), *self._prospects()]
        chapters += [*self._posterior(), self._integration(), self._networks()]
        return replace(
            self.head(),
            made=made(),
            chapters=tuple(chapters),
            configuration=as_toml(used_settings(self.run.config)),
            provenance=self._provenance(),
        )

    def _measurement(self) -> Chapter:
        album, found = self.album, self.measurements
        taken = conditions(self.run.channel)
        shown = [measurement.likelihood_figure(album, name, one, self.truths[name], taken) for name, one in found.items()]
        shown += self._belts()
        for figures in (nuisances.ranking_figures, measurement.further_figures):
            shown += [figure for name, one in found.items() for figure in figures(album, name, one)]
        tables = (measurement.budget_table(found), nuisances.ranking_table(found), *measurement.parameter_tables(found))
        return Chapter(_MEASUREMENT, "", tuple(table for table in tables if table is not None), tuple(shown))

    def _belts(self) -> list[Picture]:
        """Every belt of the run, with the curve of the first sample measured with it."""
        first: dict[int, str] = {}
        for name, found in self.measurements.items():
            if found.belt is not None and artifacts.exists(self.run.belt(found.used)):
                first.setdefault(found.used, name)
        return [
            measurement.belt_figure(self.album, name, self.measurements[name], Belt.load(self.run.belt(number)))
            for number, name in first.items()
        ]

    def _events(self) -> Chapter:
        found, shown = self.measurements, []
        for name, one in found.items():
            shown += events.influence_figures(self.album, name, one) + self._event(name, one)
        tables = (*events.goodness_tables(found), *(events.drivers_table(name, one) for name, one in found.items()))
        return Chapter(_EVENTS, events.text(found), tables, tuple(shown))

    def _event(self, name: str, found: Measurement) -> list[Picture]:
        """The most influential event of a sample, if it is one of its reconstructed events."""
        if found.influence is None:
            return []
        first = found.influence.drivers(1)[0].event
        place = int(observed(self.run, name).signal[first])
        objects = () if place < 0 else display(self.run.channel, load_sample(self.run, name)[0], place)
        return [events.event_picture(self.album, name, objects, first)] if objects else []

    def _calibration(self) -> list[Chapter]:
        found, quantity, rate = self.calibrations, self.quantity, self.run.config.fit.luminosity is not None
        if not found:
            return []
        parts = [calibration.calibration_figures(self.album, name, one, quantity) for name, one in found.items()]
        shown = tuple(figure for part in parts for figure in part)
        tables = (calibration.calibration_table(found, quantity, rate), *calibration.ceiling_tables(self.ceilings))
        return [Chapter(_CALIBRATION, calibration.TEXT, tables, shown)]

    def _period(self) -> list[Chapter]:
        found, quantity = self.range_calibration, self.quantity
        if self.mixed_coverage is not None:
            table = coverage.coverage_table(self.mixed_coverage, quantity)
            return [Chapter(_RANGE, coverage.TEXT, (table,), ())]
        if found is None:
            return []
        shown = tuple(period.period_figures(self.album, found, quantity))
        return [Chapter(_PERIOD, period.TEXT, period.period_tables(found, quantity), shown)]

    def _prospects(self) -> list[Chapter]:
        found, number = FromBank(self.run).prospects.if_there(), self.run.config.fit.size
        if found is None:
            return []
        table = prospects.power_table(found, number, self.run.config.precisions, self.quantity)
        shown = tuple(prospects.prospects_figures(self.album, found, number, self.quantity))
        return [Chapter("Expected precision", prospects.TEXT, (table,), shown)]

    def _posterior(self) -> list[Chapter]:
        tables, shown = [], []
        if self.posterior_calibration is not None:
            tables.append(posterior.posterior_table(self.posterior_calibration))
            shown += posterior.posterior_figures(self.album, self.posterior_calibration)
        if self.predictions:
            tables.append(posterior.predictive_table(self.predictions, self.observables))
        for name, histograms in self.predictions.items():
            shown += posterior.predictive_figures(self.album, name, histograms, self.observables)
        return [Chapter(_POSTERIOR, posterior.TEXT, tuple(tables), tuple(shown))] if tables else []

    def _integration(self) -> Chapter:
        limits = self.run.config.integration
        parts = [events.integral_figures(self.album, name, one, limits) for name, one in self.diagnostics.items()]
        tables = tuple(events.worst_table(name, self.measurements[name], one) for name, one in self.diagnostics.items())
        return Chapter(_INTEGRATION, "", tables, tuple(figure for part in parts for figure in part))

    def _networks(self) -> Chapter:
        run, album, shown = self.run, self.album, shown_observables(self.run.channel)
        histories = {name: load_history(run, name) for name in trainings(run) + background_trainings(run)}
        learned, pairs = load_networks(run), load_pairs(run, "validation")
        x_reco, conditions = pairs.x_reco, pairs.conditions
        with torch.no_grad():
            drawn = learned.transfer("from_noise", _noise(run, learned, len(x_reco)), conditions[pairs.accepted])[0]
            predicted = learned.acceptance("probability", conditions).mean(0).numpy()
        predictions, along = Predictions(predicted, pairs.accepted.numpy()), pairs.x_hard[:, 0].numpy()
        figures = networks.training_figures(album, histories)
        seen, drawn = (readable(run.channel, x).numpy() for x in (x_reco, drawn))
        figures += networks.transfer_figures(album, seen, drawn, shown)
        figures += networks.acceptance_figures(album, predictions, along, run.channel.hard_quantities[0])
        for background in run.config.background:
            if background.file is not None:
                known = held_out_events(run, background.name).numpy()
                made = learned_sample(run, background, _LEARNED).numpy()
                figures += networks.background_figures(album, background.name, known, made, shown)
        tables = (networks.training_table(histories), self._cross_sections(), networks.acceptance_table(predictions))
        return Chapter(_NETWORKS, "", tables, tuple(figures))

    def _cross_sections(self) -> Any:
        (low, high), period_of = self.parameter.bounds, self.parameter.period
        truths = np.linspace(low if period_of is None else 0.0, high, 5)
        theta = torch.as_tensor(truths, dtype=torch.float64)[:, None]
        total = [self.run.process.cross_section(one)[0] for one in theta]
        basis = self.run.process.basis(theta).numpy()
        fiducial = FiducialCrossSection.load(self.run.fiducial).nominal(basis.shape[-1])
        errors = networks.LEARNED if self.run.config.likelihood.fiducial == "learned" else networks.COUNTED
        return networks.cross_section_table(fiducial, total, truths, basis, self.quantity, errors=errors)

    def _warnings(self) -> list[Caution]:
        """What should not be trusted as it stands, and where more is told of it."""
        run, names = self.run, [*NAMES, *background_parents(self.run)]
        headers = {name: artifacts.read_header(run.network(name)).settings for name in names}
        doubtful = networks.suspicions({name: settings.get("suspicions", []) for name, settings in headers.items()})
        found = _cautions(_NETWORKS, doubtful)
        for name, one in self.measurements.items():
            found += _cautions(_MEASUREMENT, measurement.measurement_warnings(name, one))
            told = self.diagnostics[name]
            found += _cautions(_MEASUREMENT, nuisances.nuisance_warnings(name, one, told.get("interpolation")))
            found += _cautions(_INTEGRATION, events.integral_warnings(name, one, told))
        found += _cautions(_CALIBRATION, calibration.calibration_warnings(self.calibrations))
        if self.range_calibration is not None:
            found += _cautions(_PERIOD, period.period_warnings(self.range_calibration, self.quantity))
        if self.mixed_coverage is not None:
            found += _cautions(_RANGE, coverage.coverage_warnings(self.mixed_coverage, self.quantity))
        if self.posterior_calibration is not None:
            found += _cautions(_POSTERIOR, posterior.posterior_warnings(self.posterior_calibration))
        for name, histograms in self.predictions.items():
            found += _cautions(_POSTERIOR, posterior.predictive_warnings(name, histograms, self.observables))
        return found

    def _provenance(self) -> dict[str, Any]:
        run = self.run
        paths = [run.events("training"), *map(run.network, NAMES), *map(run.coefficients, self.measurements)]
        headers = {str(path.relative_to(run.out)): artifacts.read_header(path) for path in paths}
        return provenance_of(run.config.seed, headers)


def _cautions(chapter: str, sentences: Sequence[str]) -> list[Caution]:
    return [Caution(sentence, chapter) for sentence in sentences]


def _noise(run: Run, learned: Networks, events: int) -> Tensor:
    """What the learned transfer needs to draw ``events``."""
    rng, size = generator(run.config.seed, "figures", "transfer"), cast(ResidualDensity, learned.transfer.module).noise_dim
    return torch.rand(events, size, generator=rng, dtype=torch.float64)


def _there(products: Mapping[str, Product[Loaded]]) -> dict[str, Loaded]:
    """What is in those that were made."""
    found = {name: product.if_there() for name, product in products.items()}
    return {name: content for name, content in found.items() if content is not None}
