"""Deep ensemble: networks that differ in their first weights and in the data they saw (arXiv:1612.01474).

Without first weights of their own the members start from a trained network and only take up the fluctuation of their own
resample of the training rows, which costs a few epochs each.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.replicas.resamples import resample_counts
from bmem.rng import derive_seed, generator
from bmem.training.loop import BatchLoss, Progress, train
from bmem.training.network import reset
from bmem.training.settings import History, TrainingSettings
from bmem.workers import Workers, map_chunks


class _Member(NamedTuple):
    """The number of a network, and its checkpoint."""

    number: int
    checkpoint: Path | None

    def __str__(self) -> str:
        return f"member {self.number}"


@dataclass(frozen=True)
class _Training:
    """Trains one member after the other: its network and history."""

    module: nn.Module
    objective: BatchLoss
    data: tuple[Tensor, ...]
    settings: TrainingSettings
    seed: int
    anew: bool
    counts: Tensor | None

    def __call__(self, member: _Member) -> tuple[nn.Module, History]:
        network, number = copy.deepcopy(self.module), member.number
        if self.anew:
            reset(network, generator(self.seed, "ensemble", number))
        history = train(
            network,
            self.objective,
            self.data,
            self.settings,
            derive_seed(self.seed, "ensemble", number),
            checkpoint=member.checkpoint,
            counts=None if self.counts is None else self.counts[number],
            early_stopping=self.anew,
        )
        return network, history


@dataclass
class Ensemble:
    """Networks trained independently; to use where trainings are cheap and posteriors with one mode are doubted.

    Without ``bootstrap`` the members share the fluctuation of the training sample, which is then missing from their spread.

    Attributes:
        members: number of networks.
        anew: each member starts from first weights of its own (``Network.reset``); otherwise all start from the weights the
            module has, those of a point estimate, and run all their epochs, because early stopping would take them back to
            where they came from.
        bootstrap: each member sees its own resample of its training rows; the rows held out of it are not resampled.
        workers: share the members; without any they are trained in this process.
        counts: how often each member takes each row [members, N], where the resamples are those of others too; by default
            every row is an event of its own.
        modules: the trained members.
        histories: of their trainings.
    """

    members: int
    anew: bool = True
    bootstrap: bool = True
    workers: Workers | None = None
    counts: Tensor | None = None
    modules: list[nn.Module] = field(default_factory=list, init=False)
    histories: list[History] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.members < 2:
            raise InputError(f"an ensemble needs at least 2 members, not {self.members}; for one use PointEstimate")
        if not (self.anew or self.bootstrap):
            raise InputError("members that start from one network on the same rows are equal: set anew or bootstrap")

    def fit(
        self,
        module: nn.Module,
        objective: BatchLoss,
        data: tuple[Tensor, ...],
        settings: TrainingSettings,
        seed: int,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Train copies of ``module``, which stays as it is; return the history of the member with the highest held-out loss.

        Each member has a checkpoint, ``checkpoint`` with its number in the name (``member_paths``), so that an interrupted
        ensemble goes on where it stopped; ``progress`` is called after every member.
        """
        paths = self.member_paths(checkpoint) if checkpoint else [None] * self.members
        counts = self._counts(len(data[0]), seed) if self.bootstrap else None
        training = _Training(module, objective, data, settings, seed, self.anew, counts)
        trained: dict[int, tuple[nn.Module, History]] = {}
        for member, found in map_chunks(training, [_Member(*named) for named in enumerate(paths)], self.workers):
            trained[member] = found
            if progress:
                progress(len(trained), self.members)
        self.modules = [trained[member][0] for member in range(self.members)]
        self.histories = [trained[member][1] for member in range(self.members)]
        return max(self.histories, key=lambda history: history.best_loss)

    def _counts(self, rows: int, seed: int) -> Tensor:
        return resample_counts(rows, self.members, seed) if self.counts is None else self.counts

    def member_paths(self, checkpoint: Path) -> list[Path]:
        """The checkpoints of the members: ``name.3.safetensors`` for member 3 of ``name.safetensors``."""
        return [checkpoint.with_name(f"{checkpoint.stem}.{member}{checkpoint.suffix}") for member in range(self.members)]

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """All members, or ``n`` of them drawn without replacement.

        Raises:
            InputError: not fitted yet, or more networks asked for than there are.
        """
        if not self.modules:
            raise InputError("an ensemble must be fitted before it is sampled")
        if not 1 <= n <= self.members:
            raise InputError(f"an ensemble of {self.members} networks cannot give {n}; train more members")
        order = torch.randperm(self.members, generator=rng, device=rng.device)
        chosen = range(n) if n == self.members else order[:n].tolist()
        return Replicas.of(*(self.modules[member] for member in chosen))
