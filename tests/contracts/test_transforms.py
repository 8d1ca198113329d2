"""Every Transform: the inverse inverts, and both log-Jacobians are those of autograd, in double precision."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bmem.networks.coupling import CouplingBlock, CouplingSettings
from bmem.transforms.contract import Transform
from bmem.transforms.elementwise import (
    Affine,
    Columns,
    Compose,
    HeavyTail,
    Inverse,
    Logarithm,
    Moebius,
    PeriodicToUnit,
    Sigmoid,
)
from bmem.transforms.grid import VegasGrid
from bmem.transforms.spline import Spline

D = 4
TOLERANCE = 1e-10
"""The worst point of a case has a Jacobian of order 1e3, which leaves 1e-13 of the 1e-16 of double precision."""


def line(rng: torch.Generator) -> Tensor:
    return 4 * torch.randn(2, 30, D, generator=rng, dtype=torch.float64)


def positive(rng: torch.Generator) -> Tensor:
    return line(rng).exp()


def angle(rng: torch.Generator) -> Tensor:
    return (2 * torch.rand(2, 30, D, generator=rng, dtype=torch.float64) - 1) * torch.pi


def cube(rng: torch.Generator) -> Tensor:
    return torch.rand(2, 30, D, generator=rng, dtype=torch.float64)


def mixed(rng: torch.Generator) -> Tensor:
    return torch.cat([line(rng)[..., :2], angle(rng)[..., :2]], dim=-1)


def perturbed(module: Transform) -> Transform:
    """The module in double precision with outputs of order 1 instead of its first ones."""
    rng = torch.Generator().manual_seed(5)
    module = module.double()
    for parameter in module.parameters():
        parameter.data += torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / parameter.shape[-1] ** 0.5
    return module


def block(mask: list[bool], circular: tuple[bool, ...]) -> Transform:
    return perturbed(CouplingBlock(mask, circular, 3, CouplingSettings(hidden=16, bins=6)))


VALUES = torch.tensor([0.1, 1.0, 3.0, 20.0], dtype=torch.float64)
EDGES = torch.linspace(0, 1, 9, dtype=torch.float64) ** VALUES.sqrt()[:, None]


@dataclass(frozen=True)
class Case:
    make: Callable[[], Transform]
    points: Callable[[torch.Generator], Tensor]


CASES = {
    "affine": Case(lambda: Affine(VALUES.log(), VALUES), line),
    "logarithm": Case(Logarithm, positive),
    "sigmoid": Case(Sigmoid, line),
    "logit": Case(lambda: Inverse(Sigmoid()), cube),
    "heavy tail": Case(HeavyTail, line),
    "periodic to unit": Case(PeriodicToUnit, angle),
    "moebius": Case(lambda: Moebius(VALUES), angle),
    "compose": Case(lambda: Compose(Logarithm(), Affine(VALUES, VALUES), HeavyTail()), positive),
    "columns": Case(lambda: Columns([(PeriodicToUnit(), (3, 2)), (Sigmoid(), (0,)), (HeavyTail(), (1,))]), mixed),
    "grid": Case(lambda: VegasGrid(EDGES), cube),
    "spline": Case(lambda: perturbed(Spline(7, (False, True, False, True))), cube),
    "coupling": Case(lambda: block([True, False, True, False], (False,) * 4), cube),
    "coupling on circles": Case(lambda: block([True, False, True, False], (True, True, False, False)), cube),
    "coupling of all": Case(lambda: block([True] * 4, (True, False, False, False)), cube),
}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def context(x: Tensor) -> Tensor:
    return torch.linspace(-1, 1, 3 * x[..., 0].numel(), dtype=torch.float64).reshape(*x.shape[:-1], 3)


def test_inverse_of_forward_is_identity(case: Case) -> None:
    transform, x = case.make(), case.points(torch.Generator().manual_seed(1))
    y, forward = transform(x, context(x))
    back, backward = transform.inverse(y, context(x))
    assert forward.shape == backward.shape == x.shape[:-1]
    torch.testing.assert_close(back, x, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(backward, -forward, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_jacobian_is_that_of_autograd(case: Case, direction: str) -> None:
    transform, x = case.make(), case.points(torch.Generator().manual_seed(2))[0]
    if direction == "inverse":
        x = transform(x, context(x))[0].detach()
    call = getattr(transform, direction)
    x.requires_grad_()
    y, log_jacobian = call(x, context(x))
    rows = [torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)[0] for i in range(D)]
    expected = torch.linalg.slogdet(torch.stack(rows, dim=-2)).logabsdet
    torch.testing.assert_close(log_jacobian, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_works_under_vmap(case: Case) -> None:
    transform, x = case.make(), case.points(torch.Generator().manual_seed(3))
    for call in (transform.forward, transform.inverse):
        batched, one_by_one = torch.vmap(call)(x, context(x)), [call(*pair) for pair in zip(x, context(x), strict=True)]
        for i, expected in enumerate(one_by_one):
            torch.testing.assert_close((batched[0][i], batched[1][i]), expected, equal_nan=True)
        x = transform(x, context(x))[0]
