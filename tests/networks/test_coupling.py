"""The coupling flow: who controls whom, its start, its circles, and what it learns."""

import math

import pytest
import torch

from bmem.errors import InputError
from bmem.networks.coupling import CouplingFlow, CouplingSettings, coupling_masks
from bmem.training import TrainingSettings, train


@pytest.mark.parametrize("dim", range(2, 20))
def test_every_dimension_controls_every_other_one(dim: int) -> None:
    enough = 2 * math.ceil(math.log2(dim))
    masks = torch.tensor(coupling_masks(dim, enough))
    controls = (~masks[:, :, None] & masks[:, None, :]).any(dim=0)
    assert controls[~torch.eye(dim, dtype=torch.bool)].all()
    assert ((masks.sum(dim=1) - dim / 2).abs() <= 1).all()


def test_one_dimension_is_always_mapped() -> None:
    assert coupling_masks(1, 3) == [[True]] * 3


def test_starts_as_the_uniform_density() -> None:
    flow = CouplingFlow(5, 3, (True, False, False, True, False)).double()
    x, condition = torch.rand(2, 100, 5, dtype=torch.float64), torch.randn(2, 100, 3, dtype=torch.float64)
    torch.testing.assert_close(flow.log_prob(x, condition), torch.zeros(2, 100, dtype=torch.float64), rtol=0, atol=1e-12)


def test_circles_are_taken_modulo_one_and_are_continuous() -> None:
    rng = torch.Generator().manual_seed(1)
    flow = CouplingFlow(3, 1, (True, False, True), settings=CouplingSettings(6, 16, 2, 6)).double()
    for parameter in flow.parameters():
        parameter.data += torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / parameter.shape[-1] ** 0.5
    x, condition = torch.rand(50, 3, generator=rng, dtype=torch.float64), torch.ones(50, 1, dtype=torch.float64)
    turned = x + torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(flow.log_prob(turned, condition), flow.log_prob(x, condition), rtol=0, atol=1e-9)
        x[:, 0] = 1e-10
        right = flow.log_prob(x, condition)
        x[:, 0] = 1 - 1e-10
        torch.testing.assert_close(flow.log_prob(x, condition), right, rtol=0, atol=1e-4)


def test_learns_a_conditional_density_to_the_bound_of_its_entropy() -> None:
    """A correlated pair on a cylinder with a peak that follows the condition around the circle.

    angle = c + 0.2 n₁ (mod 2π), u = logistic(n₂ + 0.8 n₁), c uniform on the circle. The mean log-density of the truth on the
    held-out points is the best there is; the flow reaches it to 0.03 (0.018 when written, 2.36 at the start).
    """
    rng = torch.Generator().manual_seed(4)
    n = 30_000
    noise = torch.randn(n, 2, generator=rng)
    condition = (2 * torch.rand(n, 1, generator=rng) - 1) * math.pi
    z = noise[:, 1] + 0.8 * noise[:, 0]
    x = torch.stack((((condition[:, 0] + 0.2 * noise[:, 0]) / (2 * math.pi)) % 1, torch.sigmoid(z)), dim=-1)
    log_truth = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(dim=-1)
    log_truth += math.log(2 * math.pi / 0.2) - torch.log(x[:, 1] * (1 - x[:, 1]))
    flow = CouplingFlow(2, 1, (True, False), (True,), CouplingSettings(blocks=4, hidden=32, layers=2, bins=8))
    settings = TrainingSettings(epochs=12, batch_size=512, learning_rate=5e-3)
    known, test = slice(0, 25_000), slice(25_000, None)
    train(flow, lambda m, batch: -m.log_prob(*batch).mean(), (x[known], condition[known]), settings, seed=1)
    with torch.no_grad():
        loss = (log_truth[test] - flow.log_prob(x[test], condition[test])).mean().item()
    assert loss < 0.03


def test_wrong_flags_and_settings_are_refused() -> None:
    with pytest.raises(InputError, match="3 dimensions under 1 conditions"):
        CouplingFlow(3, 1, (True, False))
    with pytest.raises(InputError, match=r"CouplingSettings\.bins must be at least 1, not 0"):
        CouplingSettings(bins=0)
