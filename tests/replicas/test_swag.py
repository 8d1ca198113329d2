"""SWAG: the moments of the walk are those of the weights passed through, and draws have its covariance."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.networks.layers import MLP
from bmem.replicas import Swag
from bmem.training import TrainingSettings

SETTINGS = TrainingSettings(epochs=20, batch_size=20, learning_rate=1e-2, validation_fraction=0.1)


def squared(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return (module(batch[0]) - batch[1]).square().sum(dim=-1).mean() / 2


def data(n: int = 100) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(4)
    x = torch.randn(n, 2, generator=rng, dtype=torch.float64)
    return x, x.sum(dim=1, keepdim=True) + torch.randn(n, 1, generator=rng, dtype=torch.float64)


def walked(posterior: Swag) -> tuple[nn.Module, Tensor]:
    """The fitted module, and the weights [steps, 3] as they were before each step."""
    seen: list[Tensor] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if module.training:
            seen.append(torch.cat([value.detach().reshape(-1) for value in module.parameters()]))
        return squared(module, batch)

    module = nn.Linear(2, 1).double()
    nn.init.ones_(module.weight)
    nn.init.zeros_(module.bias)
    posterior.fit(module, spy, data(), SETTINGS, seed=1)
    return module, torch.stack(seen)


def test_moments_and_deviations_are_those_of_the_walk() -> None:
    posterior = Swag(rank=6)
    module, weights = walked(posterior)
    assert len(weights) == 100
    after = weights[25:]
    walk = posterior.walk
    assert walk is not None
    torch.testing.assert_close(walk.mean, after.mean(dim=0))
    torch.testing.assert_close(walk.variance(), after.var(dim=0, correction=0))
    torch.testing.assert_close(torch.cat([p.flatten() for p in module.parameters()]).detach(), after.mean(dim=0))
    kept = after[[12 * (k + 1) - 1 for k in range(6)]]
    found = walk.deviations() + walk.mean
    assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in kept.tolist()}


def test_draws_have_half_of_the_diagonal_and_half_of_the_low_rank_covariance() -> None:
    """20000 draws; every element of the covariance to 5 of its standard errors (false alarms 6e-7 for each of 6)."""
    posterior = Swag(scale=2.0, rank=6)
    walked(posterior)
    walk = posterior.walk
    assert walk is not None
    deviations = walk.deviations()
    expected = 4 * (torch.diag(walk.variance()) + deviations.T @ deviations / 5) / 2
    weights = posterior.sample(20_000, torch.Generator().manual_seed(1)).weights
    draws = torch.cat((weights["weight"][:, 0], weights["bias"]), dim=1)
    diagonal = expected.diagonal()
    error = ((diagonal[:, None] * diagonal[None] + expected**2) / 20_000).sqrt()
    assert ((torch.cov(draws.T) - expected).abs() < 5 * error).all()
    assert ((draws.mean(dim=0) - walk.mean).abs() < 5 * (diagonal / 20_000).sqrt()).all()


def test_the_learning_rate_stays_the_same() -> None:
    history = Swag(rank=4).fit(nn.Linear(2, 1).double(), squared, data(), SETTINGS, seed=1)
    assert history.learning_rate == [1e-2] * 20


def test_a_named_subset_is_random_and_the_rest_is_trained_without_noise() -> None:
    module = MLP(2, 1, 4, 1).double()
    before = module.first.weight.data.clone()
    posterior = Swag(rank=4, layers=("last",))
    posterior.fit(module, squared, data(), SETTINGS, seed=1)
    weights = posterior.sample(5, torch.Generator()).weights
    assert {name for name, value in weights.items() if value.std(dim=0).max() > 0} == {"last.weight", "last.bias"}
    assert not torch.equal(module.first.weight.data, before)


@pytest.mark.parametrize(
    ("posterior", "settings", "message"),
    [
        (Swag(), replace(SETTINGS, epochs=2), "10 steps are too few for SWAG of rank 20"),
        (Swag(), replace(SETTINGS, weight_decay=0.1), "in the place of weight_decay"),
        (Swag(layers=("nothing",)), SETTINGS, "no trainable weights called"),
    ],
)
def test_what_cannot_be_fitted_is_refused(posterior: Swag, settings: TrainingSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        posterior.fit(nn.Linear(2, 1).double(), squared, data(), settings, seed=1)


@pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("prior_scale", -1.0), ("rank", 1)])
def test_settings_are_checked(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"Swag.{name}"):
        Swag(**{name: value})  # type: ignore[arg-type]
