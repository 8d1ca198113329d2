"""Training of a network in its role: the point estimate, the posterior over its weights, the replicas drawn from it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bmem.errors import TrustWarning
from bmem.likelihood.roles import Role
from bmem.replicas import Ensemble, PointEstimate, Replicas, WeightPosterior
from bmem.replicas.resamples import resample_counts
from bmem.replicas.settings import PosteriorSettings
from bmem.rng import derive_seed, generator
from bmem.training.settings import History, TrainingSettings
from bmem.workers import Workers

Observer = Callable[[str, int, int], None]
"""Told how far a long work is: (what is done, how much of it is done, how much there is)."""


def unobserved(what: str, done: int, total: int) -> None:
    """The ``Observer`` that nobody hears."""


@dataclass(frozen=True)
class Learned:
    """The ``replicas`` of a network, the ``histories`` of its trainings by their names, and what makes it doubtful."""

    replicas: Replicas
    histories: Mapping[str, History]
    suspicions: tuple[str, ...]


@dataclass(frozen=True)
class Learner:
    """Trains networks.

    Where the posterior resamples, replica r of every network that learns from simulated pairs takes resample r of the hard
    events, that of ``resample_counts`` with this ``seed``.

    Attributes:
        posterior: that over the weights of the roles that have one.
        seed: from which that of every training is derived.
        checkpoints: folder for unfinished trainings, each role in one of its own; None: none are kept.
        observer: called at the beginning of a training and after every epoch, with "train NAME".
        device: on which is trained, and where the networks and ``data`` are.
        workers: share the members of an ensemble; without any they are trained in this process.
    """

    posterior: PosteriorSettings
    seed: int
    checkpoints: Path | None = None
    observer: Observer = unobserved
    device: str | torch.device = "cpu"
    workers: Workers | None = None

    def learn(self, role: Role, data: Any, made: Mapping[str, Replicas]) -> Learned:
        """Train the network of a ``role``; arguments as in ``Role.prepare``.

        Raises:
            TrainingError: the training diverges, or the checkpoint is of another one.
        """
        module = role.build().to(self.device)
        trainee = _Trainee(role, module, role.prepare(module, data, made))
        histories: dict[str, History] = {}
        suspicions: list[str] = []
        fits = _fits(role, self.posterior, self.workers, self._counts(role, data))
        for name, (posterior, settings) in fits.items():
            histories[name], doubts = self._fit(trainee, posterior, settings, name)
            suspicions += doubts
        posterior = list(fits.values())[-1][0]
        count = self.posterior.drawn if role.has_posterior else 1
        replicas = posterior.sample(count, generator(self.seed, "replicas", role.name))
        return Learned(replicas, histories, tuple(suspicions))

    def _counts(self, role: Role, data: Any) -> Tensor | None:
        """How often each replica takes each row of a ``role`` [R, N], where the rows are of simulated events."""
        numbers = role.numbers(data) if self.posterior.resamples else None
        if numbers is None:
            return None
        return resample_counts(data.hard_events, self.posterior.replicas, self.seed)[:, numbers.cpu()]

    def _fit(
        self, trainee: _Trainee, posterior: WeightPosterior, settings: TrainingSettings, name: str
    ) -> tuple[History, list[str]]:
        """The history of one training, and the warnings of what makes its result doubtful."""
        folder, title = self.checkpoints, f"train {name}"
        self.observer(title, 0, posterior.members if isinstance(posterior, Ensemble) else settings.epochs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TrustWarning)
            history = posterior.fit(
                trainee.module,
                trainee.role.objective,
                trainee.rows,
                settings,
                derive_seed(self.seed, "train", name),
                checkpoint=None if folder is None else folder / trainee.role.name / f"{name}.safetensors",
                progress=partial(self.observer, title),
            )
        return history, [str(w.message) for w in caught if issubclass(w.category, TrustWarning)]


@dataclass(frozen=True)
class _Trainee:
    """A network in its role, and what it is trained on."""

    role: Role
    module: Any
    rows: Any


def posterior_of(name: str) -> str:
    """What the posterior over the weights of a network is called."""
    return f"{name}.posterior"


def trainings_of(role: Role, posterior: PosteriorSettings) -> list[str]:
    """The names of a role's trainings, in their order."""
    return list(_fits(role, posterior))


def epochs_of(role: Role, posterior: PosteriorSettings) -> dict[str, int]:
    """At most so many passes over its rows does each of a role's trainings take, all its networks together."""
    found = {name: settings.epochs for name, (_, settings) in _fits(role, posterior).items()}
    return {name: epochs * (1 if name == role.name else posterior.members) for name, epochs in found.items()}


def _fits(
    role: Role, posterior: PosteriorSettings, workers: Workers | None = None, counts: Tensor | None = None
) -> dict[str, tuple[WeightPosterior, TrainingSettings]]:
    """The point estimate, unless the posterior starts from nothing, and the posterior."""
    bayesian = role.has_posterior and not posterior.is_point
    found: dict[str, tuple[WeightPosterior, TrainingSettings]] = {}
    if posterior.warm or not bayesian:
        found[role.name] = PointEstimate(), role.training
    if bayesian:
        found[posterior_of(role.name)] = posterior.make(workers, counts), posterior.training(role.training)
    return found
