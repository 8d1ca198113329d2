"""Stage 2: transfer, acceptance and proposal from the training pairs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from bmem.artifacts import write_json
from bmem.config import TRAINING, VALIDATION
from bmem.errors import ArtifactError, TrustWarning
from bmem.events import parquet
from bmem.events.reconstruction import Reconstruction
from bmem.likelihood.acceptance import AcceptanceNetwork
from bmem.likelihood.coordinates import ThjHard, ThjReco
from bmem.likelihood.density import ResidualDensity
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.refinement import effective_fractions, learned_pairs, negative_log_likelihood, refine
from bmem.networks.classifier import MLPClassifier
from bmem.networks.layers import initialise
from bmem.replicas import PointEstimate, Replicas, WeightPosterior
from bmem.replicas.storage import KIND
from bmem.rng import generator
from bmem.stages.run import Run, plain
from bmem.training import together
from bmem.training.settings import History, TrainingSettings

NAMES = ("transfer", "acceptance", "proposal")
BAYESIAN = ("transfer", "acceptance")
"""Networks with a posterior over their weights; of the proposal no result depends."""
REFINEMENT = "proposal.refinement"
"""What the second training of the proposal is called."""
_JUDGES = 128
"""Validation events whose effective samples tell whether a refined proposal is the better one."""


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
        return cls(pairs.hard.x, pairs.accepted, Reconstruction()(pairs.reco))

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
    reco = ThjReco(jet_pt_min=config.selection.jet_pt)
    if name == "transfer":
        return ResidualDensity(reco, config.transfer.network)
    if name == "proposal":
        return ResidualDensity(ThjHard(), config.proposal.network, config.proposal.defensive)
    section = config.acceptance
    return AcceptanceNetwork(reco, MLPClassifier(reco.n_features, section.hidden, section.layers))


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
    found = [training for name in NAMES for training in trainings_of(run, name)]
    return found + [REFINEMENT] * _is_refined(run)


def trainings_of(run: Run, name: str) -> list[str]:
    """Those of one network: its point estimate, unless the posterior starts from nothing, and its posterior."""
    bayesian = _is_bayesian(run, name)
    return [name] * (run.config.posterior.warm or not bayesian) + [posterior_of(name)] * bayesian


def _is_refined(run: Run) -> bool:
    return run.config.proposal.refinement_pairs > 0


def _is_bayesian(run: Run, name: str) -> bool:
    return name != "proposal" and run.config.posterior.method != "point"


def train_all(run: Run) -> None:
    """Train the networks that are not there yet."""
    data: Pairs | None = None
    for name in NAMES:
        settings = {name: plain(getattr(run.config, name)), "seed": run.config.seed}
        if name in BAYESIAN:
            settings["posterior"] = plain(run.config.posterior)
        # a proposal that was refined for another transfer is as right as any
        if run.done(run.network(name), KIND, settings, {"training": run.events(TRAINING)}):
            continue
        data = data or Pairs.load(run, TRAINING)
        _train(run, name, data, settings)


def _parents(run: Run, name: str) -> dict[str, Path]:
    """What a network follows from; a refined proposal from the other networks too."""
    others = ("transfer", "acceptance") if name == "proposal" and _is_refined(run) else ()
    return {"training": run.events(TRAINING)} | {other: run.network(other) for other in others}


@dataclass(frozen=True)
class Trainee:
    """A network, how it is trained, and the ``rows`` to train it on."""

    name: str
    module: Any
    training: TrainingSettings
    rows: tuple[Tensor, ...]


def _train(run: Run, name: str, data: Pairs, settings: dict[str, Any]) -> None:
    module = build(run, name)
    trainee = Trainee(name, module, getattr(run.config, name).training, _prepare(module, name, data))
    refined = name == "proposal" and _is_refined(run)
    learn(run, trainee, settings, _parents(run, name), (lambda: _refine(run, module, data)) if refined else None)


def learn(
    run: Run,
    trainee: Trainee,
    settings: Mapping[str, Any],
    parents: Mapping[str, Path],
    refine: Callable[[], None] | None = None,
) -> None:
    """Train a network, and its posterior if it has one; draw its replicas and keep them.

    ``refine`` is called after the point estimate.
    """
    section, bayesian = run.config.posterior, _is_bayesian(run, trainee.name)
    posterior: WeightPosterior = PointEstimate()
    suspicions: list[str] = []
    if section.warm or not bayesian:
        _fit(run, trainee, posterior, trainee.name)
    if refine is not None:
        refine()
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
            _classify if trainee.name == "acceptance" else negative_log_likelihood,
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


def _refine(run: Run, proposal: ResidualDensity, data: Pairs) -> None:
    """Train the proposal on pairs of the learned transfer, if that gives held-out events a larger effective sample."""
    section = run.config.proposal
    transfer, acceptance = (Replicas.load(run.network(name), build(run, name)) for name in ("transfer", "acceptance"))
    _, x_hard = data.accepted_pairs
    rng = generator(run.config.seed, "refinement", "pairs")
    x_hard, x_reco = learned_pairs(transfer, x_hard, section.refinement_pairs, rng)
    held_out = Integrand(run.process, transfer, acceptance, proposal, Pairs.load(run, VALIDATION).x_reco[:_JUDGES])
    with run.progress(f"train {REFINEMENT}") as progress:
        result = refine(
            proposal,
            (x_hard, x_reco),
            section.refinement,
            lambda: effective_fractions(held_out, run.seed("refinement", "judge")),
            run.seed("train", REFINEMENT),
            checkpoint=run.cache("train", "proposal", f"{REFINEMENT}.safetensors"),
            progress=lambda h: progress(len(h.train_loss), section.refinement.epochs),
        )
    write_json(run.history(REFINEMENT), asdict(result.history))
    before, after = (100 * np.median(fractions) for fractions in (result.before, result.after))
    verdict = "" if result.kept else ", not kept"
    run.say(f"  {REFINEMENT}: effective sample {before:.0f} % -> {after:.0f} % of the points (median){verdict}")


def _prepare(module: Any, name: str, data: Pairs) -> tuple[Tensor, ...]:
    """Fit the scales of the inputs; return the tensors to train on."""
    x_reco, x_hard = data.accepted_pairs
    if name == "acceptance":
        module.classifier.features.fit(module.residuals.features(data.x_hard))
        return data.x_hard, data.accepted.double()
    rows = (x_reco, x_hard) if name == "transfer" else (x_hard, x_reco)
    module.fit_scales(*rows)
    return rows


def _classify(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, accepted = batch
    return nn.functional.binary_cross_entropy_with_logits(module.logit(x), accepted)  # type: ignore[operator]
