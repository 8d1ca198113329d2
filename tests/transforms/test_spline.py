"""Rational-quadratic splines against zuko's, and what the circle asks of them."""

import math

import pytest
import torch
from torch import Tensor
from zuko.transforms import MonotonicRQSTransform

from bmem.errors import InputError
from bmem.transforms.spline import (
    LARGEST_LOG_RATIO,
    LARGEST_LOG_SLOPE,
    Spline,
    parameter_count,
    rational_quadratic,
)

BINS, BOUND = 9, 5.0


def unbounded(log_value: Tensor, largest: float) -> Tensor:
    """The unconstrained parameter that bmem's splines bound to ``log_value``."""
    return largest * torch.atanh(log_value / largest)


def random_parameters(*shape: int, seed: int = 1, size: float = 1.0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return size * torch.randn(*shape, parameter_count(BINS), generator=rng, dtype=torch.float64)


def test_equals_zuko_at_equal_parameters() -> None:
    """zuko's slopes at the two ends are 1, its domain [-5, 5]; its bins and slopes are translated into bmem's parameters."""
    rng = torch.Generator().manual_seed(3)
    shape = (200, BINS)
    widths, heights = (torch.randn(shape, generator=rng, dtype=torch.float64) for _ in range(2))
    slopes = torch.randn(200, BINS - 1, generator=rng, dtype=torch.float64)
    theirs = MonotonicRQSTransform(widths, heights, slopes, bound=BOUND)
    x = torch.rand(200, generator=rng, dtype=torch.float64)

    def sizes(knots: Tensor) -> Tensor:
        log_size = knots.diff(dim=-1).log()
        return unbounded(log_size - log_size.mean(dim=-1, keepdim=True), 0.5 * LARGEST_LOG_RATIO)

    log_slopes = unbounded(theirs.derivatives.log(), LARGEST_LOG_SLOPE)
    parameters = torch.cat((sizes(theirs.horizontal), sizes(theirs.vertical), log_slopes), dim=-1)
    y, log_jacobian = rational_quadratic(x, parameters)
    expected, expected_log = theirs.call_and_ladj(BOUND * (2 * x - 1))
    torch.testing.assert_close(BOUND * (2 * y - 1), expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(log_jacobian, expected_log, rtol=1e-11, atol=1e-11)
    back, back_log = rational_quadratic(y, parameters, inverse=True)
    torch.testing.assert_close(BOUND * (2 * back - 1), theirs.inv(expected), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(back_log, -expected_log, rtol=1e-11, atol=1e-11)


def test_zero_parameters_are_the_identity() -> None:
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    for inverse in (False, True):
        y, log_jacobian = rational_quadratic(x, torch.zeros(101, parameter_count(4), dtype=torch.float64), inverse=inverse)
        torch.testing.assert_close(y, x, rtol=0, atol=1e-15)
        torch.testing.assert_close(log_jacobian, torch.zeros_like(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_maps_the_interval_onto_itself_and_rises(size: float) -> None:
    parameters = random_parameters(30, size=size)
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    y, log_jacobian = rational_quadratic(x.expand(30, -1), parameters[:, None].expand(30, 1001, -1))
    assert (y.diff(dim=-1) > 0).all()
    assert torch.isfinite(log_jacobian).all()
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(30, 2)
    torch.testing.assert_close(y[:, [0, -1]], ends, rtol=0, atol=1e-14)


def test_single_precision_follows_double() -> None:
    """Rounding of 6e-8 in x is amplified by slopes up to the largest one here, of order 100."""
    parameters = random_parameters(2000)
    x = torch.rand(2000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    exact, exact_log = rational_quadratic(x, parameters)
    y, log_jacobian = rational_quadratic(x.float(), parameters.float())
    torch.testing.assert_close(y.double(), exact, rtol=0, atol=1e-5)
    torch.testing.assert_close(log_jacobian.double(), exact_log, rtol=0, atol=1e-3)


@pytest.mark.parametrize("inverse", [False, True])
def test_extreme_splines_are_finite_next_to_their_knots_in_single_precision(inverse: bool) -> None:
    """One rounding off a knot, a point is not in its narrow bin any more; some 600 of these points had no logarithm."""
    count = 1_000_000
    parameters = random_parameters(count, size=20.0).float()
    sizes = (0.5 * LARGEST_LOG_RATIO * torch.tanh(parameters[:, : 2 * BINS] * (2 / LARGEST_LOG_RATIO))).exp()
    knots = sizes.unflatten(-1, (2, BINS))[:, int(inverse)].cumsum(-1)
    at = torch.randint(BINS - 1, (count, 1), generator=torch.Generator().manual_seed(3))
    knot = (knots / knots[:, -1:]).gather(-1, at).squeeze(-1)
    for x in (torch.nextafter(knot, torch.zeros_like(knot)), torch.nextafter(knot, torch.ones_like(knot))):
        y, log_jacobian = rational_quadratic(x, parameters, inverse=inverse)
        assert torch.isfinite(log_jacobian).all()
        assert ((y >= 0) & (y <= 1)).all()


def test_ends_have_slopes_of_their_own_only_on_a_line() -> None:
    parameters = random_parameters(2, seed=5).expand(2, -1)
    x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    _, on_line = rational_quadratic(x, parameters[0].expand(2, -1))
    _, on_circle = rational_quadratic(x, parameters[0].expand(2, -1), torch.tensor(True))
    expected = [LARGEST_LOG_SLOPE * math.tanh(parameters[0, i] / LARGEST_LOG_SLOPE) for i in (2 * BINS, -1)]
    assert on_line.tolist() == pytest.approx(expected, abs=1e-12)
    assert on_circle.tolist() == pytest.approx([expected[0]] * 2, abs=1e-12)


def test_circular_spline_is_smooth_where_the_angle_jumps() -> None:
    spline = Spline(BINS, (True,)).double()
    spline.raw.data = random_parameters(1)
    spline.turns.data.fill_(0.3)
    for where in (0.0, 0.7):  # 0 = 1 of the point, and of the spline after its rotation
        x = torch.tensor([where - 1e-9, where + 1e-9], dtype=torch.float64)[:, None] % 1
        y, log_jacobian = spline(x)
        assert torch.sin(math.pi * y.diff(dim=0)).abs().item() < 1e-6
        assert log_jacobian.diff().abs().item() < 1e-6


def test_density_at_zero_is_free() -> None:
    """Without its rotation a circular spline would map 0 to 0 always."""
    spline = Spline(BINS, (True,)).double()
    spline.turns.data.fill_(0.25)
    y, _ = spline(torch.zeros(1, 1, dtype=torch.float64))
    assert y.item() == pytest.approx(0.25)


def test_a_spline_without_bins_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 bin"):
        Spline(0, (False,))
