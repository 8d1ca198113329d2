"""Mean field: its divergence and its ELBO are Pyro's, its Gaussians those of a linear regression, its trick is exact."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from bmem.errors import InputError, TrainingError, TrustWarning
from bmem.networks.layers import MLP
from bmem.replicas import MeanField
from bmem.replicas.mean_field import _HASTE, MeanFieldLoss
from bmem.replicas.weights import Loss, random_weights
from bmem.training import TrainingSettings

# A fit that is cut short is far from the posterior, too: that flag has its own tests.
pytestmark = pytest.mark.filterwarnings("ignore:the approximation is far:bmem.errors.TrustWarning")

NOISE = 0.5
DRAWS = 400
LINEAR = TrainingSettings(epochs=1500, batch_size=100, learning_rate=0.02, validation_fraction=0.1)


def gaussian(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Mean of -log p(y | x) with noise 0.5, without its constant."""
    x, y = batch
    return ((module(x) - y) / NOISE).square().sum(dim=-1).mean() / 2


def regression(n: int = 100, inputs: int = 3) -> tuple[Tensor, Tensor]:
    """Correlated inputs, so that the exact posterior does not factorise."""
    rng = torch.Generator().manual_seed(4)
    mixing = torch.eye(inputs, dtype=torch.float64) + 0.5
    x = torch.randn(n, inputs, generator=rng, dtype=torch.float64) @ mixing
    y = x.sum(dim=1, keepdim=True) + NOISE * torch.randn(n, 1, generator=rng, dtype=torch.float64)
    return x, y


def loss_of(module: nn.Module, settings: MeanField, batch: tuple[Tensor, ...], rows: int = 50) -> MeanFieldLoss:
    network = MeanFieldLoss(Loss(module, gaussian), random_weights(module, settings.layers), settings, rows, seed=1)
    rng = torch.Generator().manual_seed(8)
    for value in network.widths:
        value.data = (-1 + 0.3 * torch.randn(value.shape, generator=rng, dtype=value.dtype)) / _HASTE
    for value in module.parameters():
        value.data = value.data + 0.3 * torch.randn(value.shape, generator=rng, dtype=value.dtype)
    network.find_local_layers(batch)
    return network.train()


class Shared(nn.Module):
    """Layers of every kind: local, applied twice, given several points of a row, and a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.once, self.twice, self.points = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)
        self.offset = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(torch.tanh(self.twice(torch.tanh(self.once(x)))))
        return self.points(torch.stack((x, x + self.offset), dim=1)).mean(dim=1)


def pyro_elbo(network: MeanFieldLoss, batch: tuple[Tensor, ...]) -> tuple[float, float]:
    """(-ELBO, divergence) of all rows by Pyro for one draw of the weights, with the same prior and posterior."""
    means, scales = network.means, network.scales
    prior = Normal(torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))

    def model(batch: tuple[Tensor, ...]) -> None:
        drawn = {name: pyro.sample(name, prior.expand(mean.shape).to_event(mean.ndim)) for name, mean in means.items()}
        pyro.factor("rows", -network.rows * network.loss.at(drawn, batch))

    def guide(batch: tuple[Tensor, ...]) -> None:
        for name, mean in means.items():
            pyro.sample(name, Normal(mean, scales[name]).to_event(mean.ndim))

    def prior_only(batch: tuple[Tensor, ...]) -> None:
        poutine.block(model, hide=["rows"])(batch)

    elbo = TraceMeanField_ELBO()
    with torch.no_grad():
        return elbo.loss(model, guide, batch), elbo.loss(prior_only, guide, batch)


@pytest.mark.parametrize("make", [lambda: MLP(3, 1, 5, 2).double(), lambda: Shared().double()], ids=["MLP", "shared"])
def test_divergence_and_elbo_are_those_of_pyro(make: Callable[[], nn.Module]) -> None:
    """Closed forms agree to rounding; 400 draws of each ELBO within 5 combined standard errors (false alarms 6e-7)."""
    batch = regression(20)
    network = loss_of(make(), MeanField(prior_scale=0.7), batch)
    with torch.no_grad():
        mine = np.array([network(batch).item() * network.rows for _ in range(DRAWS)])
        theirs = [pyro_elbo(network, batch) for _ in range(DRAWS)]
        divergence = network.divergence().item()
    assert divergence == pytest.approx(theirs[0][1], rel=1e-12)
    pyros = np.array([elbo for elbo, _ in theirs])
    error = np.sqrt((mine.var() + pyros.var()) / DRAWS)
    assert abs(mine.mean() - pyros.mean()) < 5 * error
    assert error < 0.05 * abs(pyros.mean())


def test_only_layers_that_see_a_row_once_are_local() -> None:
    network = loss_of(Shared().double(), MeanField(), regression(20))
    assert sorted(network.local) == ["once"]
    assert sorted(loss_of(MLP(3, 1, 5, 2).double(), MeanField(), regression(20)).local) == ["first", "last", "middle.0"]
    assert sorted(loss_of(nn.Linear(3, 1).double(), MeanField(), regression(20)).local) == [""]


def test_the_trick_makes_the_gradient_less_noisy() -> None:
    """Its point: rows have noise of their own; without it one draw of the weights is shared by the batch."""
    batch = regression(100)
    network = loss_of(MLP(3, 1, 8, 2).double(), MeanField(), batch)

    def variance() -> float:
        gradients = []
        for _ in range(60):
            network.zero_grad()
            network(batch).backward()
            gradients.append(torch.cat([value.grad.reshape(-1) for value in network.parameters()]))
        return torch.stack(gradients).var(dim=0).sum().item()

    with_trick = variance()
    network.local = {}
    assert with_trick < 0.1 * variance()


@pytest.mark.parametrize(
    ("temperature", "settings"),
    [(1.0, LINEAR), pytest.param(0.25, replace(LINEAR, epochs=3000, learning_rate=3e-3), marks=pytest.mark.slow)],
)
def test_linear_regression_has_its_closed_form(temperature: float, settings: TrainingSettings) -> None:
    """Means are exact, and the widths of the best factorised Gaussian are 1 / √(diagonal of the precision).

    A temperature divides the noise variance, and with it the first part of the precision.

    Stochastic gradients leave log-widths that scatter by 0.02 here; 0.05 costs 0.0025 nats of the ELBO per weight.
    """
    seen: list[tuple[Tensor, ...]] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if module.training and len(seen) < 1:
            seen.append(batch)
        return gaussian(module, batch)

    posterior, module = MeanField(prior_scale=0.8, temperature=temperature), nn.Linear(3, 1, bias=False).double()
    nn.init.zeros_(module.weight)
    posterior.fit(module, spy, regression(), settings, seed=1)
    x, y = seen[0]
    assert len(x) == 90
    variance = temperature * NOISE**2
    precision = x.T @ x / variance + torch.eye(3, dtype=torch.float64) / 0.8**2
    exact = torch.linalg.solve(precision, x.T @ y / variance)[:, 0]
    widths = precision.diagonal().rsqrt()
    draws = posterior.sample(4000, torch.Generator().manual_seed(1)).weights["weight"][:, 0]
    assert posterior.network is not None
    assert ((module.weight.data[0] - exact).abs() < 0.1 * widths).all()
    torch.testing.assert_close(posterior.network.scales["weight"].data[0], widths, rtol=0.05, atol=0)
    # Sample deviations of 4000 draws: standard error 1.1 %, hence 5 of them.
    torch.testing.assert_close(draws.std(dim=0), posterior.network.scales["weight"].data[0], rtol=0.056, atol=0)


def test_empirical_bayes_takes_the_prior_that_maximises_the_elbo() -> None:
    batch = regression(20)
    network = loss_of(MLP(3, 1, 4, 1).double(), MeanField(prior_scale=None), batch)
    best = network.divergence().item()
    for scale in (0.1, 0.3, 1.0):
        network.settings = MeanField(prior_scale=scale)
        assert network.divergence().item() > best
    name = network.names[0]
    mean, width = network.means[name].data, network.scales[name].data
    expected = Normal(0, (mean**2 + width**2).mean().sqrt())
    network.settings = MeanField(prior_scale=None)
    assert network.prior_scale(mean, width).item() == pytest.approx(expected.scale.item())


def test_more_data_and_a_tighter_prior_make_narrower_posteriors() -> None:
    widths = []
    for n, prior in ((40, 1.0), (400, 1.0), (40, 0.01)):
        posterior = MeanField(prior_scale=prior, initial_scale=0.05)
        settings = replace(LINEAR, epochs=400, batch_size=400)
        posterior.fit(nn.Linear(3, 1).double(), gaussian, regression(n), settings, seed=1)
        assert posterior.network is not None
        widths.append(posterior.network.scales["weight"].mean().item())
    assert widths[1] < 0.5 * widths[0]
    assert widths[2] < 0.011


def test_a_named_subset_is_random_and_the_rest_is_trained_without_noise() -> None:
    module = MLP(3, 1, 4, 2).double()
    before = module.first.weight.data.clone()
    posterior = MeanField(layers=("last", "middle.0.bias"))
    settings = TrainingSettings(epochs=4, batch_size=20, learning_rate=1e-3)
    with pytest.warns(TrustWarning):
        posterior.fit(module, gaussian, regression(), settings, seed=1)
    replicas = posterior.sample(5, torch.Generator())
    spread = {name: float(value.std(dim=0).max()) for name, value in replicas.weights.items()}
    assert {name for name, value in spread.items() if value > 0} == {"last.weight", "last.bias", "middle.0.bias"}
    assert not torch.equal(module.first.weight, before)


def test_means_start_at_the_point_estimate_and_parameters_without_gradient_stay() -> None:
    module = MLP(3, 1, 4, 2).double()
    module.first.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    posterior = MeanField(initial_scale=1e-6)
    with pytest.warns(TrustWarning):
        posterior.fit(module, gaussian, regression(), TrainingSettings(epochs=1, learning_rate=1e-9), seed=1)
    drawn = posterior.sample(1, torch.Generator()).weights
    for name, value in drawn.items():
        torch.testing.assert_close(value[0], before[name], rtol=0, atol=1e-5)
    assert torch.equal(drawn["first.weight"][0], before["first.weight"])


def test_an_elbo_that_still_rises_is_flagged() -> None:
    with pytest.warns(TrustWarning, match=r"ELBO is not flat.*more epochs"):
        MeanField().fit(
            nn.Linear(3, 1).double(), gaussian, regression(), replace(LINEAR, epochs=40, learning_rate=3e-3), seed=1
        )


def test_too_few_epochs_to_judge_are_flagged() -> None:
    with pytest.warns(TrustWarning, match="5 epochs are too few"):
        MeanField().fit(nn.Linear(3, 1).double(), gaussian, regression(), replace(LINEAR, epochs=5), seed=1)


def test_exploding_widths_are_flagged() -> None:
    """A loss that likes noise makes widths run away."""

    def likes_noise(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return -gaussian(module, batch)

    settings = replace(LINEAR, epochs=60, learning_rate=0.1)
    with pytest.warns(TrustWarning) as warnings:
        MeanField(initial_scale=1.0).fit(nn.Linear(3, 1).double(), likes_noise, regression(), settings, seed=1)
    assert any("exploding log-variance" in str(warning.message) for warning in warnings)


def test_widths_reach_their_equilibrium_from_far_away_while_means_hardly_move() -> None:
    """At a learning rate of 3e-3 Adam moves nothing by more than 0.3 in 200 steps; widths begin a factor e^3.5 off."""
    module = nn.Linear(3, 1, bias=False).double()
    nn.init.ones_(module.weight)
    x, y = regression()
    posterior, settings = MeanField(initial_scale=1e-3), replace(LINEAR, epochs=200, learning_rate=3e-3)
    posterior.fit(module, gaussian, (x, y), settings, seed=1)
    assert posterior.network is not None
    expected = (0.9 * x.square().sum(dim=0) / NOISE**2 + 1).rsqrt()
    torch.testing.assert_close(posterior.network.scales["weight"].data[0], expected, rtol=0.2, atol=0)


def test_nothing_is_left_in_the_parameter_store() -> None:
    pyro.get_param_store().clear()
    with pytest.warns(TrustWarning):
        MeanField().fit(nn.Linear(3, 1).double(), gaussian, regression(), replace(LINEAR, epochs=2), seed=1)
    assert not list(pyro.get_param_store().keys())


def test_a_checkpoint_under_another_prior_is_refused(tmp_path: Path) -> None:
    settings = replace(LINEAR, epochs=2)
    with pytest.warns(TrustWarning):
        MeanField().fit(nn.Linear(3, 1).double(), gaussian, regression(), settings, 1, checkpoint=tmp_path / "state")
    with pytest.raises(TrainingError, match=r"prior_scale=2\.0.*there.*prior_scale=1\.0"):
        MeanField(2.0).fit(nn.Linear(3, 1).double(), gaussian, regression(), settings, 1, checkpoint=tmp_path / "state")


@pytest.mark.parametrize(
    ("posterior", "settings", "message"),
    [
        (MeanField(layers=("absent",)), LINEAR, r"no trainable weights called \['absent'\] in a Linear"),
        (MeanField(), replace(LINEAR, weight_decay=0.1), "in the place of weight_decay"),
    ],
)
def test_what_cannot_be_fitted_is_refused(posterior: MeanField, settings: TrainingSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        posterior.fit(nn.Linear(3, 1).double(), gaussian, regression(), settings, seed=1)


@pytest.mark.parametrize("name", ["prior_scale", "initial_scale", "temperature"])
def test_scales_are_positive(name: str) -> None:
    wrong: dict[str, Any] = {name: 0.0}
    with pytest.raises(InputError, match=name):
        MeanField(**wrong)
