"""Chunks of work: in this process, in other processes of this machine, or on a Dask cluster, with the same results.

A chunk is a pure function of what it is given, its seed included: where it is computed, and whether for the first or the
second time because a worker died, changes no number. Every worker computes with one thread, and so does this process where
it works with others: more threads would cut vectors and sums elsewhere and round their ends differently. Without workers it
has all threads, and its results are those of the workers to the last bit only with one (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from multiprocessing import connection
from typing import Any, TypeVar

from bmem.errors import BmemError, ChunkError, InputError, MissingExtraError

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

_IN_FLIGHT = 256
"""Chunks handed out at once, which bounds memory: finished ones wait until they are asked for."""
_PATIENCE = 5.0
"""Seconds of work for which no processes are started: each takes some seconds to import what it needs."""
_MOST_PROCESSES = 8
"""More need more memory than machines with so many processors have for sure."""


@dataclass(frozen=True)
class Workers:
    """Other processes that compute chunks.

    Attributes:
        executor: takes the chunks; any of ``concurrent.futures`` does.
        share: makes of the pickled function what is handed to the executor with every chunk.
        patience: seconds for which chunks are computed in this process before any are handed out.
    """

    executor: Executor
    share: Callable[[bytes], Any] = lambda function: function
    patience: float = 0.0


def map_chunks(
    function: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: Workers | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield (number of the chunk, ``function(chunk)``) as they are finished; without ``workers`` in this process, in order.

    ``function`` and chunks must pickle where there are workers. The ``str`` of a chunk names it in errors.

    Raises:
        BmemError: what ``function`` raised, with a note that names the chunk.
        ChunkError: anything else went wrong with a chunk, or the worker that had it died again and again.
    """
    numbered = enumerate(chunks)
    yield from _here(function, numbered, workers)
    if workers is None:
        return
    first = next(numbered, None)
    if first is None:
        return
    rest = chain([first], numbered)
    try:
        pickled = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        if not workers.patience:
            raise
        yield from _here(function, rest, None)  # nobody asked for processes
        return
    shared, pending = workers.share(pickled), dict[Future[bytes], tuple[int, Chunk]]()
    try:
        for index, chunk in rest:
            # bytes, not tensors: torch would pass tensors between processes through open file descriptors, which run out
            pending[workers.executor.submit(_compute, shared, pickle.dumps(chunk))] = index, chunk
            if len(pending) == _IN_FLIGHT:
                yield from _finished(pending)
        while pending:
            yield from _finished(pending)
    finally:
        for future in pending:
            future.cancel()


def _here(
    function: Callable[[Chunk], Result], numbered: Iterator[tuple[int, Chunk]], workers: Workers | None
) -> Iterator[tuple[int, Result]]:
    """Chunks computed in this process: all without workers, otherwise as many as their patience is for."""
    start, threads = time.monotonic(), nullcontext if workers is None else one_thread
    while workers is None or time.monotonic() - start < workers.patience:
        try:
            index, chunk = next(numbered)
        except StopIteration:
            return
        with _named(index, chunk), threads():
            result = function(chunk)
        yield index, result


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread."""
    import torch  # here, so that a command that has no chunks starts without it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _finished(pending: dict[Future[bytes], tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Wait for at least one chunk; the sound ones come first, so that a broken one costs no other."""
    done = wait(pending, return_when=FIRST_COMPLETED).done
    for future in sorted(done, key=lambda future: future.cancelled() or future.exception() is not None):
        index, chunk = pending.pop(future)
        with _named(index, chunk):
            result = pickle.loads(future.result())
        yield index, result


@contextmanager
def _named(index: int, chunk: object) -> Iterator[None]:
    """Errors of a chunk tell which one it was."""
    try:
        yield
    except BmemError as error:
        error.add_note(f"in chunk {index} ({_short(chunk)})")
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ChunkError(
            f"chunk {index} ({_short(chunk)}) failed: {type(error).__name__}: {error} ({place.filename}:{place.lineno}). "
            "What was finished before is kept, and the same command goes on from it"
        ) from error


def _short(chunk: object) -> str:
    text = str(chunk)
    return text if len(text) <= 80 else text[:77] + "..."


def _compute(function: bytes, chunk: bytes) -> bytes:
    """What a worker does; bytes in, bytes out."""
    with one_thread():
        return pickle.dumps(_loaded(function)(pickle.loads(chunk)))


@lru_cache(maxsize=1)
def _loaded(function: bytes) -> Callable[[Any], Any]:
    return pickle.loads(function)


@contextmanager
def processes(count: int) -> Iterator[Workers]:
    """``count`` processes of this machine, which needs nothing but Python; if one of them dies, the work ends."""
    # spawn: a forked child would inherit the locked thread pools of torch
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def this_machine() -> Iterator[Workers | None]:
    """A process for every processor that this one may use, started when work turns out to be long; None for a single one."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    if count < 2:
        yield None
        return
    with processes(min(count, _MOST_PROCESSES)) as workers:
        yield replace(workers, patience=_PATIENCE)


def _end_with_parent() -> None:
    """A thread that ends this process when its parent is gone: killed, it cannot say goodbye."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only workers come here

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def cluster(where: int | str) -> Iterator[Workers]:
    """Workers of Dask: so many processes of this machine, or those of the scheduler at an address.

    A worker that dies costs the chunks it was computing; they are computed again by others.

    Raises:
        MissingExtraError: Dask is not installed.
        InputError: no scheduler answers at the address, or fewer than one process is asked for.
    """
    # no client is made the default one: xarray would then write its files under the locks of Dask
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtraError("dask", "distributed") from error
    if isinstance(where, str):
        try:
            client = Client(where, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {where!r} ({error}); give the address that it printed, tcp://HOST:PORT"
            ) from error
        with client:
            yield _of(client)
        return
    if where < 1:
        raise InputError(f"workers = {where}: at least one process is needed")
    settings = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.ERROR}
    with LocalCluster(n_workers=where, **settings) as local, Client(local, set_as_default=False) as client:
        yield _of(client)


def _of(client: Any) -> Workers:
    """The function goes to the scheduler once, as the result of a task: one that is lost with a worker is made again."""
    return Workers(client.get_executor(pure=False), lambda function: client.submit(_same, function, pure=False))


def _same(function: bytes) -> bytes:
    return function
