"""Replicas: all networks at once give what each gives alone, and in less time; their files; the point estimate."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from bmem.artifacts import read_header
from bmem.errors import ArtifactError, InputError
from bmem.networks.classifier import MLPClassifier
from bmem.networks.coupling import CouplingFlow, CouplingSettings
from bmem.networks.mixture import DefensiveMixture, Uniform
from bmem.replicas import PointEstimate, Replicas
from bmem.training import TrainingSettings

SETTINGS = CouplingSettings(blocks=3, hidden=8, layers=2, bins=4)


def flow(seed: int, settings: CouplingSettings = SETTINGS) -> CouplingFlow:
    rng = torch.Generator().manual_seed(seed)
    module = CouplingFlow(3, 2, (True, False, False), (False, True), settings).double()
    for parameter in module.parameters():
        parameter.data += torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / parameter.shape[-1] ** 0.5
    module.features.fit(torch.randn(50, 2, generator=rng, dtype=torch.float64))
    return module


class TwoNames(nn.Module):
    """Reaches one part by two names, as a density with an optional guard does."""

    def __init__(self, part: CouplingFlow) -> None:
        super().__init__()
        self.part = part
        self.also = part

    def log_prob(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return self.also.log_prob(x, condition) + self.part.log_prob(x, condition)


@pytest.fixture
def points() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(9)
    return torch.rand(5, 7, 3, generator=rng, dtype=torch.float64), torch.randn(5, 1, 2, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 3])
def test_all_networks_at_once_give_what_each_gives_alone(count: int, points: tuple[torch.Tensor, torch.Tensor]) -> None:
    modules = [flow(seed) for seed in range(count)]
    replicas = Replicas.of(*modules)
    assert len(replicas) == count
    log_prob = replicas("log_prob", *points)
    x, log_density = replicas("from_noise", *points)
    assert log_prob.shape == log_density.shape == (count, 5, 7)
    assert not log_prob.requires_grad
    for i, module in enumerate(modules):
        torch.testing.assert_close(log_prob[i], module.log_prob(*points).detach(), rtol=1e-12, atol=1e-12)
        expected = tuple(value.detach() for value in module.from_noise(*points))
        torch.testing.assert_close((x[i], log_density[i]), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rows", [1, 100, 600])
def test_how_many_networks_go_into_one_call_makes_no_difference(rows: int) -> None:
    """1 row: all at once; 100: in groups; 600: one by one."""
    modules = [flow(seed) for seed in range(50)]
    rng = torch.Generator().manual_seed(9)
    x, condition = (torch.rand(rows, n, generator=rng, dtype=torch.float64) for n in (3, 2))
    result = Replicas.of(*modules)("log_prob", x, condition)
    assert result.shape == (50, rows)
    for i in (0, 41, 49):
        torch.testing.assert_close(result[i], modules[i].log_prob(x, condition).detach(), rtol=1e-12, atol=1e-12)


def best_time(call: Callable[[], object]) -> float:
    """Least processor time of three calls, which other jobs on the machine hardly change."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "share"), [(1, 1 / 3), (16, 1 / 3), (1024, 1.2)])
def test_32_networks_take_no_longer_than_one_after_the_other(rows: int, share: float) -> None:
    """A third of it on small batches; on large ones as long, to the 20 % by which processor times scatter."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(9)
    modules = [CouplingFlow(11, 20).eval() for _ in range(32)]
    x, condition = torch.rand(rows, 11, generator=rng), torch.randn(rows, 20, generator=rng)
    replicas = Replicas.of(*modules)
    with torch.no_grad():
        together = best_time(lambda: replicas("log_prob", x, condition))
        alone = min(best_time(partial(module.log_prob, x, condition)) for module in modules[:4])
    torch.set_num_threads(threads)
    print(f"{rows} rows: {together / (32 * alone):.2f} of 32 x one network")
    assert together < share * 32 * alone


@pytest.mark.parametrize("count", [1, 2])
def test_a_part_with_two_names_is_one_part(count: int, points: tuple[torch.Tensor, torch.Tensor]) -> None:
    """It used to leave the weights of the last replica behind in the skeleton."""
    modules = [flow(seed) for seed in range(count)]
    result = Replicas.of(*map(TwoNames, modules))("log_prob", *points)
    for i, module in enumerate(modules):
        torch.testing.assert_close(result[i], 2 * module.log_prob(*points).detach())


def test_the_skeleton_keeps_its_own_weights(points: tuple[torch.Tensor, torch.Tensor]) -> None:
    skeleton = flow(1)
    before = skeleton.log_prob(*points)
    Replicas(skeleton, Replicas.of(flow(2)).weights)("log_prob", *points)
    assert torch.equal(skeleton.log_prob(*points), before)


def test_classifiers_are_replicated_too() -> None:
    modules = [MLPClassifier(2, 4, 2) for _ in range(3)]
    for i, module in enumerate(modules):
        module.network.last.bias.data.fill_(float(i))
    result = Replicas.of(*modules)("probability", torch.zeros(6, 2))
    torch.testing.assert_close(result, torch.sigmoid(torch.arange(3.0))[:, None].expand(3, 6))


def test_weights_that_do_not_fit_are_refused() -> None:
    replicas = Replicas.of(flow(1), flow(2))
    fewer = dict(replicas.weights)
    name, value = fewer.popitem()
    with pytest.raises(InputError, match=name):
        Replicas(replicas.module, fewer)
    with pytest.raises(InputError, match=r"R is \[1, 2\]"):
        Replicas(replicas.module, {**fewer, name: value[:1]})


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_gives_back_every_bit(tmp_path: Path, count: int) -> None:
    path = tmp_path / "transfer.safetensors"
    replicas = Replicas.of(*(flow(seed) for seed in range(count)))
    replicas.save(path, {"seed": 4})
    again = Replicas.load(path, flow(7))
    assert again.weights.keys() == replicas.weights.keys()
    assert all(torch.equal(again.weights[name], value) for name, value in replicas.weights.items())
    assert read_header(path).kind == "network"
    assert read_header(path).settings["seed"] == 4


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (flow(1, CouplingSettings(3, 8, 2, 5)), r"another network \(bins: 4 there, 5 here\)"),
        (CouplingFlow(4, 2, settings=SETTINGS), r"circular: .* there, .* here, dim: 3 there, 4 here"),
        (MLPClassifier(2), "class: CouplingFlow there, MLPClassifier here"),
        (TwoNames(flow(1)), r"part\.bins: None there, 4 here"),
    ],
    ids=["bins", "dim", "class", "composite"],
)
def test_another_architecture_is_refused_by_its_settings(tmp_path: Path, other: nn.Module, message: str) -> None:
    Replicas.of(flow(1)).save(tmp_path / "network")
    with pytest.raises(ArtifactError, match=message):
        Replicas.load(tmp_path / "network", other)


def test_the_architecture_includes_the_parts(tmp_path: Path) -> None:
    Replicas.of(DefensiveMixture(flow(1), Uniform(3), 0.1)).save(tmp_path / "n")
    with pytest.raises(ArtifactError, match=r"density\.bins: 4 there, 6 here, fraction: 0\.1 there, 0\.2 here"):
        Replicas.load(tmp_path / "n", DefensiveMixture(flow(1, CouplingSettings(3, 8, 2, 6)), Uniform(3), 0.2))


def test_modules_that_tell_no_settings_are_compared_by_their_tensors(tmp_path: Path) -> None:
    Replicas.of(nn.Linear(2, 3)).save(tmp_path / "n")
    with pytest.raises(ArtifactError, match=r"\['weight'\] do not fit a Linear"):
        Replicas.load(tmp_path / "n", nn.Linear(4, 3))


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "network"
    Replicas.of(flow(1)).save(path)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "truncated" else b"ROOT" * 100)
    with pytest.raises(ArtifactError, match="network: "):
        Replicas.load(path, flow(1))


def test_a_point_estimate_is_one_trained_network() -> None:
    rng = torch.Generator().manual_seed(3)
    posterior, module = PointEstimate(), CouplingFlow(2, 1, settings=SETTINGS)
    with pytest.raises(InputError, match="fitted before"):
        posterior.sample(1, rng)
    x, condition = torch.rand(300, 2, generator=rng) ** 2, torch.rand(300, 1, generator=rng)
    history = posterior.fit(
        module,
        lambda m, batch: -m.log_prob(*batch).mean(),
        (x, condition),
        TrainingSettings(epochs=3, batch_size=64, learning_rate=1e-2),
        seed=1,
    )
    replicas = posterior.sample(1, rng)
    assert history.best_loss < -0.1
    assert torch.equal(replicas("log_prob", x, condition)[0], module.log_prob(x, condition).detach())
    with pytest.raises(InputError, match="one network, not 5"):
        posterior.sample(5, rng)
