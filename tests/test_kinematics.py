"""Four-vectors: coordinates there and back, boosts against closed forms, angles in their range."""

import math

import pytest
import torch

from bmem import kinematics
from bmem.rng import generator

MASSES = [0.0, 125.0, 172.5]


@pytest.fixture
def coordinates() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(pt, y, phi) of 1000 vectors, forward ones too."""
    uniform = torch.rand(3, 1000, generator=generator(1, "kinematics"), dtype=torch.float64)
    return 1 + 500 * uniform[0], 10 * uniform[1] - 5, 2 * math.pi * uniform[2] - math.pi


@pytest.mark.parametrize("mass", MASSES)
def test_rapidity_coordinates_there_and_back(coordinates: tuple[torch.Tensor, ...], mass: float) -> None:
    pt, y, phi = coordinates
    p = kinematics.from_pt_y_phi(pt, y, phi, mass)
    torch.testing.assert_close(kinematics.pt(p), pt)
    torch.testing.assert_close(kinematics.rapidity(p), y, rtol=0, atol=1e-9)
    torch.testing.assert_close(kinematics.phi(p), phi)
    # m² is a difference of squares of the energy: its rounding is a few ulp of E²
    assert torch.all((kinematics.mass_squared(p) - mass**2).abs() < 1e-15 * 10 * p[:, 0] ** 2)


@pytest.mark.parametrize("mass", MASSES)
def test_pseudorapidity_coordinates_there_and_back(coordinates: tuple[torch.Tensor, ...], mass: float) -> None:
    pt, eta, phi = coordinates
    p = kinematics.from_pt_eta_phi(pt, eta, phi, mass)
    torch.testing.assert_close(kinematics.pt(p), pt)
    torch.testing.assert_close(kinematics.eta(p), eta)
    assert torch.all((kinematics.mass(p) ** 2 - mass**2).abs() < 1e-15 * 10 * p[:, 0] ** 2)


def test_rapidity_and_pseudorapidity_agree_without_mass(coordinates: tuple[torch.Tensor, ...]) -> None:
    pt, y, phi = coordinates
    torch.testing.assert_close(kinematics.from_pt_y_phi(pt, y, phi, 0.0), kinematics.from_pt_eta_phi(pt, y, phi))


def test_mass_of_a_spacelike_rounding_is_zero() -> None:
    assert float(kinematics.mass(torch.tensor([1.0, 0.0, 0.0, 1.0 + 1e-12], dtype=torch.float64))) == 0.0


def test_boost_along_z_adds_rapidity(coordinates: tuple[torch.Tensor, ...]) -> None:
    pt, y, phi = coordinates
    p = kinematics.from_pt_y_phi(pt, 0.3 * y, phi, 125.0)
    zero = torch.zeros_like(pt)
    frame = kinematics.from_pt_y_phi(zero, zero + 1.5, zero, 172.5)
    moved = kinematics.boost(p, frame)
    torch.testing.assert_close(kinematics.rapidity(moved), 0.3 * y + 1.5)
    torch.testing.assert_close(moved[:, 1:3], p[:, 1:3])


def test_boost_is_a_lorentz_transformation(coordinates: tuple[torch.Tensor, ...]) -> None:
    pt, y, phi = coordinates
    frame = kinematics.from_pt_y_phi(pt, 0.2 * y, phi, 172.5)
    rest = torch.tensor([172.5, 0.0, 0.0, 0.0], dtype=torch.float64).expand_as(frame)
    torch.testing.assert_close(kinematics.boost(rest, frame), frame)
    a, b = torch.randn(2, 1000, 4, generator=generator(2, "kinematics"), dtype=torch.float64)
    metric = torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    before = (a * b * metric).sum(-1)
    after = (kinematics.boost(a, frame) * kinematics.boost(b, frame) * metric).sum(-1)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9)
    back = torch.cat([frame[:, :1], -frame[:, 1:]], dim=-1)
    torch.testing.assert_close(kinematics.boost(kinematics.boost(a, frame), back), a, rtol=0, atol=1e-9)


def test_wrap_and_distance() -> None:
    angles = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    wrapped = kinematics.wrap(angles)
    torch.testing.assert_close(torch.cos(wrapped), torch.cos(angles), rtol=0, atol=1e-13)
    torch.testing.assert_close(torch.sin(wrapped), torch.sin(angles), rtol=0, atol=1e-13)
    zero = torch.zeros(1, dtype=torch.float64)
    across = kinematics.delta_r(zero, zero + math.pi - 0.1, zero + 0.3, zero - math.pi + 0.3)
    torch.testing.assert_close(across, zero + 0.5)


def test_wrap_stays_below_pi() -> None:
    """Used to give π itself one rounding below -π."""
    edge = torch.tensor([-math.pi, math.pi, 3 * math.pi, 0.0], dtype=torch.float64)
    near = torch.cat([edge, torch.nextafter(edge, edge - 1), torch.nextafter(edge, edge + 1)])
    wrapped = kinematics.wrap(near)
    assert torch.all((wrapped >= -math.pi) & (wrapped < math.pi))
