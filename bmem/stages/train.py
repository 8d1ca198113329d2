"""Stage 2: transfer, acceptance and proposal from the training pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bmem.artifacts import Product, Work, write_json
from bmem.chain import Chain, sections_of
from bmem.config import TRAINING
from bmem.errors import ArtifactError
from bmem.events import parquet
from bmem.likelihood import learning
from bmem.likelihood.learning import Learned, Observer, unobserved
from bmem.likelihood.networks import Networks
from bmem.likelihood.roles import Pairs, Role
from bmem.replicas import Replicas
from bmem.replicas.storage import KIND
from bmem.stages.run import Run, plain
from bmem.training import processes
from bmem.training.settings import History

NAMES = ("transfer", "acceptance", "proposal")
RATIO = "ratio"
"""The regression beside these, if there is one: no integral needs it."""


def chain_of(run: Run, observer: Observer = unobserved) -> Chain:
    """The chain that does the work of a run; backgrounds are added by the stages."""
    sections = sections_of(run.config) | {"nuisances": run.config.nuisance}
    return Chain(run.channel, device=run.device, seed=run.config.seed, observer=observer, **sections)


def load_pairs(run: Run, name: str) -> Pairs:
    """The simulated pairs of a run, ``training`` or ``validation``, on the CPU."""
    return chain_of(run).pairs(parquet.read_pairs(run.events(name))).to("cpu")


def load_networks(run: Run) -> Networks:
    """The trained networks of a run.

    Raises:
        ArtifactError: one is missing, damaged or of another architecture.
    """
    return Networks.of({name: Replicas.load(run.network(name), build(run, name)) for name in NAMES})


def roles(run: Run) -> tuple[Role, ...]:
    """The networks of a run's measurement, in the order in which they are trained."""
    return chain_of(run).roles


def build(run: Run, name: str) -> Any:
    """A network without its weights."""
    return next(role for role in roles(run) if role.name == name).build()


def load_history(run: Run, name: str) -> History:
    """How the training of a network went; ``name`` may be that of a posterior (``posterior_of``).

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    path = run.history(name)
    try:
        return History(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: no readable history ({error}); delete {run.network(name)} and train again") from error


def trainings(run: Run) -> list[str]:
    """What was trained, in this order: the networks, and the posteriors over their weights."""
    return [training for role in roles(run) for training in trainings_of(run, role)]


def trainings_of(run: Run, role: Role) -> list[str]:
    """Those of one network: its point estimate, unless the posterior starts from nothing, and its posterior."""
    return learning.trainings_of(role, run.config.posterior)


def train_all(run: Run) -> None:
    """Train the networks that are not there yet."""
    for product in products(run):
        ensure(run, product)


def ensure(run: Run, product: Product[Replicas]) -> None:
    """Train a network that is not there yet, and go on when it is there for all processes that train it."""
    run.engine.ensure(product)
    processes.wait_for_all()


def row(training: str) -> str:
    """Unit of the work of a training: a row of its data in one epoch of one network."""
    return f"row of {training}"


def _cost(run: Run, role: Role) -> tuple[Work, ...]:
    rows = role.rows(run.config.simulation.events * run.config.simulation.repeats)
    return tuple(Work(row(name), rows * epochs) for name, epochs in learning.epochs_of(role, run.config.posterior).items())


def products(run: Run) -> list[Product[Replicas]]:
    """The networks, in the order in which they are trained."""
    pairs = cache(lambda: load_pairs(run, TRAINING))
    found = []
    for role in roles(run):
        settings = {role.name: plain(getattr(run.config, role.name)), "seed": run.config.seed, **_made_of(run, role)}
        parents = {"training": run.events(TRAINING)} | {name: run.network(name) for name in role.follows}
        found.append(replace(network_product(run, role, pairs, settings, parents), cost=_cost(run, role)))
    return found


def _made_of(run: Run, role: Role) -> dict[str, Any]:
    """What else decides a network: the version of its coordinates, if there is one, and the posterior with its resamples."""
    found = {"coordinates": role.coordinates.version} if hasattr(role.coordinates, "version") else {}
    if not role.has_posterior:
        return found
    posterior = plain(run.config.posterior)
    return found | {"posterior": posterior | {"resampled": "hard events"} if run.config.posterior.resamples else posterior}


def network_product(
    run: Run, role: Role, data: Callable[[], Any], settings: Mapping[str, Any], parents: Mapping[str, Path]
) -> Product[Replicas]:
    """The replicas of the network of a ``role``, trained on ``data()``."""

    def make() -> _Trained | None:
        made = {name: Replicas.load(run.network(name), build(run, name)).to(run.device) for name in role.follows}
        with _bars(run) as observer:
            learner = chain_of(run, observer).learner(run.cache("train"), run.workers)
            learned = learner.learn(role, data().to(run.device), made)
        _tell(run, role, learned)
        return _Trained(learned) if processes.leads() else None

    def read(path: Path) -> Replicas:
        return Replicas.load(path, role.build())

    path, pieces = run.network(role.name), run.cache("train", role.name)
    return Product(role.name, path, KIND, settings, parents, make, read, unfinished=pieces)


@dataclass(frozen=True)
class _Trained:
    """A network as it is kept: the replicas, and beside them the histories of its trainings."""

    learned: Learned

    def save(self, path: Path, settings: Mapping[str, Any], parents: Mapping[str, Path]) -> None:
        """Write the histories first: where the network is, they are too."""
        for name, history in self.learned.histories.items():
            write_json(path.with_name(f"{name}.history.json"), asdict(history))
        self.learned.replicas.save(path, {**settings, "suspicions": list(self.learned.suspicions)}, parents)


@contextmanager
def _bars(run: Run) -> Iterator[Observer]:
    """A progress bar for each of several works that follow one another."""
    with ExitStack() as shown:
        bars: dict[str, Callable[[int, int], None]] = {}

        def tell(title: str, done: int, total: int) -> None:
            if title not in bars:
                shown.close()  # a terminal has room for one that moves
                bars[title] = shown.enter_context(run.progress(title))
            bars[title](done, total)

        yield tell


def _tell(run: Run, role: Role, learned: Learned) -> None:
    """Say how well the network was learned, and what makes it doubtful."""
    history = learned.histories.get(role.name)
    if history is not None:
        best, epochs = history.best_epoch + 1, len(history.train_loss)
        run.say(f"  {role.name}: best held-out loss {history.best_loss:.4f} in epoch {best} of {epochs}")
    for suspicion in learned.suspicions:
        run.say(f"  [yellow]{role.name}: {suspicion}[/]")
