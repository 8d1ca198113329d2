"""The VEGAS grid: an exact invertible map that learns where a function is large."""

import math

import pytest
import torch

from bmem.errors import InputError
from bmem.transforms.grid import VegasGrid

NARROW = torch.tensor([0.02, 0.1, 0.4], dtype=torch.float64)


def draw(n: int, seed: int, dimension: int = 3) -> torch.Tensor:
    return torch.rand(n, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def peak(y: torch.Tensor) -> torch.Tensor:
    """A product of Gaussians at 0.3 with widths NARROW, normalised on the real line."""
    z = (y - 0.3) / NARROW
    return torch.exp(-0.5 * (z**2).sum(-1)) / (NARROW.prod() * (2 * math.pi) ** 1.5)


def weights(grid: VegasGrid, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    y, log_jacobian = grid(u)
    return y, peak(y) * torch.exp(log_jacobian)


@pytest.fixture(scope="module")
def adapted() -> VegasGrid:
    grid = VegasGrid.uniform(3)
    for seed in range(12):
        grid = grid.adapted(*weights(grid, draw(20_000, seed)))
    return grid


def test_a_uniform_grid_is_the_identity() -> None:
    u = draw(100, 0)
    y, log_jacobian = VegasGrid.uniform(3, bins=50)(u)
    torch.testing.assert_close(y, u, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(log_jacobian, torch.zeros(100, dtype=torch.float64), rtol=0, atol=1e-12)


def test_inverse_and_both_jacobians(adapted: VegasGrid) -> None:
    u = draw(2000, 1)
    y, forward = adapted(u)
    back, backward = adapted.inverse(y)
    torch.testing.assert_close(back, u, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(backward, -forward, rtol=1e-10, atol=1e-10)
    jacobian = torch.stack([torch.autograd.functional.jacobian(lambda v: adapted(v)[0], point) for point in u[:20]])
    torch.testing.assert_close(forward[:20], torch.linalg.slogdet(jacobian)[1], rtol=1e-10, atol=1e-10)


def test_corners_map_to_corners(adapted: VegasGrid) -> None:
    corners = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(adapted(corners)[0], corners, rtol=0, atol=1e-14)
    torch.testing.assert_close(adapted.inverse(corners)[0], corners, rtol=0, atol=1e-14)


def test_leading_axes_are_kept(adapted: VegasGrid) -> None:
    u = draw(24, 2).reshape(2, 3, 4, 3)
    y, log_jacobian = adapted(u)
    assert (y.shape, log_jacobian.shape) == (u.shape, u.shape[:-1])
    torch.testing.assert_close(y[1, 2], adapted(u[1, 2])[0])
    torch.testing.assert_close(adapted.inverse(y)[0], u, rtol=1e-11, atol=1e-11)
    assert adapted.inverse(y[0, 0, 0])[0].shape == (3,)


def test_adapting_finds_a_product_of_peaks(adapted: VegasGrid) -> None:
    """What an ideal grid leaves: in each dimension the weight falls from 1 to 0 within the two bins of 64 with the tails.

    The relative variance is then below 3 · 2/64 = 0.31² (it was 7² before); the mean is held to five errors, p = 6e-7.
    """
    spread = math.sqrt(3 * 2 / 64)
    expected = torch.special.ndtr(0.7 / NARROW) - torch.special.ndtr(-0.3 / NARROW)
    _, before = weights(VegasGrid.uniform(3), draw(20_000, 99))
    _, after = weights(adapted, draw(20_000, 99))
    assert float(before.std() / before.mean()) > 5
    assert float(after.std() / after.mean()) < spread
    assert float(after.mean()) == pytest.approx(float(expected.prod()), rel=5 * spread / math.sqrt(20_000))


def test_no_damping_leaves_the_grid_alone(adapted: VegasGrid) -> None:
    u = draw(5000, 3)
    same = adapted.adapted(*weights(adapted, u), damping=0.0)
    torch.testing.assert_close(same.edges, adapted.edges, rtol=0, atol=1e-12)


def test_a_grid_travels_in_a_state_dict(adapted: VegasGrid) -> None:
    other = VegasGrid.uniform(3)
    other.load_state_dict(adapted.state_dict())
    u = draw(10, 4)
    assert torch.equal(other(u)[0], adapted(u)[0])


@pytest.mark.parametrize("edges", [[[0.0, 0.5, 0.5, 1.0]], [[0.0, 0.5, 0.9]], [[0.1, 0.5, 1.0]], [[0.0, float("nan"), 1.0]]])
def test_edges_that_do_not_increase_are_an_error(edges: list) -> None:
    with pytest.raises(InputError, match="increase from 0 to 1"):
        VegasGrid(torch.tensor(edges))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_weights_that_say_nothing_are_an_error(value: float) -> None:
    y = draw(100, 5)
    with pytest.raises(InputError, match="weights"):
        VegasGrid.uniform(3).adapted(y, torch.full((100,), value, dtype=torch.float64))
