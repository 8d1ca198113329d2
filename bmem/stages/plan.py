"""A plan before a long run: time, memory and disk of every stage, from a run in small (``bmem.stages.pilot``)."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from bmem import artifacts
from bmem.artifacts import Product, work
from bmem.config import Config, SampleSection
from bmem.errors import ConfigError, RangeError
from bmem.events.importing import read_at_any_parameters
from bmem.events.lhe_content import LHEContent
from bmem.events.record import PairedEvents, RecoEvents
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.learning import epochs_of
from bmem.stages import PRODUCTS, calibrate, fit, period, population, prospects, train
from bmem.stages import belt as belts
from bmem.stages.pilot import SIMULATIONS, SUBSAMPLES, Pilot, timed, with_config
from bmem.stages.report import write_report
from bmem.stages.run import Run
from bmem.stages.simulate import GENERATED, RESPONSE
from bmem.stages.train import load_history, trainings

FRACTIONS = np.array([0.25, 0.43, 0.48, 0.53, 0.57, 0.60, 0.64, 0.67, 0.70, 0.75])
"""Effective sample per point of ten typical events in one replica, assumed where no network is trained yet."""
_COPIES = 4
"""Copies of events or integrals in memory while they are joined and written."""


@dataclass(frozen=True)
class Cost:
    """What a stage costs: seconds that one process must spend, seconds that workers can share, bytes of memory and disk."""

    serial: float = 0.0
    shared: float = 0.0
    memory: float = 0.0
    disk: float = 0.0

    def seconds(self, workers: int = 1) -> float:
        """With so many workers, which have a core each."""
        return self.serial + self.shared / workers


@dataclass(frozen=True)
class Plan:
    """The ``costs`` by stage; relative errors [n] of typical events' integrals; whether these come from trained networks."""

    costs: dict[str, Cost]
    errors: NDArray[np.float64]
    measured: bool

    def table(self, workers: int) -> Table:
        """As a table for one process and for ``workers``."""
        table = Table("stage", "time", *[f"{workers} workers"] * (workers > 1), "memory", "disk")
        total = Cost(
            sum(c.serial for c in self.costs.values()),
            sum(c.shared for c in self.costs.values()),
            max(c.memory for c in self.costs.values()),
            sum(c.disk for c in self.costs.values()),
        )
        for name, cost in {**self.costs, "total": total}.items():
            times = [duration(cost.seconds(n)) for n in ([1, workers] if workers > 1 else [1])]
            table.add_row(name, *times, size(cost.memory), size(cost.disk), end_section=name == "report")
        return table

    @property
    def error_line(self) -> str:
        """The expected integration error in one line."""
        median, high = 100 * np.quantile(self.errors, [0.5, 0.9])
        source = (
            "with the networks of this run"
            if self.measured
            else (f"if the effective sample is {100 * np.median(FRACTIONS):.0f} % of the points, as in the quickstart")
        )
        return f"error of an event's integral: {median:.1f} % (median), {high:.1f} % (one in ten is worse), {source}"


def make_plan(run: Run) -> Plan:
    """Measure a run in small, in a temporary folder, and scale every stage to the configuration.

    Raises:
        ConfigError: there is no sample.
        BmemError: what the stages themselves raise.
    """
    if not run.config.sample:
        raise ConfigError("there is no [[sample]] in the configuration: add one to plan a measurement")
    points = typical_points(run.config.integration)
    with tempfile.TemporaryDirectory(prefix="bmem-plan-") as folder:
        pilot = Pilot(run, Path(folder), round(points.mean()))
        planner = _Planner(pilot)
        costs = planner.costs()
        measured = np.asarray(planner.integrals[0].diagnostics["relative_error"], np.float64)
        return Plan(costs, measured if pilot.trained else np.sqrt((1 / FRACTIONS - 1) / points), pilot.trained)


def typical_points(settings: IntegrationSettings) -> NDArray[np.int64]:
    """Points of the ten typical events."""
    return settings.points_for(np.sqrt((1 / FRACTIONS - 1) / settings.pilot))


@dataclass(frozen=True)
class _Planner:
    """Measures stage after stage; each one finds what the ones before have left."""

    pilot: Pilot

    def costs(self) -> dict[str, Cost]:
        stages = (self.simulate, self.train, self.integrate, self.fit, self.calibrate, self.report)
        return {stage.__name__: stage() for stage in stages}

    @property
    def config(self) -> Config:
        return self.pilot.full.config

    @cached_property
    def simulated(self) -> tuple[PairedEvents, float, float]:
        return self.pilot.simulate()

    @property
    def pairs(self) -> PairedEvents:
        return self.simulated[0]

    @cached_property
    def integrals(self) -> tuple[Coefficients, float]:
        """Those of some events, and the seconds for each."""
        seconds = self.pilot.integrate(self.pairs, max(self.events))
        return Coefficients.load(self.pilot.run.coefficients(self.pilot.names[0])), seconds

    @cached_property
    def events(self) -> list[int]:
        """Events of each sample, and of the bank, that will be integrated."""
        share = float(self.pairs.accepted.double().mean())
        found = []
        for n, hard in self._responses:
            there, asked = max(round(n * share) if hard else n, 1), self._wanted(hard)
            found.append(there if asked is None else min(asked, there))
        return [*found, max(1, round(share * self.config.belt.bank_events))]

    def _wanted(self, hard: bool) -> int | None:
        """As ``bmem.stages.integrate.wanted``, of events that may not be there yet."""
        fit, calibration = self.config.fit, self.config.calibration
        return None if fit.events is None and not hard else max(fit.size, calibration.subsamples * calibration.size)

    @cached_property
    def _responses(self) -> list[tuple[int, bool]]:
        """Events of each sample, and whether they are to be simulated."""
        return [_responses(sample, self.pilot.full.channel.lhe) for sample in self.config.sample]

    @property
    def times(self) -> float:
        """Samples of the run for each one of the pilot."""
        return self.scale("fit")

    @cached_property
    def amounts(self) -> tuple[dict[str, float], dict[str, float]]:
        """The work in the products of the run, and of the pilot, by unit."""
        return _work(self.pilot.full), _work(self.pilot.run)

    def scale(self, unit: str) -> float:
        """How much more of a ``unit`` of work the run takes than the pilot."""
        full, small = (amounts.get(unit, 0.0) for amounts in self.amounts)
        return full / small

    def simulate(self) -> Cost:
        pairs, hard, rest = self.simulated
        section = self.config.simulation
        generated, responses = (self.amounts[0][unit] for unit in (GENERATED, RESPONSE))
        read = zip(self.config.sample, self._responses, strict=True)
        responses += sum(n for sample, (n, hard) in read if hard and sample.file is not None)
        training = section.events * section.repeats / len(pairs)
        return Cost(
            serial=hard * generated / len(pairs),
            shared=rest * responses / len(pairs),
            memory=_peak() + _COPIES * _bytes(pairs) * training,
            disk=_disk(self.pilot.run.events(f"pilot_{len(pairs)}")) * responses / len(pairs),
        )

    def train(self) -> Cost:
        run, section = self.pilot.run, self.config.simulation
        trained, seconds = self.pilot.train(self.pairs)
        small, full = work(train.products(trained)), self.amounts[0]
        # of several networks the history is that of the first, so the last epoch of one stands for all epochs of all
        spent = {name: load_history(run, name).seconds[-1] * self.epochs[name] for name in trainings(run)}
        total = sum(spent[name] * full[train.row(name)] / small[train.row(name)] for name in spent)
        fixed = sum(spent.values())
        memory = _peak() + _bytes(self.pairs) * section.events * section.repeats / len(self.pairs)
        return Cost(serial=total + max(seconds - fixed, 0.0), memory=memory, disk=_disk(run.out / "networks"))

    @property
    def epochs(self) -> dict[str, int]:
        """Those of every training of the pilot, all its networks together."""
        run = self.pilot.run
        return {name: n for role in train.roles(run) for name, n in epochs_of(role, run.config.posterior).items()}

    def integrate(self) -> Cost:
        found, seconds = self.integrals
        arrays = (found.values, found.covariance, found.bootstrap)
        size = sum(a.nbytes for a in arrays if a is not None) / found.n_events
        total = sum(self.integrated)
        return Cost(
            serial=self.pilot.fiducial(),
            shared=seconds * total,
            memory=_peak() + _COPIES * size * min(self.config.integration.block, max(self.integrated)),
            disk=size * total,
        )

    @property
    def integrated(self) -> list[int]:
        """Events to integrate, of every sample and of the bank where there is one; validation events in one replica each."""
        found = self.events if self.config.belt.bank_events else self.events[:-1] or [0]
        if self.config.background or not self.config.sample:
            return found
        section = self.config.simulation
        there = section.validation_events * section.repeats * float(self.pairs.accepted.double().mean())
        return [*found, round(min(self.config.calibration.bias_events, there) / self.config.posterior.drawn)]

    def fit(self) -> Cost:
        size, bank = self.config.calibration.size, self.events[-1] if self.config.belt.bank_events else 0
        self.pilot.spread(self.pairs, max(self.config.fit.size, SUBSAMPLES * size), bank)
        belt = self.belt * self.scale(belts.TOY) if bank else 0.0  # first: the fits then find it there
        seconds = self.made(fit.products(self.pilot.run))
        return Cost(seconds * self.times, belt, _peak(), _disk(self.pilot.run.out / "fit") * self.times)

    @cached_property
    def belt(self) -> float:
        """Seconds of the belt of the fit in the pilot; 0 without a bank."""
        if not self.config.belt.bank_events:
            return 0.0
        run = self.pilot.run
        return timed(lambda: _or_refused(lambda: run.engine.ensure(population.any_belt(run, self.config.fit.size))))

    def calibrate(self) -> Cost:
        run, shared = self.pilot.run, 0.0
        seconds = self.made(calibrate.products(run)) * self.scale("subsample")
        if self.config.belt.bank_events and population.is_needed(run.config):
            shared += self.made(population.products(run)) * self.scale(population.TOY_OF_COVERAGE)
        elif self.config.belt.bank_events:
            halves = 2 * self.belt * self.config.calibration.size / self.config.fit.size
            truth = max(self.made(period.products(run)) - halves, 0.0)
            shared += halves * self.scale(period.TOY_OF_HALVES) + truth * self.scale(period.TOY)
        if self.config.belt.bank_events:
            first, twice = self.made(prospects.products(run)), self._simulations(2 * SIMULATIONS)
            shared += twice / 2 * self.scale(prospects.SIMULATION)
            seconds += max(first - twice / 2, 0.0)
        return Cost(seconds, shared, _peak(), _disk(run.out / "calibration") * self.times)

    def _simulations(self, number: int) -> float:
        """Seconds of the calibration of the posterior with so many simulations."""
        run, path = self.pilot.run, self.pilot.run.posterior_calibration
        for file in (path, artifacts.sidecar(path)):
            file.unlink(missing_ok=True)
        calibration = run.config.calibration.model_copy(update={"simulations": number})
        changed = with_config(run, run.config.model_copy(update={"calibration": calibration}))
        return timed(lambda: changed.engine.ensure(*prospects.products(changed)))

    def made(self, products: Sequence[Product[Any]]) -> float:
        """Seconds in which products of the pilot are made."""
        return timed(lambda: self.pilot.run.engine.ensure(*products))

    def report(self) -> Cost:
        seconds = timed(lambda: write_report(self.pilot.run))
        return Cost(seconds * self.times, 0.0, _peak(), _disk(self.pilot.run.out / "figures") * self.times)


def _work(run: Run) -> dict[str, float]:
    """The work in all products of a run, and in the belt for its measurements, by unit."""
    belt = [population.any_belt(run, run.config.fit.size)] if run.config.belt.bank_events else []
    return work([*belt, *(product for products in (*PRODUCTS.values(), train.products) for product in products(run))])


def _responses(sample: SampleSection, lhe: LHEContent | None) -> tuple[int, bool]:
    """Events of a sample to simulate, or that were observed; whether they are to be simulated."""
    if sample.file is None:
        return (sample.events or 0) * sample.repeats, True
    content = read_at_any_parameters(sample.file, lhe)
    number = min(len(content), sample.events or len(content))
    return number * sample.repeats, not isinstance(content, RecoEvents)


def _or_refused(work: Callable[[], Any]) -> None:
    """A bank of untrained networks may be worth too few events: this shows after most of the work."""
    with suppress(RangeError):
        work()


def _peak() -> float:
    """Largest memory of this process so far, in bytes; NaN on Windows, which has no ``resource``."""
    if sys.platform == "win32":
        return math.nan
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _bytes(pairs: PairedEvents) -> int:
    tensors = [pairs.hard.x, pairs.hard.theta, pairs.hard.weight, pairs.hard.pdg, pairs.accepted]
    tensors += [tensor for objects in pairs.reco.collections.values() for tensor in (objects.features, objects.mask)]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _disk(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return float(sum(file.stat().st_size for file in files))


def duration(seconds: float) -> str:
    """As people say it: 12 s, 3.5 min, 2.1 h, 3.0 d."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def size(number: float) -> str:
    """Bytes as MB or GB."""
    if math.isnan(number):
        return "unknown"
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
