"""Laplace: exact for a linear regression, correlations included; exact Hessian and Fisher information elsewhere."""

import warnings
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from bmem.errors import InputError, TrustWarning
from bmem.networks.layers import MLP
from bmem.replicas import Laplace
from bmem.replicas.laplace import _fisher, _hessian
from bmem.replicas.weights import Loss, random_weights
from bmem.training import TrainingSettings

# A fit that is cut short, or a diagonal, is far from the posterior, too: that flag has a test of its own.
pytestmark = pytest.mark.filterwarnings("ignore:the approximation is far:bmem.errors.TrustWarning")

NOISE = 0.5
SETTINGS = TrainingSettings(epochs=400, batch_size=1000, learning_rate=0.05, validation_fraction=0.1)


def gaussian(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, y = batch
    return ((module(x) - y) / NOISE).square().sum(dim=-1).mean() / 2


def regression(n: int = 200) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(4)
    x = torch.randn(n, 3, generator=rng, dtype=torch.float64) @ (torch.eye(3, dtype=torch.float64) + 0.5)
    return x, x.sum(dim=1, keepdim=True) + NOISE * torch.randn(n, 1, generator=rng, dtype=torch.float64)


def fitted(posterior: Laplace, module: nn.Module, n: int = 200, settings: TrainingSettings = SETTINGS) -> Laplace:
    posterior.fit(module, gaussian, regression(n), settings, seed=1)
    return posterior


def test_linear_regression_is_exact_with_its_correlations() -> None:
    """The curvature is that of all rows, scaled to the 180 trained on; draws: 4000, elements of their covariance to 5 σ."""
    module = nn.Linear(3, 1, bias=False).double()
    posterior = fitted(Laplace(0.8, structure="full"), module)
    x, _ = regression()
    precision = 0.9 * x.T @ x / NOISE**2 + torch.eye(3, dtype=torch.float64) / 0.8**2
    assert posterior.posterior is not None
    torch.testing.assert_close(posterior.posterior.precision, precision, rtol=1e-10, atol=1e-10)
    draws = posterior.sample(4000, torch.Generator().manual_seed(1)).weights["weight"][:, 0]
    covariance = torch.linalg.inv(precision)
    diagonal = covariance.diagonal()
    error = ((diagonal[:, None] * diagonal[None] + covariance**2) / 4000).sqrt()
    assert ((draws.mean(dim=0) - module.weight.data[0]).abs() < 5 * (diagonal / 4000).sqrt()).all()
    assert ((torch.cov(draws.T) - covariance).abs() < 5 * error).all()


def test_the_mean_is_the_maximum_of_the_posterior() -> None:
    seen: list[tuple[Tensor, ...]] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if module.training and not seen:
            seen.append(batch)
        return gaussian(module, batch)

    module = nn.Linear(3, 1, bias=False).double()
    Laplace(0.1).fit(module, spy, regression(), SETTINGS, seed=1)
    x, y = seen[0]
    precision = x.T @ x / NOISE**2 + torch.eye(3, dtype=torch.float64) / 0.1**2
    expected = torch.linalg.solve(precision, x.T @ y / NOISE**2)[:, 0]
    torch.testing.assert_close(module.weight.data[0], expected, rtol=1e-3, atol=1e-3)


def test_the_diagonal_has_the_fisher_information() -> None:
    """E[squared gradient] = E[x²] / noise² for a linear regression; its scatter over 4000 rows is below 4 %."""
    module = nn.Linear(3, 1, bias=False).double()
    posterior = fitted(Laplace(10.0), module, 4000)
    x, _ = regression(4000)
    assert posterior.posterior is not None
    torch.testing.assert_close(posterior.posterior.precision, 0.9 * x.square().sum(dim=0) / NOISE**2, rtol=0.2, atol=0)
    widths = posterior.sample(4000, torch.Generator()).weights["weight"].std(dim=0)[0]
    torch.testing.assert_close(widths, posterior.posterior.precision.rsqrt(), rtol=0.056, atol=0)


def test_curvatures_are_those_of_autograd() -> None:
    """300 rows, so that there are two chunks; derivatives row by row and of the whole."""
    module, data = MLP(3, 1, 4, 2).double(), regression(300)
    nn.init.ones_(module.last.weight)
    loss, weights = Loss(module, gaussian), random_weights(module)
    rows = []
    for i in range(300):
        gradients = torch.autograd.grad(gaussian(module, (data[0][i : i + 1], data[1][i : i + 1])), [*weights.values()])
        rows.append(torch.cat([value.reshape(-1) for value in gradients]))
    torch.testing.assert_close(_fisher(loss, weights, data), torch.stack(rows).square().mean(dim=0))
    mine = _hessian(loss, weights, data)
    gradients = torch.autograd.grad(gaussian(module, data), [*weights.values()], create_graph=True)
    flat = torch.cat([value.reshape(-1) for value in gradients])
    for i in (0, 7, len(flat) - 1):
        row = torch.autograd.grad(flat[i], [*weights.values()], retain_graph=True)
        torch.testing.assert_close(mine[i], torch.cat([value.reshape(-1) for value in row]))


def test_the_last_layer_alone_is_random() -> None:
    posterior = fitted(Laplace(layers=("last",), structure="full"), MLP(3, 1, 4, 2).double())
    weights = posterior.sample(6, torch.Generator()).weights
    assert {name for name, value in weights.items() if value.std(dim=0).max() > 0} == {"last.weight", "last.bias"}


def test_a_saddle_is_flagged() -> None:
    module = MLP(3, 1, 4, 2).double()
    nn.init.ones_(module.last.weight)
    with pytest.warns(TrustWarning, match="negative in .* more epochs or fewer layers"):
        fitted(Laplace(structure="full"), module, settings=replace(SETTINGS, epochs=1, learning_rate=1e-9))


@pytest.mark.parametrize(("structure", "flags"), [("diagonal", 1), ("full", 0)])
def test_a_diagonal_that_leaves_out_strong_correlations_is_flagged(
    structure: Literal["diagonal", "full"], flags: int
) -> None:
    x, y = regression()
    copies = x[:, :1] + 0.4 * torch.randn(len(x), 10, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Laplace(structure=structure).fit(nn.Linear(10, 1).double(), gaussian, (copies, y), SETTINGS, seed=1)
    assert sum("Pareto k" in str(warning.message) for warning in caught) == flags


@pytest.mark.parametrize(
    ("posterior", "settings", "message"),
    [
        (Laplace(structure="full"), SETTINGS, "too many for a full matrix"),
        (Laplace(), replace(SETTINGS, weight_decay=0.1), "in the place of weight_decay"),
        (Laplace(layers=("nothing",)), SETTINGS, "no trainable weights called"),
    ],
)
def test_what_cannot_be_fitted_is_refused(posterior: Laplace, settings: TrainingSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(posterior, MLP(3, 1, 60, 2).double(), settings=settings)


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="prior_scale"):
        Laplace(0.0)
    with pytest.raises(InputError, match="structure"):
        Laplace(structure="kronecker")  # type: ignore[arg-type]
