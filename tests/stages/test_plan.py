"""The plan of a run: what is scaled and how, and one plan of the tiny run held against the finished one."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tiny_runs import HERE, quiet, settings, write_observed

from bmem.config import BeltSection, load, parse
from bmem.errors import InputError
from bmem.integration.settings import IntegrationSettings
from bmem.stages import STAGES, Run, belt, period, pilot, prospects, train
from bmem.stages import plan as plan_module
from bmem.stages.pilot import EPOCHS, PERIOD_TOYS, SIMULATIONS, Pilot, _truth, grown
from bmem.stages.plan import FRACTIONS, Cost, Plan, _Planner, duration, make_plan, size, typical_points


class Machine:
    """Stands for the clock: work on n takes n / ``rate`` seconds."""

    def __init__(self, rate: float) -> None:
        self.rate, self.asked = rate, list[int]()

    def timed(self, work: Callable[[], int]) -> float:
        return work() / self.rate

    def work(self, n: int) -> int:
        self.asked.append(n)
        return n


@pytest.mark.parametrize(
    ("rate", "most", "asked"),
    [(1000.0, 10_000, [10, 10, 100, 1000, 3000]), (1000.0, 50, [10, 10, 50]), (1.0, 10_000, [10, 10])],
    ids=["until it takes long enough", "up to the most", "at once"],
)
def test_events_are_added_until_it_takes_some_seconds(
    rate: float, most: int, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(rate)
    monkeypatch.setattr(pilot, "timed", machine.timed)
    n, seconds = grown(machine.work, 10, most)
    assert machine.asked == asked
    assert n == asked[-1]
    assert seconds == pytest.approx(n / rate)


def test_typical_points_reach_the_target_where_the_ladder_allows_it() -> None:
    """The error of M points is sqrt((1/f - 1) / M)."""
    points = typical_points(IntegrationSettings(pilot=64, min_points=64, max_points=1 << 20, relative_error=0.02))
    errors = np.sqrt((1 / FRACTIONS - 1) / points)
    assert (errors <= 0.02).all()
    assert (errors[points > 64] > 0.02 / np.sqrt(2)).all()
    fixed = IntegrationSettings(min_points=128, max_points=128)
    assert (typical_points(fixed) == 128).all()


def test_the_small_run_keeps_sizes_points_and_replicas(tmp_path: Path) -> None:
    full = quiet(load(HERE.parents[1] / "studies" / "quickstart" / "quickstart.toml"), tmp_path / "out")
    small = Pilot(full, tmp_path / "pilot", 179).run.config
    assert small.transfer.network == full.config.transfer.network
    assert small.posterior.replicas == 16
    assert small.transfer.training.epochs == EPOCHS
    assert (small.integration.min_points, small.integration.resamples) == (179, 100)
    assert len(small.sample) == 2
    assert small.calibration.size == full.config.calibration.size


def test_trainings_are_scaled_by_epochs_members_and_pairs(tmp_path: Path) -> None:
    full = quiet(load(HERE.parents[1] / "studies" / "quickstart" / "quickstart.toml"), tmp_path / "out")
    planner = _Planner(Pilot(full, tmp_path / "pilot", 179))
    proposal, events = full.config.proposal, full.config.simulation.events * full.config.simulation.repeats
    epochs = full.config.transfer.training.epochs
    expected = {"transfer": epochs * events, "transfer.posterior": 16 * events}
    expected["proposal"] = proposal.training.epochs * proposal.pairs
    assert {name: planner.amounts[0][train.row(name)] for name in expected} == expected
    small = planner.pilot.run.config.proposal.pairs
    assert planner.scale(train.row("proposal")) == proposal.training.epochs * proposal.pairs / (EPOCHS * small)
    assert planner.epochs["transfer.posterior"] == 16


def test_workers_share_only_what_can_be_shared() -> None:
    cost = Cost(serial=10.0, shared=90.0)
    assert cost.seconds() == 100.0
    assert cost.seconds(3) == 40.0


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119.0, "119 s"), (150.0, "2.5 min"), (9000.0, "2.5 h"), (200_000.0, "2.3 d")]
)
def test_durations_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_sizes() -> None:
    assert (size(3e6), size(2.5e9), size(math.nan)) == ("3 MB", "2.5 GB", "unknown")


def test_memory_is_not_measured_where_the_system_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no module ``resource``: importing the stages used to fail there."""
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(plan_module._peak())


def test_the_table_has_all_stages_and_the_total() -> None:
    costs = {name: Cost(60.0, 240.0, 1e9, 2e6) for name in STAGES}
    stream = io.StringIO()
    Console(file=stream, width=100).print(Plan(costs, np.array([0.1]), False).table(4))
    lines = stream.getvalue().splitlines()
    for name in STAGES:
        line = next(line for line in lines if name in line)
        assert "5.0 min" in line
        assert "2.0 min" in line
    total = next(line for line in lines if "total" in line)
    assert "30.0 min" in total
    assert "12.0 min" in total
    assert "12 MB" in total


def test_nothing_is_planned_without_accepted_events(tmp_path: Path) -> None:
    config = settings(tmp_path, channel={"selection": {"jet_pt": 900.0}})
    small = config.model_copy(update={"simulation": config.simulation.model_copy(update={"events": 500})})
    with pytest.raises(InputError, match="none of 500 simulated events passes the selection"):
        make_plan(quiet(small, tmp_path))


@pytest.mark.slow
def test_a_bank_costs_belts_and_toys(tmp_path: Path) -> None:
    belt = {"bank_events": 6000, "toys": 2000, "points": 9}
    found = make_plan(quiet(load(HERE / "tiny.toml").model_copy(update={"belt": BeltSection(**belt)}), tmp_path))
    assert found.costs["fit"].shared > 0
    assert found.costs["calibrate"].shared > 0


@pytest.mark.slow
def test_the_plan_of_the_tiny_run(finished: Run, tmp_path: Path) -> None:
    """Files of networks are as large as those of the finished run, and the errors are measured with its networks."""
    config = settings(finished.out.parent)
    found = make_plan(quiet(config, finished.out))
    assert list(found.costs) == list(STAGES)
    assert found.measured
    assert "with the networks of this run" in found.error_line
    there = sum(path.stat().st_size for path in (finished.out / "networks").rglob("*") if path.is_file())
    assert found.costs["train"].disk == pytest.approx(there, rel=0.02)
    assert all(cost.seconds() > 0 and cost.memory > 1e8 for cost in found.costs.values())
    assumed = make_plan(quiet(config, tmp_path / "nothing"))
    assert not assumed.measured
    assert not (tmp_path / "nothing").exists()


def test_without_samples_nothing_is_counted_for_them(tmp_path: Path) -> None:
    planner = _Planner(Pilot(quiet(settings(tmp_path).model_copy(update={"sample": ()}), tmp_path), tmp_path / "p", 16))
    assert planner.times == 0
    assert planner.pilot.names == ["pilot0"]


def test_work_is_scaled_as_the_products_say(tmp_path: Path) -> None:
    """13 truths for one, which used to count as 13 for 13; belts, and simulations of the posterior."""
    full = quiet(settings(tmp_path).model_copy(update={"belt": BeltSection(bank_events=900)}), tmp_path / "out")
    write_observed(tmp_path / "observed.parquet")
    planner = _Planner(Pilot(full, tmp_path / "pilot", 16))
    calibration = full.config.calibration
    assert planner.scale(period.TOY) == 13 * calibration.toys / PERIOD_TOYS
    assert planner.scale(period.TOY_OF_HALVES) == planner.scale(belt.TOY) == 10
    assert planner.scale(prospects.SIMULATION) == calibration.simulations / SIMULATIONS
    assert planner.times == 1


def test_the_small_run_is_of_any_channel(tmp_path: Path) -> None:
    """Its samples used to have α = 45°, which other channels do not know."""
    channel = {"channel": {"name": "toy"}}
    config = parse({**channel, "sample": [{"name": "a", "events": 10, **_truth(parse(channel))}]})
    small = Pilot(quiet(config, tmp_path), tmp_path / "p", 16).run
    assert small.config.theta(small.config.sample[0]) is not None
