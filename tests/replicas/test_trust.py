"""Flags of posteriors: Pareto k of q against the exact posterior, R-hat and effective draws of chains."""

import warnings

import numpy as np
import pytest
import torch
from pyro.distributions import MultivariateNormal, Normal
from torch import Tensor, nn

from bmem.errors import TrustWarning
from bmem.replicas.trust import PARETO_K, warn_if_far, warn_if_not_mixed
from bmem.replicas.weights import LogPosterior, Loss


def squared(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return (module(batch[0]) - batch[1]).square().sum(dim=-1).mean() / 2


def regression_target(correlation: float, temperature: float = 1.0) -> tuple[LogPosterior, MultivariateNormal]:
    """A linear regression of 20 weights with inputs correlated by ``correlation``, and its exact posterior."""
    rng = torch.Generator().manual_seed(3)
    size = 20
    mixing = torch.linalg.cholesky((1 - correlation) * torch.eye(size, dtype=torch.float64) + correlation)
    x = torch.randn(200, size, generator=rng, dtype=torch.float64) @ mixing.T
    y = x.sum(dim=1, keepdim=True) + torch.randn(200, 1, generator=rng, dtype=torch.float64)
    module = nn.Linear(size, 1, bias=False).double()
    prior = Normal(torch.zeros(size, dtype=torch.float64), 1.0).to_event(1)
    like = {"weight": module.weight.detach()}
    precision = x.T @ x / temperature + torch.eye(size, dtype=torch.float64)
    mean = torch.linalg.solve(precision, x.T @ y / temperature)[:, 0]
    target = LogPosterior(Loss(module, squared), like, prior, (x, y), temperature)
    return target, MultivariateNormal(mean, precision_matrix=precision)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_the_exact_posterior_is_not_flagged(temperature: float) -> None:
    """The ratios are constant to rounding, whatever the temperature."""
    target, exact = regression_target(0.9, temperature)
    vectors = exact.sample((50,))
    ratios = torch.stack([target(vector) for vector in vectors]) - exact.log_prob(vectors)
    assert ratios.std() < 1e-8
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrustWarning)
        warn_if_far(target, exact, torch.Generator().manual_seed(1))


def test_a_factorised_gaussian_is_flagged_where_weights_are_correlated_only() -> None:
    rng = torch.Generator().manual_seed(1)
    for correlation, far in ((0.0, False), (0.95, True)):
        target, exact = regression_target(correlation)
        factorised = Normal(exact.mean, exact.precision_matrix.diagonal().rsqrt()).to_event(1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_if_far(target, factorised, rng)
        assert [str(warning.message).startswith("the approximation is far") for warning in caught] == [True] * far
        if far:
            assert f"at most {PARETO_K}" in str(caught[0].message)
            assert "take NUTS or an ensemble" in str(caught[0].message)


def test_the_global_generator_is_left_alone() -> None:
    target, exact = regression_target(0.0)
    before = torch.get_rng_state()
    warn_if_far(target, exact, torch.Generator())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("shift", "divergences", "flagged"), [(0.0, 0, False), (2.0, 0, True), (0.0, 3, True)])
def test_chains_that_disagree_or_diverge_are_flagged(shift: float, divergences: int, flagged: bool) -> None:
    samples = np.random.default_rng(2).normal(size=(2, 300, 4))
    samples[1, :, 2] += shift
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrustWarning)
        warn_if_not_mixed(samples, divergences)
    assert [w.category for w in caught if w.category is TrustWarning] == [TrustWarning] * flagged


def test_correlated_draws_are_flagged_by_their_effective_number() -> None:
    walk = np.random.default_rng(2).normal(size=(2, 300, 1)).cumsum(axis=1)
    with pytest.warns(TrustWarning, match="effective draws"):
        warn_if_not_mixed(walk, 0)
