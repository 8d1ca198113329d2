"""Training on several processes that ``torchrun`` has started: every batch is shared, the gradients are averaged (DDP).

The weights and their order of updates are those of one process within rounding: a batch is as large as configured, whatever
the number of processes. Without ``torchrun`` everything here is that of a single process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Step = Callable[[tuple[Tensor, ...]], Tensor]
"""Batch → mean loss, ready for its gradient."""


def launched() -> bool:
    """Whether this process is one of several that ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def process_group() -> Iterator[None]:
    """Train with the other processes of ``torchrun``, if there are any, over gloo (CPU)."""
    if not launched():
        yield
        return
    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def size() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def leads() -> bool:
    """Whether this process is the one that writes files and talks."""
    return size() == 1 or distributed.get_rank() == 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if size() > 1:
        distributed.barrier()


def step(module: nn.Module, objective: Callable[[nn.Module, tuple[Tensor, ...]], Tensor]) -> Step:
    """The ``objective`` of ``module``, its gradients averaged over the processes."""
    return DistributedDataParallel(_Loss(module, objective)) if size() > 1 else lambda batch: objective(module, batch)


def share(rows: Tensor) -> tuple[Tensor, float]:
    """The rows [n] of a batch that this process takes, and the weight of their mean in the average over the processes.

    Of a batch with fewer rows than processes everybody takes all.
    """
    if len(rows) < size():
        return rows, 1.0
    mine = rows if size() == 1 else rows[distributed.get_rank() :: size()]
    return mine, len(mine) * size() / len(rows)


def mean(value: Tensor) -> float:
    """A number of each process, averaged."""
    total = value.detach().clone()
    if size() > 1:
        distributed.all_reduce(total)
    return total.item() / size()


def of_the_leader(value: float) -> float:
    """A number of the first process, so that all of them decide alike."""
    told = torch.tensor(value, dtype=torch.float64, device="cpu")
    if size() > 1:
        distributed.broadcast(told, 0)
    return told.item()


class _Loss(nn.Module):
    """A module and its objective, as ``DistributedDataParallel`` wants them: called with the batch."""

    def __init__(self, module: nn.Module, objective: Callable[[nn.Module, tuple[Tensor, ...]], Tensor]) -> None:
        super().__init__()
        self.module, self.objective = module, objective

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        return self.objective(self.module, batch)
