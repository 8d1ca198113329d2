"""A run in small: every stage at work on a few events, with the networks, points and replicas of the configuration.

Events are repeated where a stage wants more of them than were simulated: what they measure means nothing, but takes as long.
"""

from __future__ import annotations

import io
import math
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from bmem import artifacts
from bmem.config import BANK, TRAINING, VALIDATION, Config, SampleSection
from bmem.errors import InputError
from bmem.events import parquet
from bmem.events.record import PairedEvents, concatenate_pairs
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import fiducial_cross_section
from bmem.rng import generator
from bmem.stages.integrate import BANK_RESAMPLES, integrate_all
from bmem.stages.run import Run
from bmem.stages.simulate import mixture_product
from bmem.stages.train import NAMES, RATIO, load_networks, train_all

EPOCHS, TOYS, PERIOD_TOYS, SUBSAMPLES, SIMULATIONS = 2, 1000, 200, 3, 20
"""What is left of the epochs of a training, the toys of a belt and of the period, the subsamples, and the simulations."""
_BATCHES = 8
"""Full batches in an epoch of the pilot."""
_SECONDS = 3.0
"""What a measurement shall take: events are added until it does."""
_FIRST, _FIDUCIAL = 500, 5000


@dataclass(frozen=True)
class Pilot:
    """The small run in a ``folder``, for the ``full`` run that is planned; ``points`` for the integral of every event.

    Where the full run has networks already, integrals are measured with these, and take the points that they need.
    """

    full: Run
    folder: Path
    points: int

    @cached_property
    def run(self) -> Run:
        return Run(_small(self.full.config, None if self.trained else self.points), self.folder, Console(file=io.StringIO()))

    @property
    def trained(self) -> bool:
        """Whether the full run has its networks."""
        return all(artifacts.exists(self.full.network(name)) for name in NAMES)

    @property
    def names(self) -> list[str]:
        return [sample.name for sample in self.run.config.sample]

    def simulate(self) -> tuple[PairedEvents, float, float]:
        """Simulated pairs, and the seconds of their hard scattering and of all the rest.

        Raises:
            InputError: none of them passes the selection.
        """
        config = self.full.config.simulation
        middle = torch.tensor([np.mean(p.bounds) for p in self.run.process.parameters], dtype=torch.float64)
        self.run.process.sample(1, middle, generator(1))  # adapts its grid
        n, seconds = grown(self._simulated, _FIRST, config.events)
        hard = timed(lambda: self.run.process.sample(n, middle.expand(n, -1), generator(1)))
        pairs = parquet.read_pairs(self.run.events(f"pilot_{n}"))
        if not pairs.accepted.any():
            raise InputError(f"none of {n} simulated events passes the selection: nothing can be planned; loosen it")
        return pairs, min(hard, seconds), max(seconds - hard, 0.0)

    def _simulated(self, n: int) -> None:
        self.run.engine.ensure(mixture_product(self.run, f"pilot_{n}", n))

    def train(self, pairs: PairedEvents) -> tuple[Run, float]:
        """Train all networks on repeated ``pairs``; return a run that has simulated as many, and the seconds."""
        config, share = self.full.config, max(float(pairs.accepted.double().mean()), 1e-3)
        batch = max(config.transfer.training.batch_size, config.proposal.training.batch_size) / share
        wanted = 1.2 * _BATCHES * max(batch, config.acceptance.training.batch_size)
        rows = repeated(pairs, min(math.ceil(wanted), config.simulation.events * config.simulation.repeats))
        for name in (TRAINING, VALIDATION):
            parquet.write_pairs(self.run.events(name), rows)
        simulation = self.run.config.simulation.model_copy(update={"events": len(rows), "repeats": 1})
        trained = with_config(self.run, self.run.config.model_copy(update={"simulation": simulation}))
        return trained, timed(lambda: train_all(trained))

    def integrate(self, pairs: PairedEvents, wanted: int) -> float:
        """Integrate events of the first sample, at most ``wanted``; return the seconds that each of them adds."""
        if self.trained:
            for name in NAMES:
                for path in (self.full.network(name), artifacts.sidecar(self.full.network(name))):
                    shutil.copy(path, self.run.network(name).with_name(path.name))
        work = partial(self._integrated, pairs)
        work(1)  # makes ready, and integrates the fiducial cross section
        anyway = timed(partial(work, 1))
        n, seconds = grown(work, 8, max(2, wanted))
        return max(seconds - anyway, 0.0) / (n - 1)

    def _integrated(self, pairs: PairedEvents, n: int) -> None:
        name = self.names[0]
        for path in (self.run.coefficients(name), self.run.hard_coefficients(name)):
            path.unlink(missing_ok=True)
            artifacts.sidecar(path).unlink(missing_ok=True)
        accepted = repeated(pairs, math.ceil(n / max(int(pairs.accepted.sum()), 1)) * len(pairs))
        last = int(accepted.accepted.nonzero()[n - 1])
        parquet.write_pairs(self.run.events(name), _at_one_theta(accepted, last + 1))
        config = self.run.config
        alone = {"sample": config.sample[:1], "belt": config.belt.model_copy(update={"bank_events": 0})}
        integrate_all(with_config(self.run, config.model_copy(update=alone)))

    def fiducial(self) -> float:
        """Seconds for the fiducial cross section with all its events."""
        if self.full.config.likelihood.fiducial == "counted":
            return 0.0
        networks, resamples = load_networks(self.run).to(self.run.device), self.run.config.integration.resamples
        process, rng = self.run.process, generator(1)
        seconds = timed(lambda: fiducial_cross_section(process, networks.acceptance, _FIDUCIAL, rng, resamples))
        return seconds * self.full.config.likelihood.fiducial_events / _FIDUCIAL

    def spread(self, pairs: PairedEvents, events: int, bank: int) -> None:
        """Repeat the integrals to ``events`` of every sample and, if any, ``bank`` events of the bank."""
        first = self.names[0]
        sources = [Coefficients.load(f(first)) for f in (self.run.coefficients, self.run.hard_coefficients)]
        enough = repeated(pairs, math.ceil(max(events, bank) / max(int(pairs.accepted.sum()), 1)) * len(pairs))
        for name, number in [(name, events) for name in self.names] + [(BANK, bank)] * bool(bank):
            last = int(enough.accepted.nonzero()[number - 1]) + 1
            kept = enough.hard[:last], enough.accepted[:last], enough.reco[:number]
            rows = PairedEvents(*kept) if name == BANK else _at_one_theta(PairedEvents(*kept), last)
            parquet.write_pairs(self.run.events(name), rows)
            for source, path in zip(sources, (self.run.coefficients(name), self.run.hard_coefficients(name)), strict=True):
                few = _few_resamples(source) if name == BANK else source
                few.select(np.arange(number) % source.n_events).save(path)


def grown(work: Callable[[int], Any], first: int, most: int) -> tuple[int, float]:
    """Do ``work(n)`` for more and more n up to ``most``, until it takes some seconds; return the last n and its seconds.

    The first call does not count: much is made ready in it.
    """
    n = min(first, most)
    timed(partial(work, n))
    while True:
        seconds = timed(partial(work, n))
        if n == most or seconds > _SECONDS / 2:
            return n, seconds
        n = min(most, max(2 * n, int(n * min(10.0, _SECONDS / seconds))))


def timed(work: Callable[[], Any]) -> float:
    """Seconds; warnings of numbers that nobody shall trust are of no interest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


def repeated(pairs: PairedEvents, events: int) -> PairedEvents:
    """At least so many hard events: ``pairs`` over and over again."""
    return concatenate_pairs([pairs] * max(1, math.ceil(events / len(pairs))))


def with_config(run: Run, config: Config) -> Run:
    """The same run with another configuration, and its process as it is: a new one would adapt its grid again."""
    other = replace(run, config=config)
    vars(other)["channel"] = run.channel
    return other


def _few_resamples(source: Coefficients) -> Coefficients:
    """With as many resamples as the bank keeps."""
    if source.bootstrap is None or source.fiducial_bootstrap is None:
        return source
    kept = slice(0, BANK_RESAMPLES)
    return replace(source, bootstrap=source.bootstrap[:, kept], fiducial_bootstrap=source.fiducial_bootstrap[:, kept])


def _at_one_theta(pairs: PairedEvents, events: int) -> PairedEvents:
    """The first hard events as a sample of known truth."""
    hard, accepted = pairs.hard[:events], pairs.accepted[:events]
    hard = replace(hard, theta=hard.theta[:1].expand_as(hard.theta))
    return PairedEvents(hard, accepted, pairs.reco[: int(accepted.sum())])


def _small(config: Config, points: int | None) -> Config:
    """The configuration with little of everything that only costs time in proportion; all integrals with ``points``."""
    integration = config.integration if points is None else _fixed(config.integration, points)
    number, truth = max(1, min(2, len(config.sample))), _truth(config)
    samples = tuple(SampleSection(name=f"pilot{i}", events=1, **truth) for i in range(number))
    calibration = {
        "subsamples": SUBSAMPLES,
        "bias_events": 0,
        "toys": PERIOD_TOYS,
        "truths": _one_of(config.truths),
        "simulations": SIMULATIONS,
    }
    posterior = replace(config.posterior, epochs=min(EPOCHS, config.posterior.epochs))
    pairs = min(config.proposal.pairs, _BATCHES * config.proposal.training.batch_size)
    short = {name: _short(getattr(config, name)) for name in (*NAMES, RATIO)}
    short["proposal"] = short["proposal"].model_copy(update={"pairs": pairs})
    return config.model_copy(
        update={
            **short,
            "sample": samples,
            "background": (),
            "posterior": posterior,
            "integration": integration,
            "likelihood": config.likelihood.model_copy(update={"fiducial_events": _FIDUCIAL}),
            "belt": config.belt.model_copy(update={"toys": min(TOYS, config.belt.toys)}),
            "calibration": config.calibration.model_copy(update=calibration),
        }
    )


def _one_of(truths: Sequence[float]) -> tuple[float, ...]:
    """One in the middle, where a bank has most events."""
    return (truths[len(truths) // 2],)


def _truth(config: Config) -> dict[str, Any]:
    """A truth within the range of every parameter, printed."""
    return {p.name: float(p.quantity.printed(p.bounds).mean()) for p in config.channel.make().parameters}


def _short(section: Any) -> Any:
    training = section.training
    return section.model_copy(update={"training": replace(training, epochs=min(EPOCHS, training.epochs))})


def _fixed(settings: IntegrationSettings, points: int) -> IntegrationSettings:
    """So many points for every event, after a pilot where the configuration has one."""
    if settings.min_points == settings.max_points:
        return settings
    return replace(settings, min_points=points, max_points=2 * points, relative_error=1e9)
