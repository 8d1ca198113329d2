"""How a network is trained, and what came out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bmem.errors import InputError

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training.

    Attributes:
        epochs: largest number of passes over the training set.
        batch_size: points per step.
        learning_rate: largest learning rate, reached after ``warm_up`` of all steps; it then falls to 0 along a cosine.
        warm_up: part of all steps during which the learning rate rises linearly.
        validation_fraction: part of the data held out; the weights with the lowest loss there are kept.
        patience: epochs without a lower held-out loss after which the training stops.
        weight_decay: decoupled weight decay of AdamW.
        gradient_clip: largest norm of the gradient; a larger one is scaled down to it.
    """

    epochs: int = 50
    batch_size: int = 1024
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    validation_fraction: float = 0.1
    patience: int = 10
    weight_decay: float = 0.0
    gradient_clip: float = 10.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"TrainingSettings.{name} must be positive, not {getattr(self, name)}")
        if not 0 < self.validation_fraction < 1:
            raise InputError(f"TrainingSettings.validation_fraction must lie in (0, 1), not {self.validation_fraction}")
        if not 0 <= self.warm_up < 1:
            raise InputError(f"TrainingSettings.warm_up must lie in [0, 1), not {self.warm_up}")
        if not self.weight_decay >= 0:
            raise InputError(f"TrainingSettings.weight_decay must not be negative, not {self.weight_decay}")

    def training_rows(self, total: int) -> int:
        """How many of ``total`` rows are trained on; the others are held out."""
        return total - round(self.validation_fraction * total)

    def schedule(self, optimizer: Optimizer, steps: int, done: int = 0) -> LRScheduler:
        """The learning rates of ``steps`` steps, of which so many are ``done``.

        The end of the warm-up need be no whole number of steps, which torch's own cosine asks for.
        """
        from torch.optim.lr_scheduler import LambdaLR  # here: settings are read without torch

        for group in optimizer.param_groups:
            group["initial_lr"] = self.learning_rate
        return LambdaLR(optimizer, partial(self.share, steps=steps), last_epoch=done - 1)

    def share(self, step: int, steps: int) -> float:
        """Of the largest learning rate what the step number ``step`` of ``steps`` has."""
        risen = (step + 1) / max(1.0, self.warm_up * steps)
        past = (step - self.warm_up * steps) / (steps * (1 - self.warm_up))
        return risen if risen < 1 else 0.5 * (1 + math.cos(math.pi * max(0.0, past)))


@dataclass(frozen=True)
class History:
    """What happened in a training, one entry per epoch in every list; ``dataclasses.asdict`` makes it JSON-able.

    Attributes:
        train_loss: mean loss over the epoch's steps, with the weights as they were.
        validation_loss: loss on the held-out data after the epoch.
        learning_rate: at the end of the epoch.
        seconds: wall time of the epoch.
        best_epoch: index of the epoch whose weights were kept.
        stopped_early: whether the training ended by ``patience`` before its last epoch.
    """

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0
    stopped_early: bool = False

    @property
    def best_loss(self) -> float:
        """Held-out loss of the weights that were kept."""
        return self.validation_loss[self.best_epoch]
