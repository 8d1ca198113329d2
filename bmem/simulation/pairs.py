"""Run a response over hard events in blocks: reproducible, in several processes, resumable.

The events are cut into blocks of fixed size and each block has its own random numbers, so the result depends on the seed and
the block size only: not on the number of workers, nor on whether the run was interrupted.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from bmem import artifacts
from bmem.artifacts import Blocks, Form
from bmem.errors import InputError
from bmem.events import parquet
from bmem.events.record import HardEvents, PairedEvents, RecoEvents, concatenate_pairs
from bmem.rng import generator
from bmem.simulation.contract import FailedEventsWarning, Response, SimulatedEvents
from bmem.workers import Workers, map_chunks


class Cuts(Protocol):
    """What is needed of a selection; ``bmem.events.selection.Selection`` is one. Its ``repr`` must name all its settings."""

    def accept(self, reco: RecoEvents) -> Tensor:
        """Which events to keep: [N] bool."""
        ...

    def keep_objects(self, reco: RecoEvents) -> RecoEvents:
        """Only the objects that pass their own cuts."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How the work is cut, spread and kept.

    ``block`` events share one stream of random numbers; the ``workers`` share the blocks (None: this process does all);
    finished blocks are kept in the folder ``cache``, if there is one, and found there by a later run, which only does what
    is missing or belongs to another simulation.
    """

    block: int = 2_000
    workers: Workers | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.block < 1:
            raise InputError(f"Schedule: block {self.block} must be at least 1")


def simulate(
    hard: HardEvents,
    response: Response,
    selection: Cuts,
    seed: int,
    *,
    schedule: Schedule | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PairedEvents:
    """Return ``hard`` paired with what ``response`` and ``selection`` make of each event.

    Args:
        hard: N hard events; ``hard.repeat(k)`` simulates each of them k times.
        response: the simulation chain.
        selection: decides which events are accepted, and which of their objects are kept.
        seed: of the whole simulation.
        schedule: block size (part of what the result depends on), workers, folder for finished blocks.
        progress: called with (events done, N) after each block.

    Raises:
        InputError: no events, or coordinates that are not finite.
        ArtifactError: a block in the cache is damaged, or a block cannot be written.
        ChunkError: a block cannot be computed; those that were finished are in the cache.

    Warns:
        FailedEventsWarning: events that the response could not simulate; they count as not accepted.
    """
    schedule = schedule or Schedule()
    _check(hard)
    index = torch.arange(len(hard), device=hard.x.device).split(schedule.block)
    tasks = [_Task(response, selection, seed, i, hard[block]) for i, block in enumerate(index)]
    finished: dict[int, _Block] = {}
    for i, block in _all_blocks(tasks, schedule):
        finished[i] = block
        if progress is not None:
            progress(sum(len(done.pairs) for done in finished.values()), len(hard))
    failed = sum(block.failed for block in finished.values())
    if failed:
        message = f"{failed} of {len(hard)} events could not be simulated: counted as not accepted"
        warnings.warn(FailedEventsWarning(message), stacklevel=2)
    return concatenate_pairs([finished[i].pairs for i in range(len(tasks))])


class _Block(NamedTuple):
    """The pairs of one block, and how many of its events failed."""

    pairs: PairedEvents
    failed: int


@dataclass(frozen=True)
class _Task:
    """Everything that one block depends on."""

    response: Response
    selection: Cuts
    seed: int
    index: int
    hard: HardEvents

    def __str__(self) -> str:
        return f"block {self.index} of {len(self.hard)} events"

    def run(self) -> _Block:
        reco = self.response(self.hard, generator(self.seed, "response", self.index))
        accepted = self.selection.accept(reco)
        failed = reco.failed if isinstance(reco, SimulatedEvents) else torch.zeros_like(accepted)
        accepted = accepted & ~failed
        kept = self.selection.keep_objects(reco[accepted])
        return _Block(PairedEvents(self.hard, accepted, kept), int(failed.sum()))


def _check(hard: HardEvents) -> None:
    if len(hard) == 0:
        raise InputError("simulate: there are no hard events")
    bad = ~torch.isfinite(hard.x).all(-1)
    if bad.any():
        raise InputError(
            f"simulate: {int(bad.sum())} hard events have coordinates that are not finite, the first is number "
            f"{int(bad.nonzero()[0])}; check where they come from"
        )


def _all_blocks(tasks: Sequence[_Task], schedule: Schedule) -> Iterator[tuple[int, _Block]]:
    """Yield (index, block): first what the cache holds, then the others as they are finished."""
    if schedule.cache is None:
        return map_chunks(_Task.run, tasks, schedule.workers)
    kept = Blocks(schedule.cache, _settings(tasks), Form(".parquet", _write, _read), lambda task: f"block-{task.index:06d}")
    return kept.map(_Task.run, tasks, schedule.workers)


def _settings(tasks: Sequence[_Task]) -> dict[str, Any]:
    """What tells these blocks from those of another simulation."""
    digest, first = hashlib.sha256(), tasks[0]
    for task in tasks:
        digest.update(task.hard.x.cpu().numpy().tobytes())
        if task.hard.pdg is not None:
            digest.update(task.hard.pdg.cpu().numpy().tobytes())
        for values in task.hard.nuisances.values():
            digest.update(values.cpu().numpy().tobytes())
    return {
        "response": repr(first.response),
        "selection": repr(first.selection),
        "seed": first.seed,
        "hard events": digest.hexdigest(),
    }


def _write(path: Path, block: _Block, settings: Mapping[str, Any]) -> artifacts.Header:
    return parquet.write_pairs(path, block.pairs, {**settings, "failed": block.failed})


def _read(path: Path) -> _Block:
    return _Block(parquet.read_pairs(path), artifacts.read_header(path).settings["failed"])
