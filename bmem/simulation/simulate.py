"""Run a response over hard events in blocks: reproducible, in several processes, resumable.

The events are cut into blocks of fixed size and each block has its own random numbers, so the result depends on the seed and
the block size only: not on the number of workers, nor on whether the run was interrupted.
"""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.events.record import HardEvents, PairedEvents, RecoEvents, concatenate_pairs
from bmem.rng import generator
from bmem.simulation.contract import FailedEventsWarning, Response, SimulatedEvents


class Cuts(Protocol):
    """What is needed of a selection; ``bmem.events.selection.Selection`` is one."""

    def accept(self, reco: RecoEvents) -> Tensor:
        """Which events to keep: [N] bool."""
        ...

    def keep_objects(self, reco: RecoEvents) -> RecoEvents:
        """Only the objects that pass their own cuts."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How the work is cut and spread: ``block`` events share one random stream, ``workers`` processes share the blocks."""

    block: int = 2_000
    workers: int = 1

    def __post_init__(self) -> None:
        if self.block < 1 or self.workers < 1:
            raise InputError(f"Schedule: block {self.block} and workers {self.workers} must be at least 1")


@dataclass(frozen=True)
class _Task:
    """Everything that the result of one block depends on."""

    response: Response
    selection: Cuts
    seed: int
    index: int
    hard: HardEvents

    def run(self) -> tuple[PairedEvents, int]:
        """The pairs, and how many events failed."""
        reco = self.response(self.hard, generator(self.seed, "response", self.index))
        failed = reco.failed if isinstance(reco, SimulatedEvents) else torch.zeros(len(reco), dtype=torch.bool)
        accepted = self.selection.accept(reco) & ~failed
        return PairedEvents(self.hard, accepted, self.selection.keep_objects(reco[accepted])), int(failed.sum())


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
        selection: decides which reconstructed events are accepted and kept.
        seed: of the whole simulation.
        schedule: block size (part of what the result depends on), number of processes.
        progress: called with (events done, N) after each block.

    Raises:
        InputError: no events, or coordinates that are not finite.
    """
    schedule = schedule or Schedule()
    bad = ~torch.isfinite(hard.x).all(-1)
    if len(hard) == 0 or bad.any():
        what = f"event {int(bad.nonzero()[0])} has coordinates that are not finite" if len(hard) else "there are no events"
        raise InputError(f"simulate: {what}; check where the hard events come from")
    blocks = hard.x.shape[0] // schedule.block + bool(hard.x.shape[0] % schedule.block)
    tasks = [_Task(response, selection, seed, i, hard[i * schedule.block : (i + 1) * schedule.block]) for i in range(blocks)]
    done: dict[int, PairedEvents] = {}
    failures = 0
    for index, (pairs, failed) in _run_all(tasks, schedule.workers):
        done[index] = pairs
        failures += failed
        if progress is not None:
            progress(sum(map(len, done.values())), len(hard))
    if failures:
        message = f"{failures} of {len(hard)} events could not be simulated: counted as not accepted"
        warnings.warn(FailedEventsWarning(message), stacklevel=2)
    return concatenate_pairs([done[i] for i in range(blocks)])


def _run_all(tasks: list[_Task], workers: int) -> Iterator[tuple[int, tuple[PairedEvents, int]]]:
    """Yield (index, result) of each task as it is finished."""
    if workers == 1 or len(tasks) == 1:
        for task in tasks:
            yield task.index, task.run()
        return
    # spawn: a forked child would inherit locked thread pools of torch
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, torch.set_num_threads, (1,)) as pool:
        # bytes, not tensors: torch would pass tensors between processes through open file descriptors, which run out
        futures = {pool.submit(_run_pickled, pickle.dumps(task)): task.index for task in tasks}
        for future in as_completed(futures):
            yield futures[future], pickle.loads(future.result())


def _run_pickled(task: bytes) -> bytes:
    return pickle.dumps(pickle.loads(task).run())
