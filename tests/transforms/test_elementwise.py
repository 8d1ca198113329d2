"""Elementwise maps: tails in single precision, closed forms, what they refuse."""

import math

import pytest
import torch

from bmem.errors import InputError
from bmem.transforms.elementwise import Affine, Columns, HeavyTail, Moebius, PeriodicToUnit, Sigmoid


@pytest.mark.parametrize("transform", [HeavyTail(), Sigmoid()], ids=["heavy tail", "sigmoid"])
def test_single_precision_keeps_the_lower_tail_and_the_density(transform: torch.nn.Module) -> None:
    z = torch.tensor([-80.0, -30.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 30.0, 80.0])[:, None]
    u, log_jacobian = transform(z)
    exact, exact_log = transform(z.double())
    torch.testing.assert_close(u.double(), exact, rtol=1e-6, atol=0)
    torch.testing.assert_close(log_jacobian.double(), exact_log, rtol=1e-6, atol=1e-6)


def test_heavy_tail_round_trip_in_single_precision_is_limited_by_the_cube() -> None:
    """z = 100 lies 2.5e-5 from the upper end, where single precision resolves 6e-8: 0.12 % of it, half of that in z."""
    z = torch.tensor([[-100.0], [100.0]])
    back, _ = HeavyTail().inverse(HeavyTail()(z)[0])
    assert back[0].item() == pytest.approx(-100, rel=1e-6)
    assert back[1].item() == pytest.approx(100, rel=1.3e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transform", [HeavyTail(), Sigmoid()], ids=["heavy tail", "sigmoid"])
def test_the_ends_of_the_cube_give_finite_points(transform: torch.nn.Module, dtype: torch.dtype) -> None:
    x, log_jacobian = transform.inverse(torch.tensor([[0.0], [1.0]], dtype=dtype))
    assert torch.isfinite(x).all()
    assert torch.isfinite(log_jacobian).all()


def test_heavy_tail_is_students_t_with_two_degrees_of_freedom() -> None:
    from scipy import stats

    z = torch.linspace(-50, 50, 101, dtype=torch.float64)[:, None]
    u, log_jacobian = HeavyTail()(z)
    student = stats.t(2, scale=2**-0.5)
    torch.testing.assert_close(u, torch.from_numpy(student.cdf(z.numpy())), rtol=1e-11, atol=0)
    torch.testing.assert_close(log_jacobian, torch.from_numpy(student.logpdf(z.numpy()))[:, 0], rtol=1e-11, atol=1e-12)


def test_moebius_makes_a_wrapped_cauchy_density_uniform() -> None:
    phi = torch.linspace(-3.1, 3.1, 63, dtype=torch.float64)[:, None]
    gamma = 0.02
    density = math.sinh(gamma) / (math.cosh(gamma) - torch.cos(phi[:, 0])) / (2 * math.pi)
    _, log_jacobian = Moebius(torch.tensor([1 / math.tanh(gamma / 2)], dtype=torch.float64))(phi)
    torch.testing.assert_close(density / log_jacobian.exp(), torch.full_like(density, 1 / (2 * math.pi)))


def test_moebius_fit_finds_the_width_of_a_wrapped_cauchy_density() -> None:
    """Half of 20 001 exact quantiles of a wrapped Cauchy density lie where its median puts them."""
    gamma = 0.1
    u = (torch.arange(20_001, dtype=torch.float64) + 0.5) / 20_001
    phi = 2 * torch.atan(math.tanh(gamma / 2) * torch.tan(math.pi * (u - 0.5)))
    moebius = Moebius(torch.ones(1, dtype=torch.float64))
    moebius.fit(phi[:, None])
    assert moebius.stretch.item() == pytest.approx(1 / math.tanh(gamma / 2), rel=1e-3)


def test_circle_maps_do_not_see_full_turns() -> None:
    phi = torch.linspace(-3.1, 3.1, 9, dtype=torch.float64)[:, None]
    for transform in (Moebius(torch.tensor([7.0], dtype=torch.float64)), PeriodicToUnit()):
        torch.testing.assert_close(transform(phi + 2 * math.pi), transform(phi))


def test_affine_fit_ignores_tails() -> None:
    x = torch.linspace(-1, 1, 10_001, dtype=torch.float64)[:, None].repeat(1, 2) * torch.tensor([1.0, 5.0]) + 3
    x[0] = 1e9
    affine = Affine(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    affine.fit(x)
    torch.testing.assert_close(affine.shift, torch.full((2,), 3.0, dtype=torch.float64), rtol=1e-3, atol=0)
    torch.testing.assert_close(affine.scale, 0.6827 * torch.tensor([1.0, 5.0], dtype=torch.float64), rtol=1e-3, atol=0)


def test_impossible_maps_are_refused() -> None:
    with pytest.raises(InputError, match="scale of an affine map must be positive"):
        Affine(torch.zeros(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(InputError, match="width of every column"):
        Affine(torch.zeros(1), torch.ones(1)).fit(torch.ones(10, 1))
    with pytest.raises(InputError, match="stretch of a circle"):
        Moebius(torch.tensor([-1.0]))
    with pytest.raises(InputError, match="stretch of a circle that the data ask for"):
        Moebius(torch.ones(1)).fit(torch.zeros(10, 1))
    with pytest.raises(InputError, match="exactly one map"):
        Columns([(Sigmoid(), (0, 1)), (Sigmoid(), (1,))])
