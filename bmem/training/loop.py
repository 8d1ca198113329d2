"""One training loop for every network: an objective goes in, a history comes out.

The data are tensors in memory, the same for every epoch or drawn anew. The random numbers of an epoch come from the seed
and the number of the epoch alone, so that a training that was interrupted and resumed gives the same weights, to the bit, as
one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from bmem.errors import TrainingError
from bmem.rng import generator, permutation
from bmem.training import checkpoint as checkpoints
from bmem.training import processes
from bmem.training.rows import Rows, Supply, source
from bmem.training.settings import History, TrainingSettings
from bmem.workers import one_thread

BatchLoss = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]
"""Mean loss over a batch: objective(module, batch) → scalar; ``batch`` holds the same rows of every data tensor."""

Progress = Callable[[int, int], None]
"""Called after every epoch, after its checkpoint is written, with (epochs done, epochs)."""

_THREAD_WORK = 5e8
"""Products of a weight with a number of a batch, below which a second thread costs more than it gains."""


def train(
    module: nn.Module,
    objective: BatchLoss,
    data: Rows | Supply,
    settings: TrainingSettings,
    seed: int,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    counts: Tensor | None = None,
    early_stopping: bool = True,
) -> History:
    """Train ``module`` in place with AdamW; it ends in evaluation mode.

    Processes that train together (``bmem.training.processes``) share every batch, and the first of them writes.

    An objective that is random takes its numbers from a generator whose state follows from buffers of the module (the number
    of the step), which are part of the checkpoint.

    Args:
        module: the network; parameters that do not require gradients stay as they are.
        objective: mean loss over a batch.
        data: tensors with the same number of rows, on the device of the module; or a ``Supply`` of fresh rows.
        settings: of the training.
        seed: of the split into training and held-out data and of the order of the batches.
        checkpoint: file to go on from if it is there, rewritten after every epoch; a finished one gives its result at once.
        progress: called after every epoch.
        counts: how often each row is taken [N], if not once (a resample); of the held-out rows each is taken once.
        early_stopping: keep the weights of the lowest held-out loss and mind ``patience``; otherwise all epochs are run and
            the last weights kept, as an objective with a prior of its own wants it.

    Raises:
        TrainingError: no or unequal data, a loss that is not finite, or a checkpoint of another training.
    """
    rows = source(data, settings, seed, counts)
    state = _State(module, settings, math.ceil(len(rows) / settings.batch_size), early_stopping)
    variant = {"bootstrap": counts is not None, "early_stopping": early_stopping, "rows": len(rows)}
    known = rows.held_out if isinstance(data, Supply) else data if counts is None else (*data, counts)
    identity = checkpoints.identity(module, settings, known, seed) | variant if checkpoint else {}
    if checkpoint and checkpoint.is_file():
        state.restore(*checkpoints.load(checkpoint, identity))
    step = processes.step(module, objective)
    with _threads(state.trained, settings.batch_size):
        while not state.finished:
            epoch, start = state.epoch, time.perf_counter()
            training = rows.epoch(epoch)
            order = permutation(len(rows), generator(seed, "training", "epoch", epoch), training[0])
            train_loss = state.train(step, training, order)
            held_out_loss = processes.of_the_leader(evaluate(module, objective, rows.held_out, settings.batch_size))
            state.record(train_loss, held_out_loss, time.perf_counter() - start)
            if checkpoint and processes.leads():
                checkpoints.save(checkpoint, identity, state.tensors(), state.history)
            if progress:
                progress(state.epoch, settings.epochs)
    module.load_state_dict(state.best)
    module.eval()
    return state.history


def _threads(weights: list[nn.Parameter], batch_size: int) -> AbstractContextManager[None]:
    """One thread where the steps are so small that others mostly wait: they would take twice the processor time."""
    return one_thread() if sum(weight.numel() for weight in weights) * batch_size < _THREAD_WORK else nullcontext()


def evaluate(module: nn.Module, objective: BatchLoss, data: tuple[Tensor, ...], batch_size: int) -> float:
    """Mean of the objective over ``data``, without gradients and in evaluation mode."""
    module.eval()
    total = 0.0
    with torch.no_grad():
        for batch in zip(*(tensor.split(batch_size) for tensor in data), strict=True):
            total += objective(module, batch).item() * len(batch[0])
    return total / len(data[0])


class _State:
    """What an epoch changes: weights, optimiser, best weights, history."""

    def __init__(self, module: nn.Module, settings: TrainingSettings, steps_per_epoch: int, early_stopping: bool) -> None:
        self.module, self.settings, self.steps_per_epoch = module, settings, steps_per_epoch
        self.early_stopping = early_stopping
        self.trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.best = self._weights()
        self.history = History()
        self.schedule, self.rate = self._schedule(), settings.learning_rate

    @property
    def epoch(self) -> int:
        return len(self.history.train_loss)

    @property
    def finished(self) -> bool:
        return self.epoch >= self.settings.epochs or self.history.stopped_early

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def train(self, step: processes.Step, data: tuple[Tensor, ...], order: Tensor) -> float:
        """One epoch over ``data`` in the given order of rows; return the mean loss."""
        self.module.train()
        total = 0.0
        for batch, rows in enumerate(order.split(self.settings.batch_size)):
            self.rate = float(self.schedule.get_last_lr()[0])
            self.optimizer.zero_grad(set_to_none=True)
            mine, weight = processes.share(rows)
            weighted = step(tuple(tensor[mine] for tensor in data)) * weight
            weighted.backward()
            loss = processes.mean(weighted)
            norm = nn.utils.clip_grad_norm_(self.trained, self.settings.gradient_clip)
            if not math.isfinite(loss) or not math.isfinite(norm.item()):
                raise TrainingError(
                    f"loss {loss:.6g} with gradient norm {norm.item():.6g} in epoch {self.epoch + 1}, "
                    f"batch {batch + 1} at learning rate {self.rate:.3g}: lower learning_rate or gradient_clip, or look for "
                    "values in the data that are not finite or far outside the range of the rest"
                )
            self.optimizer.step()
            self.schedule.step()
            total += loss * len(rows)
        return total / len(order)

    def _schedule(self) -> LRScheduler:
        """From the first step of the next epoch on."""
        steps = self.settings.epochs * self.steps_per_epoch
        return self.settings.schedule(self.optimizer, steps, self.epoch * self.steps_per_epoch)

    def record(self, train_loss: float, validation_loss: float, seconds: float) -> None:
        """Append an epoch to the history and keep its weights if they are the best."""
        history, epoch = self.history, self.epoch
        if not math.isfinite(validation_loss):
            raise TrainingError(
                f"held-out loss {validation_loss} after epoch {epoch + 1}: look for values in the data that are not finite "
                "or outside the domain of the network, or lower learning_rate"
            )
        best = not self.early_stopping or epoch == 0 or validation_loss < history.best_loss
        best_epoch = epoch if best else history.best_epoch
        if best:
            self.best = self._weights()
        self.history = replace(
            history,
            train_loss=[*history.train_loss, train_loss],
            validation_loss=[*history.validation_loss, validation_loss],
            learning_rate=[*history.learning_rate, self.rate],
            seconds=[*history.seconds, seconds],
            best_epoch=best_epoch,
            stopped_early=epoch - best_epoch >= self.settings.patience,
        )

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        optimizer = checkpoints.optimizer_tensors(self.optimizer)
        return {"weights": self._weights(), "best": self.best, "optimizer": optimizer}

    def restore(self, tensors: dict[str, dict[str, Tensor]], history: History) -> None:
        self.module.load_state_dict(tensors["weights"])
        self.best, self.history = tensors["best"], history
        checkpoints.restore_optimizer(self.optimizer, tensors["optimizer"])
        self.schedule = self._schedule()
