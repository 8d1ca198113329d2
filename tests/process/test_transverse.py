"""Phase space of any final state: momenta and back, Jacobians, the measure, the cascade map, and known volumes."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bmem import kinematics
from bmem.errors import InputError
from bmem.process.cascade import CascadeMap
from bmem.process.phase_space import PhaseSpace
from bmem.process.transverse import Particle, TransversePhaseSpace

TTH = TransversePhaseSpace(13_000.0, (Particle("t", 172.5), Particle("tbar", 172.5), Particle("h", 125.0)), (2, 0, 1))
THJ = TransversePhaseSpace(13_000.0, (Particle("t", 172.5), Particle("h", 125.0), Particle("j", 0.0)), (1, 2, 0))
PAIR = TransversePhaseSpace(8_000.0, (Particle("a", 0.0), Particle("b", 90.0)))
FOUR = TransversePhaseSpace(13_000.0, (Particle("t", 172.5), Particle("w", 80.4), Particle("j", 0.0), Particle("k", 0.0)))
SPACES = {"tth": TTH, "thj": THJ, "pair": PAIR, "four": FOUR}


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> TransversePhaseSpace:
    return SPACES[request.param]


def uniform(n: int, d: int, seed: int = 5) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def points(space: TransversePhaseSpace, n: int = 100) -> Tensor:
    """x_hard [n, D] from 1 GeV to the TeV, from central to y = ±4."""
    x = uniform(n, len(space.coordinate_names))
    for i, name in enumerate(space.coordinate_names):
        kind = name.split("_")[0]
        x[:, i] = {"pt": 10 ** (3 * x[:, i]), "phi": 2 * math.pi * (x[:, i] - 0.5), "y": 8 * (x[:, i] - 0.5)}[kind]
    return x


def test_names_say_what_the_coordinates_are() -> None:
    assert TTH.coordinate_names == ("pt_h", "phi_h", "y_h", "pt_t", "phi_t", "y_t", "y_tbar")
    assert PAIR.coordinate_names == ("pt_a", "phi_a", "y_a", "y_b")


def test_momenta_are_on_shell_balanced_and_lead_back(space: TransversePhaseSpace) -> None:
    x = points(space)
    momenta, forward = space.to_momenta(x)
    for i, particle in enumerate(space.particles):
        shell = kinematics.mass_squared(momenta[:, i]) - particle.mass**2
        assert float((shell / momenta[:, i, 0] ** 2).abs().max()) < 1e-12
    assert float(momenta[:, :, 1:3].sum(1).abs().max()) < 1e-9
    back, backward = space.from_momenta(momenta)
    torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(backward, -forward, rtol=1e-10, atol=1e-10)


def test_log_jacobian_is_that_of_autograd(space: TransversePhaseSpace) -> None:
    def cartesian(x: Tensor) -> Tensor:
        momenta = space.to_momenta(x)[0]
        *free, last = space.order or range(len(space.particles))
        return torch.cat([*(momenta[i, 1:] for i in free), momenta[last, 3:]])

    x = points(space, 20)
    jacobian = torch.stack([torch.autograd.functional.jacobian(cartesian, point) for point in x])
    torch.testing.assert_close(space.to_momenta(x)[1], torch.linalg.slogdet(jacobian)[1], rtol=1e-9, atol=1e-9)


def test_measure_follows_from_the_jacobian(space: TransversePhaseSpace) -> None:
    """dx1 dx2 dΦ_n = (2/s) (2π)^(4-3n) Π 1/(2E) d³p_1 … dp_z,n."""
    x, n = points(space), len(space.particles)
    momenta, log_jacobian = space.to_momenta(x)
    expected = 2 / space.sqrt_s**2 * (2 * math.pi) ** (4 - 3 * n) * torch.exp(log_jacobian) / (2 * momenta[..., 0]).prod(-1)
    torch.testing.assert_close(space.measure(x), expected, rtol=1e-11, atol=0)


def test_thj_is_one_case_of_it() -> None:
    own, x = PhaseSpace(13_000.0, 172.5, 125.0), points(THJ)
    assert THJ.coordinate_names == ("pt_h", "phi_h", "y_h", "pt_j", "phi_j", "y_j", "y_t")
    point, theirs = THJ.kinematics(x), own.kinematics(x)
    for mine, other in ((THJ.to_momenta(x)[0], own.to_momenta(x)[0]), (THJ.measure(x), own.measure(x))):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(point.x1, theirs.x1, rtol=1e-12, atol=0)
    assert torch.equal(THJ.outside(x, point), own.outside(x, theirs))
    turn, flip = torch.tensor(0.7, dtype=torch.float64), uniform(len(x), 1)[:, 0] > 0.5
    torch.testing.assert_close(THJ.rotated(x, turn, flip), own.rotated(x, turn, flip))


def test_a_turn_about_the_x_axis_swaps_the_beams(space: TransversePhaseSpace) -> None:
    x = points(space)
    turned = space.rotated(x, torch.zeros(()), torch.ones(len(x), dtype=torch.bool))
    expected = space.to_momenta(x)[0] * torch.tensor([1.0, 1.0, -1.0, -1.0]).double()
    torch.testing.assert_close(space.to_momenta(turned)[0], expected, rtol=1e-9, atol=1e-9)


def test_outside_is_where_no_collision_is() -> None:
    x = points(TTH, 3)
    x[0, 0], x[1, 5] = -1.0, 12.0
    assert TTH.outside(x, TTH.kinematics(x)).tolist() == [True, True, False]


def test_cascade_has_the_jacobian_of_its_coordinates(space: TransversePhaseSpace) -> None:
    """d(x1, x2, Φ_n)/du = measure(x_hard) |∂x_hard/∂(u, azimuth)| 2π: the closed form against autograd."""
    n = len(space.particles)
    cascade = CascadeMap(space, space.order or tuple(range(n)))
    u = 0.9 * uniform(20, 3 * n - 3) + 0.05

    def x_hard(extended: Tensor) -> Tensor:
        x = space.coordinates(cascade(extended[None, :-1])[0])
        return space.rotated(x, extended[None, -1], torch.tensor([False]))[0]

    extended = torch.cat([u, torch.full((20, 1), 0.3, dtype=torch.float64)], dim=1)
    jacobian = torch.stack([torch.autograd.functional.jacobian(x_hard, point) for point in extended])
    x = torch.stack([x_hard(point) for point in extended])
    expected = space.measure(x) * torch.linalg.det(jacobian).abs() * 2 * math.pi
    torch.testing.assert_close(cascade(u)[1], expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_volume_of_massless_particles_is_that_of_the_closed_form(n: int) -> None:
    """Φ_n(ŝ) = (2π)^(4-3n) (π/2)^(n-1) ŝ^(n-2) / ((n-1)! (n-2)!), at points of large ŝ; 0.5 % with 2^15 of them."""
    space = TransversePhaseSpace(100.0, tuple(Particle(f"p{i}", 1e-6) for i in range(n)))
    cascade = CascadeMap(space, tuple(range(n)))
    u = torch.quasirandom.SobolEngine(3 * n - 3, scramble=True, seed=1).draw(2**15, dtype=torch.float64)
    u[:, 0] = 0.97 + 0.03 * u[:, 0]
    point, jacobian = cascade(u)
    shat = point.x1 * point.x2 * space.sqrt_s**2
    constant = (2 * math.pi) ** (4 - 3 * n) * (math.pi / 2) ** (n - 1)
    volume = constant * shat ** (n - 2) / math.factorial(n - 1) / math.factorial(n - 2)
    # the rest of the Jacobian is that of x1, x2: flat in log ŝ from the threshold on, and in the rapidity
    width = math.log(space.sqrt_s**2 / (n * 1e-6) ** 2)
    plane = shat / space.sqrt_s**2 * width * torch.log(space.sqrt_s**2 / shat)
    assert float(jacobian.sum() / (plane * volume).sum()) == pytest.approx(1.0, rel=5e-3)


def test_cascade_points_keep_energy_and_momentum(space: TransversePhaseSpace) -> None:
    n = len(space.particles)
    point, jacobian = CascadeMap(space, tuple(range(n)))(uniform(1000, 3 * n - 3))
    again = space.kinematics(space.coordinates(point))
    assert bool((jacobian > 0).all())
    assert float(torch.maximum(point.x1, point.x2).max()) <= 1 + 1e-12
    for one, other in zip(point.outgoing, again.outgoing, strict=True):
        energy = one.plus + one.minus
        for a, b in zip(one, other, strict=True):
            assert float(((a - b).abs() / energy).max()) < 1e-7


def test_gradients_are_finite_at_the_edge() -> None:
    x = points(TTH, 2)
    x[0, 0] = 0.0
    x.requires_grad_()
    TTH.to_momenta(x)[0].sum().backward()
    assert x.grad is not None
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("shape", [(3,), (2, 6), (8,), ()])
def test_x_hard_of_a_wrong_shape_is_an_error(shape: tuple) -> None:
    with pytest.raises(InputError, match="x_hard has shape"):
        TTH.to_momenta(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (5, 2, 4), (3, 3)])
def test_momenta_of_a_wrong_shape_are_an_error(shape: tuple) -> None:
    with pytest.raises(InputError, match="momenta have shape"):
        TTH.from_momenta(torch.zeros(shape))
