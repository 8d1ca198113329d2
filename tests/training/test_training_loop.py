"""The training loop: it minimises, stops, refuses, and goes on after a kill as if nothing had happened."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bmem.errors import ArtifactError, InputError, TrainingError
from bmem.training import History, Supply, TrainingSettings, evaluate, train

SETTINGS = TrainingSettings(epochs=6, batch_size=64, learning_rate=1e-2, weight_decay=1e-3, patience=6)


def network(width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.BatchNorm1d(width), nn.Linear(width, 1))


def data(n: int = 500) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(1))
    return x, (x[:, :1] * x[:, 1:]).sin()


def squared(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return (module(batch[0]) - batch[1]).square().mean()


class Killed(BaseException):
    """Stands for the end of the process."""


def without_times(history: History) -> History:
    return replace(history, seconds=[])


def test_finds_the_least_squares_solution() -> None:
    x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    truth = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    module = nn.Linear(3, 1).double()
    settings = replace(SETTINGS, epochs=60, weight_decay=0, learning_rate=0.1)
    history = train(module, squared, (x, x @ truth.T + 3), settings, 1)
    torch.testing.assert_close(module.weight.data, truth, rtol=1e-3, atol=1e-3)
    assert module.bias.item() == pytest.approx(3, abs=1e-3)
    assert history.best_loss < 1e-5 * history.train_loss[0]


def test_history_is_complete_and_json_able() -> None:
    seen: list[tuple[int, ...]] = []
    history = train(network(), squared, data(), SETTINGS, 1, progress=lambda *told: seen.append(told))
    assert seen == [(done, 6) for done in range(1, 7)]
    lists = (history.train_loss, history.validation_loss, history.learning_rate, history.seconds)
    assert [len(values) for values in lists] == [6] * 4
    assert History(**json.loads(json.dumps(asdict(history)))) == history
    assert history.best_loss == min(history.validation_loss)


def test_ends_with_the_best_weights_and_stops_early() -> None:
    """The targets are noise, so that the held-out loss rises while the network learns the others by heart."""
    rng = torch.Generator().manual_seed(3)
    x, y = torch.randn(60, 2, generator=rng), torch.randn(60, 1, generator=rng)
    states: list[dict[str, Tensor]] = []
    module = network(64)
    settings = replace(SETTINGS, epochs=200, batch_size=16, patience=3, validation_fraction=0.5)
    history = train(module, squared, (x, y), settings, 1, progress=lambda *_: states.append(clone(module)))
    assert history.stopped_early
    assert len(history.train_loss) == history.best_epoch + 1 + 3 < 200
    for name, value in module.state_dict().items():
        assert torch.equal(value, states[history.best_epoch][name])
    assert not module.training


def clone(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("epoch", [1, 3, 6])
def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path, epoch: int) -> None:
    uninterrupted = network()
    expected = train(uninterrupted, squared, data(), SETTINGS, 1)

    def stop(done: int, epochs: int) -> None:
        if done == epoch:
            raise Killed

    with pytest.raises(Killed):
        train(network(), squared, data(), SETTINGS, 1, checkpoint=tmp_path / "checkpoint", progress=stop)
    resumed = network()
    resumed[0].weight.data.zero_()
    torch.manual_seed(99)
    history = train(resumed, squared, data(), SETTINGS, 1, checkpoint=tmp_path / "checkpoint")
    assert without_times(history) == without_times(expected)
    for name, value in uninterrupted.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the killed process has it: sums of several threads are rounded differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SCRIPT = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from test_training_loop import SETTINGS, data, network, squared, train
slow = lambda module, batch: (time.sleep(0.005), squared(module, batch))[1]
tell = lambda done, epochs: print(done, flush=True)
train(network(), slow, data(), SETTINGS, 1, checkpoint=Path(sys.argv[2]), progress=tell)
"""


@pytest.mark.usefixtures("one_thread")
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(checkpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "2":
                os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    uninterrupted, resumed, epochs = network(), network(), []
    expected = train(uninterrupted, squared, data(), SETTINGS, 1)
    progress = lambda done, _: epochs.append(done)  # noqa: E731
    history = train(resumed, squared, data(), SETTINGS, 1, checkpoint=checkpoint, progress=progress)
    assert epochs[0] >= 3
    assert without_times(history) == without_times(expected)
    for name, value in uninterrupted.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_finished_checkpoint_gives_its_result_at_once(tmp_path: Path) -> None:
    first, second = network(), network()
    history = train(first, squared, data(), SETTINGS, 1, checkpoint=tmp_path / "c")
    fail = lambda *_: pytest.fail("trained")  # noqa: E731
    again = train(second, squared, data(), SETTINGS, 1, checkpoint=tmp_path / "c", progress=fail)
    assert again == history
    assert all(torch.equal(second.state_dict()[name], value) for name, value in first.state_dict().items())


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    module = network()
    module[0].requires_grad_(False)
    before = clone(module)
    train(module, squared, data(), SETTINGS, 1, checkpoint=tmp_path / "c")
    assert torch.equal(module[0].weight, before["0.weight"])
    assert not torch.equal(module[3].weight, before["3.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"module": network(9)}, r"network 0\.bias: here \['torch\.float32', 9\], there \['torch\.float32', 8\]"),
        ({"settings": replace(SETTINGS, learning_rate=0.5)}, r"learning_rate: here 0\.5, there 0\.01"),
        ({"data": data(400)}, "other data"),
        ({"seed": 2}, "seed: here 2, there 1"),
    ],
    ids=["network", "settings", "data", "seed"],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    usual: dict[str, Any] = {"module": network(), "objective": squared, "data": data(), "settings": SETTINGS, "seed": 1}
    train(**usual, checkpoint=tmp_path / "c")
    with pytest.raises(TrainingError, match=message):
        train(**(usual | change), checkpoint=tmp_path / "c")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"half"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c"
    train(network(), squared, data(), SETTINGS, 1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:1000] if content == b"half" else content)
    with pytest.raises(ArtifactError, match="c: not a readable checkpoint"):
        train(network(), squared, data(), SETTINGS, 1, checkpoint=path)


def test_a_loss_that_is_not_finite_names_its_place() -> None:
    x, y = data()
    y[123] = math.nan
    with pytest.raises(TrainingError, match=r"(epoch 1, batch \d+ at learning rate|held-out loss nan after epoch 1)"):
        train(network(), squared, (x, y), SETTINGS, 1)


def test_a_gradient_that_is_not_finite_is_refused_before_it_spoils_the_weights() -> None:
    module = network()
    before = clone(module)
    with pytest.raises(TrainingError, match="gradient norm nan in epoch 1, batch 1"):
        train(module, lambda m, batch: (m(batch[0]) * 0).abs().sum().sqrt(), data(), SETTINGS, 1)
    assert torch.equal(module[0].weight, before["0.weight"])


@pytest.mark.parametrize("tensors", [(torch.zeros(0, 2),), (torch.zeros(1, 2),), (torch.zeros(9, 2), torch.zeros(8, 1))])
def test_empty_or_unequal_data_are_refused(tensors: tuple[Tensor, ...]) -> None:
    with pytest.raises(TrainingError, match="rows"):
        train(network(), squared, tensors, SETTINGS, 1)


def test_evaluate_weighs_a_short_last_batch_by_its_rows() -> None:
    module, (x, y) = network().eval(), data(130)
    expected = squared(module, (x, y)).item()
    assert evaluate(module, squared, (x, y), 64) == pytest.approx(expected, rel=1e-6)


def learning_rates(settings: TrainingSettings, steps: int, done: int = 0) -> list[float]:
    """Those of the remaining steps."""
    optimizer = torch.optim.AdamW(nn.Linear(1, 1).parameters(), lr=settings.learning_rate)
    schedule, found = settings.schedule(optimizer, steps, done), []
    for _ in range(done, steps):
        found.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return found


def test_learning_rate_rises_and_falls() -> None:
    settings = TrainingSettings(learning_rate=2.0, warm_up=0.1)
    rates = learning_rates(settings, 1000)
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == pytest.approx(2.0, rel=1e-3)
    assert 98 <= rates.index(max(rates)) <= 101
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx(1.0, rel=1e-3)
    assert 0 < rates[-1] < 1e-4
    assert learning_rates(TrainingSettings(learning_rate=1.0, warm_up=0.0), 100)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("steps", [7, 100, 333])
@pytest.mark.parametrize("warm_up", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("done", [0, 5])
def test_learning_rates_are_what_they_were(warm_up: float, steps: int, done: int) -> None:
    """Those that bmem computed by itself, to the bit, also after a checkpoint: earlier trainings can be made again."""
    settings = TrainingSettings(learning_rate=3e-3, warm_up=warm_up)

    def earlier(step: int) -> float:
        risen = (step + 1) / max(1.0, warm_up * steps)
        if risen < 1:
            return 3e-3 * risen
        return 3e-3 * 0.5 * (1 + math.cos(math.pi * max(0.0, (step - warm_up * steps) / (steps * (1 - warm_up)))))

    assert learning_rates(settings, steps, done) == [earlier(step) for step in range(done, steps)]


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"learning_rate": math.nan}, {"validation_fraction": 1.0}, {"warm_up": 1.0}, {"weight_decay": -1}],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


def test_without_early_stopping_the_last_weights_are_kept() -> None:
    x, y = data(60)
    settings = replace(SETTINGS, epochs=20, learning_rate=0.1, patience=1, validation_fraction=0.5)
    module = network(64)
    history = train(module, squared, (x, y), settings, 1, early_stopping=False)
    assert len(history.train_loss) == 20
    assert not history.stopped_early
    assert history.best_epoch == 19
    assert history.validation_loss[-1] > min(history.validation_loss)


def test_a_checkpoint_of_a_bootstrapped_training_is_another_one(tmp_path: Path) -> None:
    counts = torch.full((len(data()[0]),), 2)
    train(network(), squared, data(), SETTINGS, 1, checkpoint=tmp_path / "state", counts=counts)
    with pytest.raises(TrainingError, match="bootstrap: here False, there True"):
        train(network(), squared, data(), SETTINGS, 1, checkpoint=tmp_path / "state")


class Fresh:
    """A supply of the rows of ``data`` that remembers what was drawn."""

    def __init__(self) -> None:
        self.drawn: list[Tensor] = []

    def __call__(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.randn(n, 2, generator=rng)
        self.drawn.append(x)
        return x, (x[:, :1] * x[:, 1:]).sin()


def test_a_supply_gives_fresh_rows_for_every_epoch_and_holds_some_out() -> None:
    fresh = Fresh()
    history = train(network(), squared, Supply(fresh, 500), SETTINGS, 1)
    assert [len(x) for x in fresh.drawn] == [50] + [450] * 6
    assert len(torch.unique(torch.cat(fresh.drawn)[:, 0])) == 50 + 6 * 450
    assert history.best_loss < history.validation_loss[0]


def test_a_training_on_fresh_rows_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    uninterrupted, resumed = network(), network()
    expected = train(uninterrupted, squared, Supply(Fresh(), 500), SETTINGS, 1)

    def stop(done: int, epochs: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        train(network(), squared, Supply(Fresh(), 500), SETTINGS, 1, checkpoint=tmp_path / "c", progress=stop)
    history = train(resumed, squared, Supply(Fresh(), 500), SETTINGS, 1, checkpoint=tmp_path / "c")
    assert without_times(history) == without_times(expected)
    for name, value in uninterrupted.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    with pytest.raises(TrainingError, match="another training"):
        train(network(), squared, Supply(Fresh(), 660), SETTINGS, 1, checkpoint=tmp_path / "c")


def test_fresh_rows_are_not_resampled_and_must_be_enough() -> None:
    with pytest.raises(InputError, match="without counts"):
        train(network(), squared, Supply(Fresh(), 500), SETTINGS, 1, counts=torch.ones(500))
    with pytest.raises(TrainingError, match="cannot be split"):
        train(network(), squared, Supply(Fresh(), 2), SETTINGS, 1)
