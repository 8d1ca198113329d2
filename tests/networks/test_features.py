"""Features and perceptrons."""

import math

import pytest
import torch

from bmem.errors import InputError
from bmem.networks.layers import MLP, Features


def test_plain_columns_are_standardised_and_angles_become_points_of_the_circle() -> None:
    features = Features((False, True, False)).double()
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 7 + 100
    features.fit(x)
    out = features(x)
    assert out.shape == (500, features.outputs) == (500, 4)
    torch.testing.assert_close(out[:, :2].mean(dim=0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(out[:, :2].std(dim=0), torch.ones(2, dtype=torch.float64))
    turned = x + torch.tensor([0.0, 2 * math.pi, 0.0], dtype=torch.float64)
    torch.testing.assert_close(features(turned), out, rtol=0, atol=1e-11)


def test_scales_are_in_the_state_dict() -> None:
    features = Features((False, True))
    features.fit(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    copy = Features((False, True))
    copy.load_state_dict(features.state_dict())
    assert copy.mean.tolist() == [2.0]


def test_a_constant_column_stays_finite() -> None:
    features = Features((False,))
    features.fit(torch.full((10, 1), 5.0))
    assert features(torch.full((1, 1), 5.0)).item() == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(5, 3), r"\[N >= 2, 2\]"),
        (torch.zeros(1, 2), r"\[N >= 2, 2\]"),
        (torch.tensor([[0.0, math.nan], [0.0, 1.0]]), r"columns \[1\] are not finite"),
    ],
)
def test_unusable_data_are_refused(data: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Features((False, False)).fit(data)


def test_first_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = MLP(3, 2, 8, 2)
    torch.manual_seed(2)
    second = MLP(3, 2, 8, 2)
    assert torch.equal(first.first.weight, second.first.weight)
    second.reset(torch.Generator().manual_seed(3))
    assert not torch.equal(first.first.weight, second.first.weight)
    first.reset(torch.Generator().manual_seed(3))
    assert torch.equal(first.first.weight, second.first.weight)
    assert torch.equal(first(torch.ones(4, 3)), torch.zeros(4, 2))
