"""Stage 2: transfer, acceptance and proposal from the training pairs."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bmem.artifacts import write_json
from bmem.config import TRAINING
from bmem.errors import ArtifactError, TrustWarning
from bmem.events import parquet
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.roles import Acceptance, Pairs, Proposal, Role, Transfer
from bmem.replicas import PointEstimate, Replicas, WeightPosterior
from bmem.replicas.storage import KIND
from bmem.rng import generator
from bmem.stages.run import Run, plain
from bmem.training import together
from bmem.training.settings import History, TrainingSettings

NAMES = ("transfer", "acceptance", "proposal")


def load_pairs(run: Run, name: str) -> Pairs:
    """The simulated pairs of a run: ``training`` or ``validation``."""
    pairs = parquet.read_pairs(run.events(name))
    return Pairs(pairs.hard.x, pairs.accepted, run.channel.observe(pairs.reco))


@dataclass(frozen=True)
class Networks:
    """What integration needs: replicas of transfer and acceptance, and one proposal."""

    transfer: Replicas
    acceptance: Replicas
    proposal: ResidualDensity

    @classmethod
    def load(cls, run: Run) -> Networks:
        """The trained networks of a run, on the CPU.

        Raises:
            ArtifactError: one is missing, damaged or of another architecture.
        """
        transfer, acceptance, proposal = (Replicas.load(run.network(name), build(run, name)) for name in NAMES)
        module = build(run, "proposal")
        module.load_state_dict({name: value[0] for name, value in proposal.weights.items()})
        return cls(transfer, acceptance, module.eval())

    def to(self, device: torch.device) -> Networks:
        """The same on a device."""
        return Networks(self.transfer.to(device), self.acceptance.to(device), copy.deepcopy(self.proposal).to(device))


def roles(run: Run) -> tuple[Role, ...]:
    """The networks of a run's measurement, in the order in which they are trained."""
    channel, config = run.channel, run.config
    transfer, acceptance, proposal = config.transfer, config.acceptance, config.proposal
    learned = (proposal.network, proposal.defensive, proposal.pairs)
    return (
        Transfer("transfer", channel.transfer, transfer.training, transfer.network),
        Acceptance("acceptance", channel.transfer, acceptance.training, acceptance.network),
        Proposal("proposal", channel.proposal, proposal.training, *learned, channel.process),
    )


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


def posterior_of(name: str) -> str:
    """What the posterior over the weights of a network is called."""
    return f"{name}.posterior"


def trainings(run: Run) -> list[str]:
    """What was trained, in this order: the networks, and the posteriors over their weights."""
    return [training for role in roles(run) for training in trainings_of(run, role)]


def trainings_of(run: Run, role: Role) -> list[str]:
    """Those of one network: its point estimate, unless the posterior starts from nothing, and its posterior."""
    bayesian = _is_bayesian(run, role)
    return [role.name] * (run.config.posterior.warm or not bayesian) + [posterior_of(role.name)] * bayesian


def _is_bayesian(run: Run, role: Role) -> bool:
    return role.has_posterior and not run.config.posterior.is_point


def train_all(run: Run) -> None:
    """Train the networks that are not there yet."""
    data: Pairs | None = None
    for role in roles(run):
        settings = {role.name: plain(getattr(run.config, role.name)), "seed": run.config.seed}
        if role.has_posterior:
            settings["posterior"] = plain(run.config.posterior)
        parents = {"training": run.events(TRAINING)} | {name: run.network(name) for name in role.follows}
        if run.done(run.network(role.name), KIND, settings, parents):
            continue
        data = data or load_pairs(run, TRAINING)
        learn(run, role, data, settings, parents)


@dataclass(frozen=True)
class _Trainee:
    """A network in its role, and what it is trained on."""

    role: Role
    module: Any
    rows: Any


def learn(run: Run, role: Role, data: Any, settings: Mapping[str, Any], parents: Mapping[str, Path]) -> None:
    """Train a network on ``data``, and its posterior if it has one; draw its replicas and keep them."""
    section, bayesian, module = run.config.posterior, _is_bayesian(run, role), role.build().to(run.device)
    made = {name: Replicas.load(run.network(name), build(run, name).to(run.device)) for name in role.follows}
    trainee = _Trainee(role, module, role.prepare(module, data.to(run.device), made))
    posterior: WeightPosterior = PointEstimate()
    suspicions: list[str] = []
    if section.warm or not bayesian:
        _fit(run, trainee, posterior, role.training, role.name)
    if bayesian:
        posterior = section.make()
        suspicions = _fit(run, trainee, posterior, section.training(role.training), posterior_of(role.name))
    rng = generator(run.config.seed, "replicas", role.name)
    replicas = posterior.sample(section.drawn if bayesian else 1, rng)
    if together.leads():
        replicas.save(run.network(role.name), {**settings, "suspicions": suspicions}, parents)
        run.forget("train", role.name)
    together.wait_for_all()


def _fit(run: Run, trainee: _Trainee, posterior: WeightPosterior, training: TrainingSettings, title: str) -> list[str]:
    """Fit with a progress bar, checkpoints and a history; return what makes the result doubtful, which is also said."""
    with run.progress(f"train {title}") as progress, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrustWarning)
        history = posterior.fit(
            trainee.module,
            trainee.role.objective,
            trainee.rows,
            training,
            run.seed("train", title),
            checkpoint=run.cache("train", trainee.role.name, f"{title}.safetensors"),
            progress=lambda h: progress(len(h.train_loss), training.epochs),
        )
    if title == trainee.role.name:
        epochs = len(history.train_loss)
        run.say(f"  {title}: best held-out loss {history.best_loss:.4f} in epoch {history.best_epoch + 1} of {epochs}")
    write_json(run.history(title), asdict(history))
    suspicions = [str(warning.message) for warning in caught if issubclass(warning.category, TrustWarning)]
    for suspicion in suspicions:
        run.say(f"  [yellow]{title}: {suspicion}[/]")
    return suspicions
