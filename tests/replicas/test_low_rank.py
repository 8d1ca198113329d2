"""Low rank: the covariance of a linear regression, correlations included; Pyro leaves nothing behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

from bmem.errors import InputError, TrainingError, TrustWarning
from bmem.networks.layers import MLP
from bmem.replicas import LowRank
from bmem.replicas.low_rank import LowRankLoss, isolated
from bmem.replicas.weights import Loss, random_weights
from bmem.training import TrainingSettings

# A fit that is cut short is far from the posterior, too: that flag has its own tests.
pytestmark = pytest.mark.filterwarnings("ignore:the approximation is far:bmem.errors.TrustWarning")

NOISE = 0.5
SETTINGS = TrainingSettings(epochs=600, batch_size=100, learning_rate=0.1, validation_fraction=0.1)


def gaussian(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, y = batch
    return ((module(x) - y) / NOISE).square().sum(dim=-1).mean() / 2


def regression(n: int = 100) -> tuple[Tensor, Tensor]:
    """Two inputs with a correlation of 0.9: so are, with the opposite sign, the weights."""
    rng = torch.Generator().manual_seed(4)
    mixing = torch.tensor([[1.0, 0.9], [0.0, 0.19**0.5]], dtype=torch.float64)
    x = torch.randn(n, 2, generator=rng, dtype=torch.float64) @ mixing
    return x, x.sum(dim=1, keepdim=True) + NOISE * torch.randn(n, 1, generator=rng, dtype=torch.float64)


def test_linear_regression_has_its_covariance() -> None:
    """Rank 1 is exact for two weights: from the least squares solution on, its KL to the exact one is < 0.005 nats.

    The best mean field is off by -log(1 - correlation²) / 2 = 0.8 nats.
    """
    seen: list[tuple[Tensor, ...]] = []

    def spy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if module.training and not seen:
            seen.append(batch)
        return gaussian(module, batch)

    module = nn.Linear(2, 1, bias=False).double()
    module.weight.data = torch.linalg.lstsq(*regression()).solution.T.clone()
    posterior = LowRank(rank=1, prior_scale=0.8, initial_scale=0.05)
    posterior.fit(module, spy, regression(), SETTINGS, seed=1)
    x, y = seen[0]
    precision = x.T @ x / NOISE**2 + torch.eye(2, dtype=torch.float64) / 0.8**2
    exact = torch.distributions.MultivariateNormal(
        torch.linalg.solve(precision, x.T @ y / NOISE**2)[:, 0], precision_matrix=precision
    )
    assert posterior.network is not None
    found = posterior.network.posterior()
    mine = torch.distributions.MultivariateNormal(found.mean, found.covariance_matrix)
    divergence = torch.distributions.kl_divergence(mine, exact).item()
    assert divergence < 0.005
    torch.testing.assert_close(module.weight.data[0], mine.mean)
    # 4000 draws: elements of their covariance to 5 standard errors.
    draws = posterior.sample(4000, torch.Generator().manual_seed(1)).weights["weight"][:, 0]
    covariance = mine.covariance_matrix
    diagonal = covariance.diagonal()
    error = ((diagonal[:, None] * diagonal[None] + covariance**2) / 4000).sqrt()
    assert ((torch.cov(draws.T) - covariance).abs() < 5 * error).all()


def test_the_elbo_is_that_of_pyro() -> None:
    """300 draws of each, within 5 combined standard errors (false alarms 6e-7)."""
    loss, batch = Loss(MLP(2, 1, 4, 1).double(), gaussian), regression(20)
    network = LowRankLoss(loss, random_weights(loss.module), LowRank(2, initial_scale=0.3), rows=50, seed=1)
    network.prepare(batch)
    network.train()
    with torch.no_grad():
        mine = torch.stack([network(batch) * network.rows for _ in range(300)])
    with isolated(1, torch.device("cpu")):
        theirs = torch.tensor([Trace_ELBO().loss(network.model, network.guide, batch) for _ in range(300)])
    error = ((mine.var() + theirs.var()) / 300).sqrt()
    assert (mine.mean() - theirs.mean()).abs() < 5 * error
    assert error < 0.1 * theirs.mean().abs()


def test_pyro_leaves_nothing_behind() -> None:
    pyro.get_param_store().clear()
    before = pyro.settings.get("module_local_params")
    posterior = LowRank(2)
    with pytest.warns(TrustWarning, match="too few"):
        posterior.fit(MLP(2, 1, 4, 1).double(), gaussian, regression(), replace(SETTINGS, epochs=2), seed=1)
    posterior.sample(2, torch.Generator())
    assert not list(pyro.get_param_store().keys())
    assert pyro.settings.get("module_local_params") == before


def test_a_named_subset_is_random_and_the_rest_stays() -> None:
    module = MLP(2, 1, 4, 2).double()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    posterior = LowRank(2, layers="last", initial_scale=0.1)
    with pytest.warns(TrustWarning, match="too few"):
        posterior.fit(module, gaussian, regression(), replace(SETTINGS, epochs=2), seed=1)
    weights = posterior.sample(5, torch.Generator()).weights
    assert {name for name, value in weights.items() if value.std(dim=0).max() > 0} == {"last.weight", "last.bias"}
    assert not torch.equal(module.last.weight, before["last.weight"])


def test_an_elbo_that_still_rises_is_flagged() -> None:
    settings = replace(SETTINGS, epochs=60, learning_rate=3e-3)
    with pytest.warns(TrustWarning, match="ELBO is not flat"):
        LowRank(1).fit(nn.Linear(2, 1).double(), gaussian, regression(), settings, seed=1)


def test_a_checkpoint_of_another_rank_is_refused(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=2)
    with pytest.warns(TrustWarning):
        LowRank(1).fit(nn.Linear(2, 1).double(), gaussian, regression(), settings, 1, checkpoint=tmp_path / "state")
    with pytest.raises(TrainingError, match=r"rank=2.*there.*rank=1"):
        LowRank(2).fit(nn.Linear(2, 1).double(), gaussian, regression(), settings, 1, checkpoint=tmp_path / "state")


@pytest.mark.parametrize("name", ["rank", "prior_scale", "initial_scale"])
def test_settings_are_positive(name: str) -> None:
    wrong: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=name):
        LowRank(**wrong)
