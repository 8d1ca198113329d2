"""What an epoch trains on: the same rows every time, or fresh ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bmem.errors import InputError, TrainingError
from bmem.rng import generator, permutation
from bmem.training.settings import TrainingSettings

Rows = tuple[Tensor, ...]
"""Tensors with the same number of rows."""


@dataclass(frozen=True)
class Supply:
    """Data without end: ``draw(n, rng)`` makes n fresh rows, and an epoch takes ``rows`` of them.

    The held-out part of them is drawn once.
    """

    draw: Callable[[int, torch.Generator], Rows]
    rows: int


class Source(Protocol):
    """The rows of a training: those ``held_out``, how many an epoch has (``len``), and those of an epoch."""

    @property
    def held_out(self) -> Rows: ...

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Rows:
        """The rows to train on in an epoch, counted from 0."""
        ...


def source(data: Rows | Supply, settings: TrainingSettings, seed: int, counts: Tensor | None) -> Source:
    """Where the rows of a training come from; ``counts`` [N] tell how often each row is taken, if not once.

    Raises:
        TrainingError: no or unequal data, or too few rows.
        InputError: fresh rows are to be taken several times, or the counts are not those of the rows.
    """
    if not isinstance(data, Supply):
        training, held_out = split(data, settings, seed)
        return _Kept(training if counts is None else _repeated(data, settings, seed, counts), held_out)
    if counts is not None:
        raise InputError("rows that are drawn anew for every epoch cannot be resampled; train without counts")
    count = _held_out(data.rows, settings)
    return _Drawn(data.draw, data.rows - count, data.draw(count, generator(seed, "training", "held out")), seed)


def split(data: Rows, settings: TrainingSettings, seed: int) -> tuple[Rows, Rows]:
    """Training and held-out rows, as a training with this ``seed`` has them.

    Raises:
        TrainingError: no or unequal data, or too few rows.
    """
    rows = {len(tensor) for tensor in data}
    if len(rows) != 1:
        raise TrainingError(f"the data tensors have {sorted(rows)} rows; give all of them the same number")
    total = rows.pop()
    held_out = _held_out(total, settings)
    order = permutation(total, generator(seed, "training", "split"), data[0])
    first, second = order[held_out:], order[:held_out]
    return tuple(tensor[first] for tensor in data), tuple(tensor[second] for tensor in data)


def _held_out(total: int, settings: TrainingSettings) -> int:
    held_out = total - settings.training_rows(total)
    if not 1 <= held_out < total:
        fraction = settings.validation_fraction
        raise TrainingError(f"{total} rows cannot be split with validation_fraction={fraction}; simulate more events")
    return held_out


def _repeated(data: Rows, settings: TrainingSettings, seed: int, counts: Tensor) -> Rows:
    """The training rows, each as often as its count says."""
    if counts.shape != data[0].shape[:1]:
        raise InputError(f"{len(data[0])} rows cannot be taken as often as counts of shape {tuple(counts.shape)} say")
    (*rows, times), _ = split((*data, counts.to(data[0].device)), settings, seed)
    if not times.any():
        raise TrainingError(f"none of the {len(times)} training rows is in the resample; simulate more events")
    return tuple(tensor.repeat_interleave(times.long(), dim=0) for tensor in rows)


@dataclass(frozen=True)
class _Kept:
    training: Rows
    held_out: Rows

    def __len__(self) -> int:
        return len(self.training[0])

    def epoch(self, number: int) -> Rows:
        return self.training


@dataclass(frozen=True)
class _Drawn:
    draw: Callable[[int, torch.Generator], Rows]
    rows: int
    held_out: Rows
    seed: int

    def __len__(self) -> int:
        return self.rows

    def epoch(self, number: int) -> Rows:
        return self.draw(self.rows, generator(self.seed, "training", "rows", number))
