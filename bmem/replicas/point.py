"""The posterior that knows no uncertainty: the weights of the lowest held-out loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.training.loop import BatchLoss, Progress, train
from bmem.training.rows import Rows, Supply
from bmem.training.settings import History, TrainingSettings


@dataclass
class PointEstimate:
    """One network; its replica axis has length 1."""

    module: nn.Module | None = None

    def fit(
        self,
        module: nn.Module,
        objective: BatchLoss,
        data: Rows | Supply,
        settings: TrainingSettings,
        seed: int,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Train ``module`` in place, as ``bmem.training.train`` does, and keep it."""
        history = train(module, objective, data, settings, seed, checkpoint=checkpoint, progress=progress)
        self.module = module
        return history

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """The one network there is.

        Raises:
            InputError: not fitted yet, or more than one network asked for.
        """
        if self.module is None:
            raise InputError("a point estimate must be fitted before it is sampled")
        if n != 1:
            raise InputError(f"a point estimate is one network, not {n}; choose a Bayesian posterior for more")
        return Replicas.of(self.module)
