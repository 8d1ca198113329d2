"""NUTS: exact for a linear regression; the standard for the others on a small network; what is not converged is flagged."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import arviz
import pyro
import pytest
import torch
from torch import Tensor, nn

from bmem.errors import InputError, TrustWarning
from bmem.networks.layers import MLP
from bmem.replicas import Laplace, LowRank, MeanField, Nuts, WeightPosterior
from bmem.training import TrainingSettings
from bmem.training.loop import train
from bmem.training.rows import split

NOISE = 0.5
SETTINGS = TrainingSettings(epochs=300, batch_size=100, learning_rate=0.03, validation_fraction=0.1)
CURVE = replace(SETTINGS, epochs=600, batch_size=30)


def gaussian(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, y = batch
    return ((module(x) - y) / NOISE).square().sum(dim=-1).mean() / 2


def regression(inputs: int = 3, n: int = 100) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(4)
    x = torch.randn(n, inputs, generator=rng, dtype=torch.float64) @ (torch.eye(inputs, dtype=torch.float64) + 0.5)
    return x, x.sum(dim=1, keepdim=True) + NOISE * torch.randn(n, 1, generator=rng, dtype=torch.float64)


def closed_form(features: Tensor, y: Tensor, prior_scale: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the weights of a linear regression."""
    identity = torch.eye(features.shape[1], dtype=torch.float64)
    covariance = torch.linalg.inv(features.T @ features / NOISE**2 + identity / prior_scale**2)
    return covariance @ features.T @ y[:, 0] / NOISE**2, covariance


def test_linear_regression_is_exact() -> None:
    """Means within 5, widths within 5 Monte-Carlo errors of arviz (false alarms 6e-7 for each of 6 numbers).

    Chains differ from machine to machine, as rounding grows: of 300 draws some 300 are effective, of which 100 are asked.
    """
    posterior, module = Nuts(prior_scale=0.8, draws=300, warm_up=150), nn.Linear(3, 1, bias=False).double()
    posterior.fit(module, gaussian, regression(), SETTINGS, seed=1)
    x, y = split(regression(), SETTINGS, seed=1)[0]
    mean, covariance = closed_form(x, y, 0.8)
    assert posterior.samples is not None
    chains = arviz.convert_to_dataset(posterior.samples.numpy())
    errors = {kind: torch.tensor(arviz.mcse(chains, method=kind).to_array().values[0]) for kind in ("mean", "sd")}
    draws = posterior.samples.flatten(0, 1)
    assert ((draws.mean(dim=0) - mean).abs() < 5 * errors["mean"]).all()
    assert ((draws.std(dim=0) - covariance.diagonal().sqrt()).abs() < 5 * errors["sd"]).all()
    assert (errors["sd"] < 0.15 * covariance.diagonal().sqrt()).all()
    torch.testing.assert_close(module.weight.data[0], draws.mean(dim=0))


def small_network() -> MLP:
    """13 weights, where their posterior is high."""
    module = MLP(1, 1, 4, 1).double()
    train(module, gaussian, curve(), CURVE, seed=1, early_stopping=False)
    return module


def curve() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(4)
    x = torch.linspace(-2, 2, 100, dtype=torch.float64)[:, None]
    return x, (2 * x).sin() + NOISE * torch.randn(100, 1, generator=rng, dtype=torch.float64)


AT = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]], dtype=torch.float64)


def band(posterior: WeightPosterior) -> tuple[Tensor, Tensor]:
    """Mean and width of the network's output at four inputs, from 200 draws."""
    values = posterior.sample(200, torch.Generator().manual_seed(2))("forward", AT)[..., 0]
    return values.mean(dim=0), values.std(dim=0)


@pytest.fixture(scope="module")
def standard() -> tuple[Tensor, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrustWarning)
        posterior = Nuts(prior_scale=1.0, draws=100, warm_up=100)
        posterior.fit(small_network(), gaussian, curve(), CURVE, seed=1)
    return band(posterior)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bmem.errors.TrustWarning")
@pytest.mark.parametrize(
    "make", [partial(LowRank, rank=8), partial(MeanField, initial_scale=0.1)], ids=["low rank", "mean field"]
)
def test_bands_of_a_small_network_against_nuts(make: Callable[[], WeightPosterior], standard: tuple[Tensor, Tensor]) -> None:
    """The mean is that of NUTS to half a width; where the data end, the widths of Gaussians are known to be too large."""
    posterior = make()
    posterior.fit(small_network(), gaussian, curve(), CURVE, seed=1)
    (mean, width), (exact_mean, exact_width) = band(posterior), standard
    assert ((mean - exact_mean).abs() < 0.5 * exact_width).all()
    assert (width / exact_width > 0.7).all()
    assert (width / exact_width < 3).all()


@pytest.mark.filterwarnings("ignore:the curvature is negative:bmem.errors.TrustWarning")
def test_a_laplace_approximation_far_from_the_posterior_says_so() -> None:
    """Along the flat directions of a network the curvature at its maximum promises far too much."""
    with pytest.warns(TrustWarning, match="the approximation is far"):
        Laplace(structure="full").fit(small_network(), gaussian, curve(), CURVE, seed=1)


@pytest.mark.slow
def test_a_named_subset_is_random() -> None:
    """Of the last layer, on features that stay, the posterior is that of a linear regression."""
    posterior, module = Nuts(draws=300, warm_up=150, layers=("last",)), small_network()
    before = module.first.weight.data.clone()
    posterior.fit(module, gaussian, curve(), CURVE, seed=1)
    x, y = split(curve(), CURVE, seed=1)[0]
    features = torch.cat((nn.functional.silu(module.first(x)), torch.ones_like(x)), dim=1).detach()
    mean, covariance = closed_form(features, y, 1.0)
    at = torch.cat((nn.functional.silu(module.first(AT)), torch.ones_like(AT)), dim=1).detach()
    learned, width = band(posterior)
    exact = (at @ covariance * at).sum(dim=1).sqrt()
    # 200 of 600 draws, about as many independent ones: 5 standard errors.
    assert ((learned - at @ mean).abs() < 5 * exact / 150**0.5).all()
    torch.testing.assert_close(width, exact, rtol=5 / 300**0.5, atol=0)
    assert torch.equal(module.first.weight.data, before)


def test_chains_that_are_too_short_are_flagged_and_pyro_is_left_as_it_was() -> None:
    pyro.get_param_store().clear()
    before = pyro.settings.get("module_local_params")
    with pytest.warns(TrustWarning, match=r"not yet the posterior: R-hat .* effective .* use more draws"):
        Nuts(draws=4, warm_up=1).fit(nn.Linear(3, 1).double(), gaussian, regression(), SETTINGS, seed=1)
    assert not list(pyro.get_param_store().keys())
    assert pyro.settings.get("module_local_params") == before


def test_wrong_numbers_are_refused() -> None:
    wrong: dict[str, Any] = {"prior_scale": 0.0, "draws": 3, "warm_up": 0, "chains": 1}
    for name, value in wrong.items():
        with pytest.raises(InputError, match=name):
            Nuts(**{name: value})
    with pytest.raises(InputError, match="too many for NUTS"):
        Nuts().fit(MLP(3, 1, 50, 2), gaussian, regression(), SETTINGS, seed=1)
    with pytest.raises(InputError, match="in the place of weight_decay"):
        Nuts().fit(MLP(3, 1, 5, 1), gaussian, regression(), replace(SETTINGS, weight_decay=0.1), seed=1)
