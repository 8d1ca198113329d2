"""All jets against eleven observables: python run.py RUN --out OUT [--events N], RUN a finished studies/thj_pythia.

Trains the networks of architectures.toml on the simulated events of RUN, integrates N events of its samples, and writes what
they keep of the information, against the ceiling that a regression on the same objects reaches, to results.json. What is
finished in OUT is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console

from bmem.calibration.ceiling import ceiling
from bmem.calibration.yardstick import yardstick
from bmem.chain import Chain
from bmem.config import TRAINING, load
from bmem.events import parquet
from bmem.events.record import PairedEvents
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, counted_cross_section
from bmem.likelihood.learning import Learner
from bmem.likelihood.networks import Networks, TrainedNetworks
from bmem.likelihood.ratio import Ratio, ratio_coefficients
from bmem.likelihood.roles import Role
from bmem.networks.regressors.transformer import TransformerSettings
from bmem.replicas import Replicas
from bmem.replicas.settings import PosteriorSettings
from bmem.training import TrainingSettings

HERE = Path(__file__).parent
FILES = {"objects": HERE / "architectures.toml", "observables": HERE.parent / "thj_pythia" / "thj_pythia.toml"}
BEST = "objects"
"""Its numbers have no prefix."""
ANGLES, TOLD = (45, 90, 0, 180), (45, 90)
"""Of them 180° is simulated here, the others are samples of RUN; and where the information is compared."""
HARD_EVENTS, TIMED = 2500, 64
REGRESSION = TrainingSettings(epochs=6, batch_size=512, learning_rate=3e-3)


@dataclass(frozen=True)
class Study:
    """One way to observe the events of a finished ``run``, its networks and integrals kept in ``out``."""

    chain: Chain
    run: Path
    out: Path
    events: int
    of_the_run: bool

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
        path = self._place("networks", f"{role.name}.safetensors")
        if not path.is_file():
            point = PosteriorSettings(method="point")
            learner = Learner(point, self.chain.seed, self.out / "unfinished", self.chain.observer)
            found = learner.learn(role, self.chain.pairs(self.training), made)
            path.parent.mkdir(parents=True, exist_ok=True)
            found.replicas.save(path)
            history = found.histories[role.name]
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

    def coefficients(self, angle: int) -> Coefficients:
        """The integrals of the first events of a sample."""
        path = self._place("likelihood", f"alpha{angle}.nc")
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            found = self.chain.integrate(self.sample(angle), self.networks, name=f"alpha{angle}", events=self.events)
            found.save(path)
        return Coefficients.load(path).select(slice(self.events))

    def ratios(self, angle: int) -> Coefficients:
        """The regression's, of all events of a sample."""
        x_reco = self.chain.channel.observe(self.sample(angle).reco)
        return ratio_coefficients(self.network(self.regression, {}), x_reco)

    def hard(self, angle: int) -> Coefficients:
        """With x_hard known."""
        process, x = self.chain.channel.process, self.sample(angle).accepted_hard.x
        sigma = counted_cross_section(process, self.training, 1, 1).values[0]
        return yardstick(process, x, x.new_ones(len(x)), sigma)

    def _place(self, *names: str) -> Path:
        """A file of the run, if it is what this study would make too, and there; otherwise of the own folder."""
        finished = self.run.joinpath(*names)
        return finished if self.of_the_run and finished.is_file() else self.out.joinpath(*names)

    def seconds(self, sample: PairedEvents) -> float:
        """Processor time of an event's integral."""
        work = lambda: self.chain.integrate(sample, self.networks, name="timed", events=TIMED)  # noqa: E731
        work()
        start = time.process_time()
        work()
        return (time.process_time() - start) / TIMED


def learned(study: Study, angle: int) -> dict[str, float]:
    """What a regression on the same observations keeps, of all events of the sample."""
    ratios, hard, basis = study.ratios(angle), study.hard(angle), MorphingBasis.of(study.chain.channel.process)
    value, error = ceiling(ratios, ratios, hard, basis, np.radians(angle)).learned
    return {f"ceiling_{angle}": value, f"ceiling_error_{angle}": error}


def integrals(study: Study, angle: int) -> dict[str, float]:
    """How well the points are spent, and at 45 and 90° what is kept: of the ceiling too, for the same events."""
    found = study.coefficients(angle)
    fraction, k = found.diagnostics["effective_fraction"], found.diagnostics["pareto_k"]
    numbers = {
        f"events_{angle}": float(found.n_events),
        f"ess_median_{angle}": float(np.median(fraction)),
        f"ess_5_{angle}": float(np.quantile(fraction, 0.05)),
        f"pareto_k_above_{angle}": float((k > 0.7).mean()),
        f"error_{angle}": float(np.median(found.diagnostics["relative_error"])),
    }
    if angle in TOLD:
        first, basis = slice(found.n_events), MorphingBasis.of(study.chain.channel.process)
        ratios, hard = study.ratios(angle).select(first), study.hard(angle).select(first)
        told = ceiling(found, ratios, hard, basis, np.radians(angle))
        for name, (value, error) in (("kept", told.kept), ("share", told.share)):
            numbers |= {f"{name}_{angle}": value, f"{name}_error_{angle}": error}
    return numbers


def trainings(study: Study) -> dict[str, float]:
    """Held-out losses and seconds of the trainings."""
    numbers: dict[str, float] = {}
    for path in sorted((study.out / "networks").glob("*.history")):
        name, (loss, seconds) = path.name.partition(".")[0], json.loads(path.read_text())
        numbers |= {f"held_out_{name}": loss, f"training_seconds_{name}": seconds}
    return numbers


def main() -> None:
    """Both ways to observe, on the same events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/architectures"))
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--integrate", nargs="*", default=list(FILES), choices=list(FILES))
    arguments = parser.parse_args()
    say = Console(soft_wrap=True).print

    def observer(what: str, done: int, total: int) -> None:
        say(f"{time.strftime('%H:%M:%S')} {what}: {done} of {total}")

    results: dict[str, float] = {}

    def add(name: str, numbers: dict[str, float]) -> None:
        of = "" if name == BEST else f"{name}_"
        results.update({f"{of}{key}": float(f"{value:.4g}") for key, value in numbers.items()})
        (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        say(name, numbers)

    studies = {
        name: Study(
            Chain.of(load(file), observer=observer),
            arguments.run,
            arguments.out / name,
            arguments.events,
            name == "observables",
        )
        for name, file in FILES.items()
    }
    for name, study in studies.items():
        for angle in TOLD:
            add(name, learned(study, angle))
        for angle in ANGLES if name in arguments.integrate else ():
            add(name, integrals(study, angle))
        if name in arguments.integrate:
            add(name, {"seconds_per_event": study.seconds(study.sample(45))})
        add(name, trainings(study))


if __name__ == "__main__":
    main()
