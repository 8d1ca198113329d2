"""Stage 2: transfer, acceptance and proposal from the training pairs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from bmem.artifacts import write_json
from bmem.errors import ArtifactError
from bmem.events import parquet
from bmem.events.reconstruction import Reconstruction
from bmem.likelihood.acceptance import AcceptanceNetwork
from bmem.likelihood.coordinates import ThjHard, ThjReco
from bmem.likelihood.density import ResidualDensity
from bmem.networks.classifier import MLPClassifier
from bmem.replicas import PointEstimate, Replicas
from bmem.replicas.storage import KIND
from bmem.rng import generator
from bmem.stages.run import Run, plain
from bmem.training.settings import History, TrainingSettings

NAMES = ("transfer", "acceptance", "proposal")


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
    """How the training of a network went.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    path = run.history(name)
    try:
        return History(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: no readable history ({error}); delete {run.network(name)} and train again") from error


def train_all(run: Run) -> None:
    """Train the networks that are not there yet."""
    data: Pairs | None = None
    for name in NAMES:
        settings = {name: plain(getattr(run.config, name)), "seed": run.config.seed}
        parents = {"training": run.events("training")}
        if run.done(run.network(name), KIND, settings, parents):
            continue
        data = data or Pairs.load(run, "training")
        _train(run, name, data, settings)


def _train(run: Run, name: str, data: Pairs, settings: dict[str, Any]) -> None:
    module = build(run, name)
    training: TrainingSettings = getattr(run.config, name).training
    rows = _prepare(module, name, data)
    posterior = PointEstimate()
    checkpoint = run.cache("train", f"{name}.safetensors")
    with run.progress(f"train {name}") as progress:
        history = posterior.fit(
            module,
            _classify if name == "acceptance" else _maximise_likelihood,
            rows,
            training,
            run.seed("train", name),
            checkpoint=checkpoint,
            progress=lambda h: progress(len(h.train_loss), training.epochs),
        )
    epochs = len(history.train_loss)
    run.say(f"  {name}: best held-out loss {history.best_loss:.4f} in epoch {history.best_epoch + 1} of {epochs}")
    write_json(run.history(name), asdict(history))
    replicas = posterior.sample(1, generator(run.config.seed, "replicas", name))
    replicas.save(run.network(name), settings, {"training": run.events("training")})
    checkpoint.unlink(missing_ok=True)


def _prepare(module: Any, name: str, data: Pairs) -> tuple[Tensor, ...]:
    """Fit the scales of the inputs; return the tensors to train on."""
    x_reco, x_hard = data.accepted_pairs
    if name == "acceptance":
        module.classifier.features.fit(module.residuals.features(data.x_hard))
        return data.x_hard, data.accepted.double()
    rows = (x_reco, x_hard) if name == "transfer" else (x_hard, x_reco)
    module.fit_scales(*rows)
    return rows


def _maximise_likelihood(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    target, reference = batch
    return -module.log_prob(target, reference).mean()  # type: ignore[operator]


def _classify(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, accepted = batch
    return nn.functional.binary_cross_entropy_with_logits(module.logit(x), accepted)  # type: ignore[operator]
