"""All jets against eleven observables: python run.py RUN --out OUT [--events N], RUN a finished studies/thj_pythia.

Trains the networks of architectures.toml on the simulated events of RUN, integrates N events of its samples, and writes what
they keep of the information, against the ceiling that a regression on the same objects reaches, to results.json. What is
finished in OUT is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bmem.calibration.score import information_kept, score_test
from bmem.calibration.yardstick import yardstick
from bmem.chain import Chain
from bmem.config import TRAINING, load
from bmem.events import parquet
from bmem.events.record import PairedEvents
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.likelihood.learning import Learner
from bmem.likelihood.networks import Networks, TrainedNetworks
from bmem.likelihood.ratio import Ratio, ratio_coefficients
from bmem.likelihood.roles import Role
from bmem.networks.regressors.transformer import TransformerSettings
from bmem.replicas import Replicas
from bmem.replicas.settings import PosteriorSettings
from bmem.training import TrainingSettings

HERE = Path(__file__).parent
ANGLES = (45, 90, 0, 180)
"""Of them 180° is simulated here, the others are samples of RUN."""
HARD_EVENTS, TIMED = 2500, 64
REGRESSION = TrainingSettings(epochs=10, batch_size=512, learning_rate=3e-3)


@dataclass(frozen=True)
class Study:
    """One way to observe the events of a finished ``run``, its networks and integrals kept in ``out``."""

    chain: Chain
    run: Path
    out: Path
    events: int

    def pairs(self, name: str) -> PairedEvents:
        """Simulated events of the run, of which fewer are accepted if the channel has a largest number of jets."""
        found = parquet.read_pairs(self.run / "events" / f"{name}.parquet")
        kept = self.chain.channel.selection.accept(found.reco)
        accepted = found.accepted.clone()
        accepted[found.accepted] = kept
        return PairedEvents(found.hard, accepted, found.reco[kept])

    @cached_property
    def training(self) -> PairedEvents:
        return self.pairs(TRAINING)

    @cached_property
    def regression(self) -> Ratio:
        channel = self.chain.channel
        return Ratio("ratio", channel.proposal, REGRESSION, TransformerSettings(), channel.process)

    def network(self, role: Role, made: Mapping[str, Replicas]) -> Replicas:
        """Trained, or read if it was."""
        path = self.out / "networks" / f"{role.name}.safetensors"
        if not path.is_file():
            learner = Learner(PosteriorSettings(method="point"), self.chain.seed, self.out / "unfinished", self.chain.observer)
            learned = learner.learn(role, self.chain.pairs(self.training), made)
            path.parent.mkdir(parents=True, exist_ok=True)
            learned.replicas.save(path)
            history = learned.histories[role.name]
            path.with_suffix(".json.history").write_text(json.dumps([history.best_loss, sum(history.seconds)]))
        return Replicas.load(path, role.build())

    @cached_property
    def networks(self) -> TrainedNetworks:
        made: dict[str, Replicas] = {}
        for role in self.chain.roles:
            made[role.name] = self.network(role, made)
        fiducial: FiducialCrossSection = self.chain.fiducial(made["acceptance"], self.training)
        return TrainedNetworks(**vars(Networks.of(made)), fiducial=fiducial, histories={})

    def sample(self, angle: int) -> PairedEvents:
        """Simulated events at one α."""
        name = f"alpha{angle}"
        if (self.run / "events" / f"{name}.parquet").is_file():
            return self.pairs(name)
        return self.chain.simulate(HARD_EVENTS, name=name, alpha=angle)

    def coefficients(self, angle: int, sample: PairedEvents) -> Coefficients:
        """The integrals of the first events of a sample."""
        path = self.out / "likelihood" / f"alpha{angle}.nc"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.chain.integrate(sample, self.networks, name=f"alpha{angle}", events=self.events).save(path)
        return Coefficients.load(path)

    def seconds(self, sample: PairedEvents) -> float:
        """Processor time of an event's integral."""
        work = lambda: self.chain.integrate(sample, self.networks, name="timed", events=TIMED)  # noqa: E731
        work()
        start = time.process_time()
        work()
        return (time.process_time() - start) / TIMED


def kept(found: Coefficients, study: Study, sample: PairedEvents, angle: int) -> list[float]:
    """Share of the information of x_hard, and its error."""
    process, sigma = study.chain.channel.process, study.networks.fiducial.values.mean(0)
    x = sample.accepted_hard.x[: found.n_events]
    hard = yardstick(process, x, x.new_ones(len(x)), sigma)
    basis, theta = MorphingBasis.of(process), [np.radians(angle)]
    value, error = information_kept(score_test(found, basis, theta), score_test(hard, basis, theta))
    return [round(float(value[0]), 4), round(float(error[0]), 4)]


def measured(study: Study) -> dict[str, Any]:
    """What is kept at 45 and 90°, what could be, and how well the points are spent."""
    numbers: dict[str, Any] = {}
    for angle in ANGLES:
        sample = study.sample(angle)
        found = study.coefficients(angle, sample)
        fraction = found.diagnostics["effective_fraction"]
        numbers[f"events_{angle}"] = found.n_events
        numbers[f"ess_median_{angle}"] = round(float(np.median(fraction)), 4)
        numbers[f"ess_5_{angle}"] = round(float(np.quantile(fraction, 0.05)), 4)
        numbers[f"pareto_k_above_{angle}"] = round(float((found.diagnostics["pareto_k"] > 0.7).mean()), 4)
        if angle in (45, 90):
            numbers[f"error_{angle}"] = round(float(np.median(found.diagnostics["relative_error"])), 4)
            numbers[f"kept_{angle}"], numbers[f"kept_error_{angle}"] = kept(found, study, sample, angle)
            ceiling = ratio_coefficients(study.network(study.regression, {}), study.chain.channel.observe(sample.reco))
            numbers[f"ceiling_{angle}"], numbers[f"ceiling_error_{angle}"] = kept(ceiling, study, sample, angle)
            numbers[f"share_{angle}"] = round(numbers[f"kept_{angle}"] / numbers[f"ceiling_{angle}"], 4)
    numbers["seconds_per_event"] = round(study.seconds(study.sample(45)), 5)
    for path in sorted((study.out / "networks").glob("*.history")):
        name, (loss, seconds) = path.name.partition(".")[0], json.loads(path.read_text())
        numbers[f"held_out_{name}"], numbers[f"training_seconds_{name}"] = round(loss, 4), round(seconds)
    return numbers


def main() -> None:
    """Both ways to observe, on the same events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/architectures"))
    parser.add_argument("--events", type=int, default=1000)
    arguments = parser.parse_args()
    say = Console(soft_wrap=True).print

    def observer(what: str, done: int, total: int) -> None:
        say(f"{time.strftime('%H:%M:%S')} {what}: {done} of {total}")

    results: dict[str, Any] = {}
    for name, file in {"objects": "architectures.toml", "observables": "observables.toml"}.items():
        chain = Chain.of(load(HERE / file), observer=observer)
        results[name] = measured(Study(chain, arguments.run, arguments.out / name, arguments.events))
        (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        say(results[name])


if __name__ == "__main__":
    main()
