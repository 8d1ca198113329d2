"""The same results from one process, from several, and from Dask; a chunk that fails is named and costs no other."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmem import workers as module
from bmem.errors import ChunkError, InputError, MissingExtraError, RangeError
from bmem.integration.importance import EventIntegrals, Kept, integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.integrals_file import integral_blocks
from bmem.rng import generator
from bmem.workers import Workers, cluster, map_chunks, processes

EVENTS, BLOCK = 20, 4
SETTINGS = IntegrationSettings(pilot=16, min_points=16, max_points=64, resamples=3, block=BLOCK)


@dataclass(frozen=True)
class Sum:
    """The sum of some random numbers of a chunk; ``bad`` chunks fail."""

    bad: tuple[int, ...] = ()
    error: type[Exception] = ZeroDivisionError

    def __call__(self, chunk: int) -> float:
        if chunk in self.bad:
            raise self.error("no number")
        return float(torch.rand(1000, generator=generator(1, "sum", chunk)).sum())


@dataclass(frozen=True)
class Weights:
    """Lognormal weights [1, E, M, 2]; the first call in a process that finds no ``victim`` file kills that process."""

    victim: Path | None = None

    def __call__(self, events: torch.Tensor, points: int, rngs: list[torch.Generator]) -> torch.Tensor:
        if self.victim is not None and int(events[0]) >= 2 * BLOCK:
            try:
                self.victim.touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        z = torch.stack([torch.randn(points, generator=rng, dtype=torch.float64) for rng in rngs])
        return torch.stack([torch.exp(z), torch.exp(0.5 * z)], -1)[None]


def threads() -> Workers:
    """Workers that share this process: the bytes that go between processes, without the processes."""
    return Workers(ThreadPoolExecutor(2))


def integrals(workers: Workers | None, victim: Path | None = None, kept: Kept | None = None) -> EventIntegrals:
    reference = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return integrate(Weights(victim), EVENTS, reference, SETTINGS, 7, workers=workers, kept=kept)


def assert_same(one: EventIntegrals, other: EventIntegrals) -> None:
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), err_msg=name)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """A worker in a thread of this process leaves torch with one thread."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def few_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IN_FLIGHT", 3)


@pytest.mark.usefixtures("few_in_flight")
@pytest.mark.parametrize("workers", [None, threads()], ids=["here", "threads"])
def test_every_chunk_comes_once_with_its_number(workers: Workers | None) -> None:
    chunks = [7, 5, 5, 11, 2, 3, 1]
    found = list(map_chunks(Sum(), iter(chunks), workers))
    assert sorted(index for index, _ in found) == list(range(len(chunks)))
    assert all(result == Sum()(chunks[index]) for index, result in found)


@pytest.mark.usefixtures("few_in_flight")
def test_no_more_chunks_are_taken_than_are_in_flight() -> None:
    taken: list[int] = []

    def chunks() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    for done, _ in enumerate(map_chunks(Sum(), chunks(), threads())):
        assert len(taken) <= done + 4


@pytest.mark.parametrize("workers", [None, threads()], ids=["here", "threads"])
def test_an_unexpected_error_names_the_chunk(workers: Workers | None) -> None:
    with pytest.raises(ChunkError, match=r"chunk 1 \(8\) failed: ZeroDivisionError: no number .*test_workers\.py:\d+"):
        list(map_chunks(Sum((8,)), [9, 8], workers))


@pytest.mark.parametrize("workers", [None, threads()], ids=["here", "threads"])
def test_an_error_of_bmem_keeps_its_type_and_gets_a_note(workers: Workers | None) -> None:
    with pytest.raises(RangeError, match="no number") as caught:
        list(map_chunks(Sum((8,), RangeError), [9, 8], workers))
    assert caught.value.__notes__ == ["in chunk 1 (8)"]


def test_what_is_finished_comes_before_what_failed() -> None:
    """Both are done when they are looked at: the sound one is handed out all the same."""
    pending: dict[Future[bytes], tuple[int, Any]] = {Future(): (0, "bad"), Future(): (1, "good")}
    bad, good = pending
    bad.set_exception(OSError("gone"))
    good.set_result(pickle.dumps(5))
    found = module._finished(pending)
    assert next(found) == (1, 5)
    with pytest.raises(ChunkError, match=r"chunk 0 \(bad\) failed: OSError: gone"):
        next(found)


def test_a_long_name_is_cut() -> None:
    with pytest.raises(ChunkError, match=r"\(x{77}\.\.\.\)"):
        list(map_chunks(float, ["x" * 200]))


def test_integrals_from_workers_are_those_of_one_process(tmp_path: Path) -> None:
    alone = integrals(None)
    assert_same(alone, integrals(threads()))
    kept = integral_blocks(tmp_path, {})
    assert_same(alone, integrals(threads(), kept=kept))
    (tmp_path / "events-00000004.npz.json").unlink()
    assert_same(alone, integrals(threads(), kept=kept))


def test_finished_blocks_are_kept_when_another_fails(tmp_path: Path) -> None:
    def breaks(events: torch.Tensor, points: int, rngs: list[torch.Generator]) -> torch.Tensor:
        if int(events[0]) == 2 * BLOCK:
            raise OSError("no more")
        return Weights()(events, points, rngs)

    reference = torch.tensor([1.0, 0.0], dtype=torch.float64)
    with pytest.raises(ChunkError, match=r"chunk 2 \(events 8 to 11\) failed: OSError: no more"):
        integrate(breaks, EVENTS, reference, SETTINGS, 7, kept=integral_blocks(tmp_path, {}))
    kept = sorted(path.name for path in tmp_path.glob("*.npz"))
    assert kept == ["events-00000000.npz", "events-00000004.npz"]


@pytest.mark.slow
def test_two_processes_without_dask_give_the_same() -> None:
    with processes(2) as workers:
        assert_same(integrals(None), integrals(workers))


def test_dask_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"bmem\[distributed\]"), cluster(2):
        pass


def test_no_worker_is_none() -> None:
    with pytest.raises(InputError, match="at least one"), cluster(0):
        pass


def test_no_scheduler_at_the_address() -> None:
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"),
        cluster("tcp://127.0.0.1:1"),
    ):
        pass
    assert distributed


def test_a_scheduler_in_this_process_gives_the_same() -> None:
    """All of Dask's machinery but for the processes."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as local,
        cluster(local.scheduler_address) as workers,
    ):
        assert_same(integrals(None), integrals(workers))
        with pytest.raises(ChunkError, match=r"chunk 1 \(8\) failed: ZeroDivisionError: no number"):
            list(map_chunks(Sum((8,)), [9, 8], workers))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_processes_gives_the_same(count: int) -> None:
    pytest.importorskip("distributed")
    with cluster(count) as workers:
        assert_same(integrals(None), integrals(workers))


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_chunk(tmp_path: Path) -> None:
    """One of two processes kills itself within a block: the nanny starts another, and the result is the same."""
    pytest.importorskip("distributed")
    with cluster(2) as workers:
        found = integrals(workers, tmp_path / "victim")
    assert (tmp_path / "victim").exists()
    assert_same(integrals(None), found)


@dataclass(frozen=True)
class Deadly:
    def __call__(self, chunk: int) -> int:
        if chunk == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return chunk


@pytest.mark.slow
def test_a_chunk_that_kills_every_worker_is_named() -> None:
    pytest.importorskip("distributed")
    found = []
    with cluster(2) as workers, pytest.raises(ChunkError, match=r"chunk 1 \(1\) failed: KilledWorker"):  # noqa: PT012
        for index, _ in map_chunks(Deadly(), range(6), workers):
            found.append(index)
    assert 1 not in found


def test_what_is_short_is_done_here_and_the_rest_elsewhere_with_the_same_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks last a second each on this clock: those of three seconds of patience are not handed out."""
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    handed: list[bytes] = []

    class Spy(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            handed.append(args[1])
            return super().submit(function, *args, **kwargs)

    found = dict(map_chunks(Sum(), range(8), Workers(Spy(2), patience=3.0)))
    assert [pickle.loads(chunk) for chunk in handed] == [2, 3, 4, 5, 6, 7]
    assert found == dict(map_chunks(Sum(), range(8)))


def test_patience_for_all_of_the_work_starts_nobody() -> None:
    with processes(2) as others:
        assert dict(map_chunks(Sum(), range(3), replace(others, patience=1e9))) == dict(map_chunks(Sum(), range(3)))
        assert not others.executor._processes  # type: ignore[attr-defined]


def test_what_cannot_go_to_processes_that_nobody_asked_for_is_done_here() -> None:
    """A user's process may have functions without a name."""
    with processes(2) as others:
        assert dict(map_chunks(lambda n: 2 * n, range(3), replace(others, patience=1e-9))) == {0: 0, 1: 2, 2: 4}
        with pytest.raises(AttributeError, match="lambda"):
            dict(map_chunks(lambda n: 2 * n, range(3), others))
