import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bmem import artifacts
from bmem.channels.thj.response import ParametricResponse
from bmem.channels.thj.selection import Selection
from bmem.channels.thj.settings import SelectionSettings
from bmem.errors import ArtifactError, InputError
from bmem.events.record import HardEvents, PairedEvents, RecoEvents
from bmem.simulation.contract import FailedEventsWarning, Response, SimulatedEvents
from bmem.simulation.pairs import Schedule, simulate
from bmem.workers import processes

Make = Callable[..., HardEvents]
LOOSE = Selection(SelectionSettings(min_jets=2))


@dataclass(frozen=True)
class FailsEveryTenth:
    """A response that gives up every tenth event, but leaves its objects in the record."""

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        reco = ParametricResponse()(hard, rng)
        return SimulatedEvents(reco.collections, torch.arange(len(hard)) % 10 == 0)


@dataclass(frozen=True)
class CountsCalls:
    """The parametric response, which leaves a file in ``folder`` for every block that it computes."""

    folder: Path

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        (self.folder / f"{len(list(self.folder.iterdir()))}").touch()
        return ParametricResponse()(hard, rng)


def assert_same(first: PairedEvents, second: PairedEvents) -> None:
    """Equal in every bit."""
    assert torch.equal(first.hard.x, second.hard.x)
    assert torch.equal(first.accepted, second.accepted)
    for name, objects in first.reco.collections.items():
        assert torch.equal(objects.features, second.reco.collections[name].features)
        assert torch.equal(objects.mask, second.reco.collections[name].mask)


def test_responses_fulfil_the_contract() -> None:
    assert isinstance(ParametricResponse(), Response)


def test_accepted_events_pass_the_selection(make_hard: Make) -> None:
    pairs = simulate(make_hard(5_000), ParametricResponse(), Selection(), seed=1)
    assert 0 < int(pairs.accepted.sum()) < 5_000
    assert Selection().accept(pairs.reco).all()
    assert len(pairs.accepted_hard) == len(pairs.reco)


def test_reconstructed_events_belong_to_their_hard_events(make_hard: Make) -> None:
    """The diphoton azimuth is that of the hard Higgs up to the resolution of 0.004 · (photon pT / Higgs pT), some 0.01."""
    pairs = simulate(make_hard(5_000), ParametricResponse(), LOOSE, seed=1, schedule=Schedule(block=700))
    photons = pairs.reco.photons
    px, py = ((photons.feature("pt") * f(photons.feature("phi"))).sum(1) for f in (torch.cos, torch.sin))
    pt, phi = pairs.accepted_hard.x[:, 0], pairs.accepted_hard.x[:, 1]
    assert torch.hypot(px - pt * torch.cos(phi), py - pt * torch.sin(phi)).median() < 3.0


def test_the_result_depends_on_seed_but_not_on_later_events(make_hard: Make) -> None:
    hard, schedule = make_hard(1_000), Schedule(block=250)
    pairs = simulate(hard, ParametricResponse(), LOOSE, seed=1, schedule=schedule)
    again = simulate(hard[:500], ParametricResponse(), LOOSE, seed=1, schedule=schedule)
    assert torch.equal(pairs.accepted[:500], again.accepted)
    assert not torch.equal(pairs.accepted, simulate(hard, ParametricResponse(), LOOSE, seed=2, schedule=schedule).accepted)


def test_blocks_do_not_repeat_each_other(make_hard: Make) -> None:
    hard = make_hard(1).repeat(200)
    pairs = simulate(hard, ParametricResponse(), LOOSE, seed=1, schedule=Schedule(block=100))
    leading = pairs.reco.photons.feature("pt")[:, 0]
    assert len(leading.unique()) == len(leading) > 0


def test_two_workers_give_the_same_as_one(make_hard: Make) -> None:
    hard = make_hard(900)
    one = simulate(hard, ParametricResponse(), LOOSE, seed=1, schedule=Schedule(block=250))
    with processes(2) as workers:
        two = simulate(hard, ParametricResponse(), LOOSE, seed=1, schedule=Schedule(block=250, workers=workers))
    assert_same(one, two)


def test_progress_counts_events(make_hard: Make) -> None:
    calls: list[tuple[int, int]] = []
    schedule = Schedule(block=200)
    simulate(make_hard(500), ParametricResponse(), LOOSE, 1, schedule=schedule, progress=lambda *call: calls.append(call))
    assert calls == [(200, 500), (400, 500), (500, 500)]


def test_an_interrupted_run_goes_on(make_hard: Make, tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    hard, response = make_hard(1_000), CountsCalls(tmp_path / "calls")
    schedule = Schedule(block=250, cache=tmp_path / "cache")
    whole = simulate(hard, response, LOOSE, seed=1, schedule=schedule)
    assert len(list(response.folder.iterdir())) == 4
    lost = tmp_path / "cache" / "block-000002.parquet"
    lost.unlink()
    artifacts.sidecar(tmp_path / "cache" / "block-000000.parquet").unlink()  # as if killed before the header was written
    resumed = simulate(hard, response, LOOSE, seed=1, schedule=schedule)
    assert len(list(response.folder.iterdir())) == 6
    assert_same(whole, resumed)
    assert_same(whole, simulate(hard, response, LOOSE, seed=1, schedule=Schedule(block=250)))


SLOW_RUN = """
import os, sys, time
from pathlib import Path
from dataclasses import dataclass
import torch
from bmem.events.record import HardEvents
from bmem.channels.thj.selection import Selection
from bmem.channels.thj.response import ParametricResponse
from bmem.simulation.pairs import Schedule, simulate
from bmem.workers import processes

@dataclass(frozen=True)
class Slow:
    def __call__(self, hard, rng):
        Path(sys.argv[1], str(os.getpid())).touch()
        time.sleep(1000)

if __name__ == "__main__":
    x = torch.ones(4, 7, dtype=torch.float64)
    hard = HardEvents(x, x[:, :1], x[:, 0])
    with processes(2) as workers:
        simulate(hard, Slow(), Selection(), 1, schedule=Schedule(block=1, workers=workers))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes from /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow_run.py").write_text(SLOW_RUN)
    (tmp_path / "workers").mkdir()
    parent = subprocess.Popen([sys.executable, tmp_path / "slow_run.py", tmp_path / "workers"])
    try:
        assert wait_until(lambda: len(list((tmp_path / "workers").iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    workers = [int(file.name) for file in (tmp_path / "workers").iterdir()]
    assert wait_until(lambda: not any(map(is_running, workers)))


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether ``condition`` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    """Whether the process is alive; one that has ended but was not collected (a zombie) is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_blocks_of_another_simulation_are_made_anew(make_hard: Make, tmp_path: Path) -> None:
    """Another selection and seed, then other hard events."""
    schedule = Schedule(block=100, cache=tmp_path)
    for hard, selection, seed in (
        (make_hard(100), LOOSE, 1),
        (make_hard(100), Selection(), 2),
        (make_hard(100, seed=5), LOOSE, 1),
    ):
        found = simulate(hard, ParametricResponse(), selection, seed=seed, schedule=schedule)
        assert_same(found, simulate(hard, ParametricResponse(), selection, seed=seed, schedule=Schedule(block=100)))


def test_a_damaged_block_is_refused(make_hard: Make, tmp_path: Path) -> None:
    schedule = Schedule(block=100, cache=tmp_path)
    simulate(make_hard(100), ParametricResponse(), LOOSE, seed=1, schedule=schedule)
    path = tmp_path / "block-000000.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="damaged"):
        simulate(make_hard(100), ParametricResponse(), LOOSE, seed=1, schedule=schedule)


def test_failed_events_are_counted_and_not_accepted(make_hard: Make, tmp_path: Path) -> None:
    hard, schedule = make_hard(1_000), Schedule(block=250, cache=tmp_path)
    for _ in range(2):  # the second time from the cache
        with pytest.warns(FailedEventsWarning, match="100 of 1000 events"):
            pairs = simulate(hard, FailsEveryTenth(), LOOSE, seed=1, schedule=schedule)
        assert not pairs.accepted.view(4, 250)[:, ::10].any()
    sound = simulate(hard, ParametricResponse(), LOOSE, seed=1, schedule=Schedule(block=250))
    assert int(sound.accepted.sum()) > int(pairs.accepted.sum()) > 0


def test_bad_hard_events_are_refused(make_hard: Make) -> None:
    hard = make_hard(10)
    hard.x[3, 2] = float("nan")
    with pytest.raises(InputError, match="1 hard events have coordinates that are not finite, the first is number 3"):
        simulate(hard, ParametricResponse(), LOOSE, seed=1)
    with pytest.raises(InputError, match="no hard events"):
        simulate(hard[:0], ParametricResponse(), LOOSE, seed=1)


def test_a_schedule_needs_events_in_a_block() -> None:
    with pytest.raises(InputError, match="at least 1"):
        Schedule(block=0)
