"""Stage 2: transfer, acceptance and proposal from the training pairs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bmem.artifacts import write_json
from bmem.config import TRAINING
from bmem.errors import ArtifactError, TrustWarning
from bmem.events import parquet
from bmem.likelihood.acceptance import AcceptanceNetwork
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.proposal import LearnedPairs
from bmem.networks.classifier import MLPClassifier
from bmem.networks.contract import cross_entropy, negative_log_likelihood
from bmem.networks.layers import initialise
from bmem.replicas import PointEstimate, Replicas, WeightPosterior
from bmem.replicas.storage import KIND
from bmem.rng import generator
from bmem.stages.run import Run, plain
from bmem.training import Rows, Supply, together
from bmem.training.settings import History, TrainingSettings

NAMES = ("transfer", "acceptance", "proposal")
BAYESIAN = ("transfer", "acceptance")
"""Networks with a posterior over their weights; of the proposal no result depends."""


@dataclass(frozen=True)
class Pairs:
    """x_hard [N, 7] of all simulated events, which were ``accepted`` [N], and the observables [A, 11] of those."""

    x_hard: Tensor
    accepted: Tensor
    x_reco: Tensor

    @classmethod
    def load(cls, run: Run, name: str) -> Pairs:
        """The simulated pairs of a run: ``training`` or ``validation``."""
        pairs = parquet.read_pairs(run.events(name))
        return cls(pairs.hard.x, pairs.accepted, run.channel.observe(pairs.reco))

    @property
    def accepted_pairs(self) -> tuple[Tensor, Tensor]:
        """(x_reco, x_hard) of the accepted events."""
        return self.x_reco, self.x_hard[self.accepted]


@dataclass(frozen=True)
class Networks:
    """What integration needs: replicas of transfer and acceptance, and one proposal."""

    transfer: Replicas
    acceptance: Replicas
    proposal: ResidualDensity

    @classmethod
    def load(cls, run: Run) -> Networks:
        """The trained networks of a run.

        Raises:
            ArtifactError: one is missing, damaged or of another architecture.
        """
        transfer, acceptance, proposal = (Replicas.load(run.network(name), build(run, name)) for name in NAMES)
        module = build(run, "proposal")
        module.load_state_dict({name: value[0] for name, value in proposal.weights.items()})
        return cls(transfer, acceptance, module.eval())


def build(run: Run, name: str) -> Any:
    """A network without its weights."""
    config = run.config
    channel = run.channel
    if name == "transfer":
        return ResidualDensity(channel.transfer, config.transfer.network)
    if name == "proposal":
        return ResidualDensity(channel.proposal, config.proposal.network, config.proposal.defensive)
    section = config.acceptance
    return AcceptanceNetwork(channel.transfer, MLPClassifier(channel.transfer.n_features, section.hidden, section.layers))


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
    return [training for name in NAMES for training in trainings_of(run, name)]


def trainings_of(run: Run, name: str) -> list[str]:
    """Those of one network: its point estimate, unless the posterior starts from nothing, and its posterior."""
    bayesian = _is_bayesian(run, name)
    return [name] * (run.config.posterior.warm or not bayesian) + [posterior_of(name)] * bayesian


def _is_bayesian(run: Run, name: str) -> bool:
    return name != "proposal" and run.config.posterior.method != "point"


def train_all(run: Run) -> None:
    """Train the networks that are not there yet."""
    data: Pairs | None = None
    for name in NAMES:
        settings = {name: plain(getattr(run.config, name)), "seed": run.config.seed}
        if name in BAYESIAN:
            settings["posterior"] = plain(run.config.posterior)
        if run.done(run.network(name), KIND, settings, _parents(run, name)):
            continue
        data = data or Pairs.load(run, TRAINING)
        _train(run, name, data, settings)


def _parents(run: Run, name: str) -> dict[str, Path]:
    """What a network follows from: the simulated pairs, and the proposal from the transfer."""
    return {"training": run.events(TRAINING)} | ({"transfer": run.network("transfer")} if name == "proposal" else {})


@dataclass(frozen=True)
class Trainee:
    """A network, how it is trained, and what on: ``Rows``, or a ``Supply`` if it has no posterior."""

    name: str
    module: Any
    training: TrainingSettings
    rows: Any


def _train(run: Run, name: str, data: Pairs, settings: dict[str, Any]) -> None:
    module = build(run, name)
    trainee = Trainee(name, module, getattr(run.config, name).training, _prepare(run, module, name, data))
    learn(run, trainee, settings, _parents(run, name))


def learn(run: Run, trainee: Trainee, settings: Mapping[str, Any], parents: Mapping[str, Path]) -> None:
    """Train a network, and its posterior if it has one; draw its replicas and keep them."""
    section, bayesian = run.config.posterior, _is_bayesian(run, trainee.name)
    posterior: WeightPosterior = PointEstimate()
    suspicions: list[str] = []
    if section.warm or not bayesian:
        _fit(run, trainee, posterior, trainee.name)
    if bayesian:
        posterior = section.make(initialise)
        posterior_trainee = replace(trainee, training=section.training(trainee.training))
        suspicions = _fit(run, posterior_trainee, posterior, posterior_of(trainee.name))
    rng = generator(run.config.seed, "replicas", trainee.name)
    replicas = posterior.sample(section.drawn if bayesian else 1, rng)
    if together.leads():
        replicas.save(run.network(trainee.name), {**settings, "suspicions": suspicions}, parents)
        run.forget("train", trainee.name)
    together.wait_for_all()


def _fit(run: Run, trainee: Trainee, posterior: WeightPosterior, title: str) -> list[str]:
    """Fit with a progress bar, checkpoints and a history; return what makes the result doubtful, which is also said."""
    training = trainee.training
    with run.progress(f"train {title}") as progress, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrustWarning)
        history = posterior.fit(
            trainee.module,
            cross_entropy if trainee.name == "acceptance" else negative_log_likelihood,
            trainee.rows,
            training,
            run.seed("train", title),
            checkpoint=run.cache("train", trainee.name, f"{title}.safetensors"),
            progress=lambda h: progress(len(h.train_loss), training.epochs),
        )
    if title == trainee.name:
        epochs = len(history.train_loss)
        run.say(f"  {title}: best held-out loss {history.best_loss:.4f} in epoch {history.best_epoch + 1} of {epochs}")
    write_json(run.history(title), asdict(history))
    suspicions = [str(warning.message) for warning in caught if issubclass(warning.category, TrustWarning)]
    for suspicion in suspicions:
        run.say(f"  [yellow]{title}: {suspicion}[/]")
    return suspicions


def _prepare(run: Run, module: Any, name: str, data: Pairs) -> Rows | Supply:
    """Fit the scales of the inputs; return what to train on."""
    x_reco, x_hard = data.accepted_pairs
    if name == "acceptance":
        module.classifier.features.fit(module.residuals.features(data.x_hard))
        return data.x_hard, data.accepted.double()
    rows = (x_reco, x_hard) if name == "transfer" else (x_hard, x_reco)
    module.fit_scales(*rows)
    if name == "transfer":
        return rows
    transfer = Replicas.load(run.network("transfer"), build(run, "transfer"))
    return Supply(LearnedPairs.balanced(run.process, transfer, x_hard).draw, run.config.proposal.pairs)
