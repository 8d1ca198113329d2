"""Every weight posterior, on a regression and on a density: it learns, and its replicas are as the contract says."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from architectures import DENSITIES
from torch import Tensor, nn

from bmem.errors import InputError, TrainingError
from bmem.events.observation import Layout
from bmem.networks.layers import MLP
from bmem.replicas import Ensemble, Laplace, LowRank, MeanField, Nuts, PointEstimate, Replicas, Swag, WeightPosterior
from bmem.training import BatchLoss, History, TrainingSettings

# Trainings are short here: that a posterior says so is tested with each of them.
pytestmark = pytest.mark.filterwarnings("ignore::bmem.errors.TrustWarning")

SETTINGS = TrainingSettings(epochs=4, batch_size=50, learning_rate=1e-2, validation_fraction=0.2)
POSTERIORS: dict[str, Callable[[], WeightPosterior]] = {
    "point": PointEstimate,
    "ensemble": partial(Ensemble, 3),
    "mean field": MeanField,
    "low rank": partial(LowRank, 2),
    "laplace": partial(Laplace, prior_scale=0.1),
    "last layer": partial(Laplace, prior_scale=0.1, layers="last", structure="full"),
    "warm ensemble": partial(Ensemble, 3, anew=False),
    "swag": partial(Swag, rank=4),
    "nuts": partial(Nuts, prior_scale=0.1, draws=4, warm_up=1, layers="last"),
}
INTERRUPTIBLE = sorted(POSTERIORS.keys() - {"nuts"})
"""Posteriors that are trained epoch by epoch, with checkpoints."""


class Curve(MLP):
    """A network whose one method is the mean of a Gaussian of width 0.1."""

    def __init__(self) -> None:
        super().__init__(1, 1, 8, 2)

    def log_prob(self, y: Tensor, x: Tensor) -> Tensor:
        return -50 * (self(x) - y).square().sum(dim=-1)


@dataclass(frozen=True)
class Problem:
    module: Callable[[], nn.Module]
    data: tuple[Tensor, Tensor]


def problems() -> dict[str, Problem]:
    rng = torch.Generator().manual_seed(5)
    x = torch.rand(200, 1, generator=rng)
    y = (3 * x).sin() + 0.1 * torch.randn(200, 1, generator=rng)
    pairs = torch.rand(200, 2, generator=rng) ** 2, x
    densities = {
        kind: Problem(partial(settings.make, Layout(2), (False, False), Layout(1)), pairs)
        for kind, settings in DENSITIES.items()
    }
    return {"regression": Problem(Curve, (y, x)), **densities}


PROBLEMS = problems()


def objective(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return -module.log_prob(*batch).mean()


def size(posterior: WeightPosterior) -> int:
    """A number of replicas that this posterior can give."""
    return 1 if isinstance(posterior, PointEstimate) else 3


def trained(
    name: str, problem: Problem, seed: int = 1, checkpoint: Path | None = None, loss: BatchLoss = objective
) -> tuple[WeightPosterior, nn.Module, History]:
    posterior, module = POSTERIORS[name](), problem.module()
    history = posterior.fit(module, loss, problem.data, SETTINGS, seed, checkpoint=checkpoint)
    return posterior, module, history


def draws(posterior: WeightPosterior, seed: int = 2) -> Replicas:
    return posterior.sample(size(posterior), torch.Generator().manual_seed(seed))


def same(first: Replicas, second: Replicas) -> bool:
    return all(torch.equal(value, second.weights[name]) for name, value in first.weights.items())


@pytest.fixture(params=POSTERIORS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return PROBLEMS[request.param]


def test_replicas_have_learned_and_have_the_shapes_of_the_contract(name: str, problem: Problem) -> None:
    posterior, _, history = trained(name, problem)
    replicas = draws(posterior)
    assert len(replicas) == size(posterior)
    assert replicas.weights.keys() == problem.module().state_dict().keys()
    assert not any(value.requires_grad for value in replicas.weights.values())
    log_prob = replicas("log_prob", *problem.data)
    assert log_prob.shape == (len(replicas), len(problem.data[0]))
    first = -objective(problem.module(), problem.data)
    assert (log_prob.mean(dim=1) > first).all()
    assert len(history.train_loss) == (SETTINGS.epochs if name in INTERRUPTIBLE else 2)
    if len(replicas) > 1:
        assert log_prob.std(dim=0).mean() > 1e-4


def test_files_give_back_every_bit(name: str, problem: Problem, tmp_path: Path) -> None:
    replicas = draws(trained(name, problem)[0])
    replicas.save(tmp_path / "network")
    assert same(Replicas.load(tmp_path / "network", problem.module()), replicas)


def test_the_seeds_decide_and_nothing_else_does(name: str, problem: Problem) -> None:
    first = trained(name, problem)[0]
    torch.manual_seed(77)
    second, other = trained(name, problem)[0], trained(name, problem, seed=3)[0]
    assert same(draws(first), draws(second))
    assert same(draws(first), draws(first))
    assert not same(draws(first), draws(other))


def test_the_global_generator_is_left_alone(name: str, problem: Problem) -> None:
    posterior, module = POSTERIORS[name](), problem.module()
    before = torch.get_rng_state()
    posterior.fit(module, objective, problem.data, SETTINGS, seed=1)
    draws(posterior)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", INTERRUPTIBLE)
def test_an_interrupted_fit_goes_on_to_the_bit(name: str, problem: Problem, tmp_path: Path) -> None:
    calls = 0

    def dying(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return objective(module, batch)

    with pytest.raises(KeyboardInterrupt):
        trained(name, problem, checkpoint=tmp_path / "state.safetensors", loss=dying)
    assert list(tmp_path.iterdir())
    resumed = trained(name, problem, checkpoint=tmp_path / "state.safetensors")[0]
    assert same(draws(resumed), draws(trained(name, problem)[0]))


@pytest.mark.parametrize("name", INTERRUPTIBLE)
def test_a_checkpoint_of_another_training_is_refused(name: str, problem: Problem, tmp_path: Path) -> None:
    trained(name, problem, checkpoint=tmp_path / "state.safetensors")
    with pytest.raises(TrainingError, match="seed: here"):
        trained(name, problem, seed=2, checkpoint=tmp_path / "state.safetensors")


def test_the_module_can_be_used_by_itself_afterwards(name: str, problem: Problem) -> None:
    """Nothing that the fit hung into it stays: it is a plain network again, and gives the same twice."""
    module = trained(name, problem)[1]
    assert module.state_dict().keys() == problem.module().state_dict().keys()
    assert not any(part._forward_hooks for part in module.modules())
    assert torch.equal(objective(module, problem.data), objective(module, problem.data))


def test_sampling_comes_after_fitting(name: str) -> None:
    with pytest.raises(InputError, match="fitted before"):
        POSTERIORS[name]().sample(1, torch.Generator())
