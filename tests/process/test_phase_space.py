"""x_hard ↔ momenta, their Jacobians, and the phase-space measure."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from bmem import kinematics
from bmem.errors import InputError
from bmem.process.mapping import PeakMap
from bmem.process.phase_space import PhaseSpace

SPACE = PhaseSpace(sqrt_s=13_000.0, mt=172.5, mh=125.0)


@pytest.fixture
def points() -> torch.Tensor:
    """x_hard [200, 7] from the soft to the multi-TeV, from central to y = ±5."""
    rng = torch.Generator().manual_seed(5)
    u = torch.rand(200, 7, generator=rng, dtype=torch.float64)
    scale = torch.tensor([0, 2 * math.pi, 6, 0, 2 * math.pi, 10, 6], dtype=torch.float64)
    x = (u - 0.5) * scale
    x[:, 0], x[:, 3] = 10 ** (3.2 * u[:, 0]), 10 ** (3.2 * u[:, 3])
    return x


def cartesian(x: torch.Tensor) -> torch.Tensor:
    """(p⃗_H, p⃗_j, p_z,t) [7] of one point."""
    top, higgs, jet = SPACE.to_momenta(x)[0]
    return torch.cat([higgs[1:], jet[1:], top[3:]])


def test_momenta_are_on_shell_and_balanced(points: torch.Tensor) -> None:
    momenta, _ = SPACE.to_momenta(points)
    for index, mass in enumerate((172.5, 125.0, 0.0)):
        shell = kinematics.mass_squared(momenta[:, index]) - mass**2
        assert float((shell / momenta[:, index, 0] ** 2).abs().max()) < 1e-13
    assert float(momenta[:, :, 1:3].sum(1).abs().max()) < 1e-9


def test_from_momenta_inverts_to_momenta(points: torch.Tensor) -> None:
    momenta, forward = SPACE.to_momenta(points)
    back, backward = SPACE.from_momenta(momenta)
    torch.testing.assert_close(back, points, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(backward, -forward, rtol=1e-12, atol=1e-12)


def test_log_jacobian_is_that_of_autograd(points: torch.Tensor) -> None:
    jacobian = torch.stack([torch.autograd.functional.jacobian(cartesian, x) for x in points[:40]])
    torch.testing.assert_close(SPACE.to_momenta(points[:40])[1], torch.linalg.slogdet(jacobian)[1], rtol=1e-10, atol=1e-10)


def test_reference_momenta_survive_the_round_trip(load_table) -> None:
    momenta = torch.from_numpy(load_table("differential")["momenta_tHj"])
    back = SPACE.to_momenta(SPACE.from_momenta(momenta)[0])[0]
    np.testing.assert_allclose(back.numpy(), momenta.numpy(), rtol=1e-9, atol=1e-6)


def test_measure_follows_from_the_jacobian(points: torch.Tensor) -> None:
    """dx1 dx2 dΦ₃ = (2/s) (2π)⁻⁵ Π 1/(2E) d³p_H d³p_j dp_z,t."""
    momenta, log_jacobian = SPACE.to_momenta(points)
    energies = (2 * momenta[..., 0]).prod(-1)
    expected = 2 / SPACE.sqrt_s**2 / (2 * math.pi) ** 5 * torch.exp(log_jacobian) / energies
    torch.testing.assert_close(SPACE.measure(points), expected, rtol=1e-12, atol=0)


def test_peak_map_has_the_jacobian_of_its_coordinates() -> None:
    """d(x1, x2, Φ₃)/du = measure(x_hard) |∂x_hard/∂(u, azimuth)| 2π: the closed form against autograd."""
    peaks = PeakMap(SPACE, 80.4)
    u = torch.rand(30, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.9 + 0.05

    def x_hard(extended: torch.Tensor) -> torch.Tensor:
        x = SPACE.coordinates(peaks(extended[None, :6])[0])
        return SPACE.rotated(x, extended[None, 6], torch.tensor([False]))[0]

    extended = torch.cat([u, torch.full((30, 1), 0.3, dtype=torch.float64)], dim=1)
    jacobian = torch.stack([torch.autograd.functional.jacobian(x_hard, point) for point in extended])
    x = torch.stack([x_hard(point) for point in extended])
    expected = SPACE.measure(x) * torch.linalg.det(jacobian).abs() * 2 * math.pi
    torch.testing.assert_close(peaks(u)[1], expected, rtol=1e-8, atol=0)


def test_peak_map_points_are_on_shell_and_conserve_momentum() -> None:
    peaks = PeakMap(SPACE, 80.4)
    point, jacobian = peaks(torch.rand(1000, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    again = SPACE.kinematics(SPACE.coordinates(point))
    assert bool((jacobian > 0).all())
    assert float(torch.maximum(point.x1, point.x2).max()) <= 1
    parts: tuple[Any, Any] = ((*point[:3], point.x1, point.x2), (*again[:3], again.x1, again.x2))
    for one, other in zip(*parts, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_a_turn_about_the_x_axis_swaps_the_beams(points: torch.Tensor) -> None:
    turned = SPACE.rotated(points, torch.zeros(()), torch.ones(len(points), dtype=torch.bool))
    momenta, there = SPACE.to_momenta(points)[0], SPACE.to_momenta(turned)[0]
    torch.testing.assert_close(there, momenta * torch.tensor([1.0, 1.0, -1.0, -1.0]).double(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(3,), (2, 6), (8,), ()])
def test_x_hard_of_a_wrong_shape_is_an_error(shape: tuple) -> None:
    with pytest.raises(InputError, match="x_hard has shape"):
        SPACE.to_momenta(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (5, 2, 4), (3, 3)])
def test_momenta_of_a_wrong_shape_are_an_error(shape: tuple) -> None:
    with pytest.raises(InputError, match="momenta have shape"):
        SPACE.from_momenta(torch.zeros(shape))
