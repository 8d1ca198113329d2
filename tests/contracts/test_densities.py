"""Every ConditionalDensity: normalised, sampled as it is evaluated, and a function of noise and condition alone."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from architectures import DENSITIES, perturb
from scipy import stats
from torch import Tensor

from bmem.events.observation import Layout
from bmem.networks.contract import ConditionalDensity
from bmem.networks.mixture import DefensiveMixture, Uniform

FALSE_ALARM = 2e-5


def learned(architecture: str, *circular: bool) -> ConditionalDensity:
    density = DENSITIES[architecture].make(Layout(len(circular)), circular, Layout(2)).double()
    perturb(density)
    return density


def guarded() -> ConditionalDensity:
    density = DefensiveMixture(DENSITIES["coupling"].make(Layout(2), (True, False), Layout(2)), Uniform(2), 0.2).double()
    perturb(density)
    return density


SHAPES = {"square": (False, False), "cylinder": (True, False), "torus": (True, True)}
OTHER_SHAPES = {"line": (False,), "five dimensions": (True, False, False, True, False)}
CASES: dict[str, Callable[[], ConditionalDensity]] = {
    "uniform": lambda: Uniform(2),
    "mixture": guarded,
    **{f"{kind}, {name}": partial(learned, kind, *shape) for kind in DENSITIES for name, shape in SHAPES.items()},
}
ANY_DIMENSION: dict[str, Callable[[], ConditionalDensity]] = {
    **CASES,
    **{f"{kind}, {name}": partial(learned, kind, *shape) for kind in DENSITIES for name, shape in OTHER_SHAPES.items()},
}


def conditions(n: int) -> Tensor:
    return torch.linspace(-1, 2, 2 * n, dtype=torch.float64).reshape(n, 2)


def noise_for(density: ConditionalDensity, n: int, seed: int = 1) -> Tensor:
    return torch.rand(n, density.noise_dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", ANY_DIMENSION)
def test_points_carry_their_own_density(name: str) -> None:
    density = ANY_DIMENSION[name]()
    with torch.no_grad():
        x, log_density = density.from_noise(noise_for(density, 3000).reshape(3, 1000, -1), conditions(3)[:, None])
        again = density.log_prob(x, conditions(3)[:, None])
    assert log_density.shape == (3, 1000)
    torch.testing.assert_close(again, log_density, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ANY_DIMENSION)
def test_samples_come_from_the_generator_alone(name: str) -> None:
    density, c = ANY_DIMENSION[name](), conditions(50)
    with torch.no_grad():
        first, second, other = (density.sample(c, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("name", CASES)
def test_integrates_to_one(name: str) -> None:
    """The midpoint rule with 500² points; the kinks at the knots of the splines leave some 1e-4."""
    density, n = CASES[name](), 500
    centres = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    grid = torch.cartesian_prod(centres, centres)
    with torch.no_grad():
        total = density.log_prob(grid, conditions(3)[1].expand(len(grid), 2)).exp().mean()
    assert total.item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_samples_follow_the_density(name: str) -> None:
    """χ² of 40 000 points in 8 x 8 cells against the integral over each cell; false-alarm rate 2e-5 per case."""
    density, n, cells, fine = CASES[name](), 40_000, 8, 64
    centres = (torch.arange(cells * fine, dtype=torch.float64) + 0.5) / (cells * fine)
    grid = torch.cartesian_prod(centres, centres)
    c = conditions(3)[1]
    with torch.no_grad():
        expected = density.log_prob(grid, c.expand(len(grid), 2)).exp().reshape(cells, fine, cells, fine).mean(dim=(1, 3))
        x, _ = density.from_noise(noise_for(density, n), c.expand(n, 2))
    index = (x * cells).long().clamp(0, cells - 1)
    count = torch.bincount(index[:, 0] * cells + index[:, 1], minlength=cells**2).double()
    mean = n * expected.flatten() / expected.sum()
    enough = mean > 5
    count = torch.cat([count[enough], count[~enough].sum()[None]]) if not enough.all() else count
    mean = torch.cat([mean[enough], mean[~enough].sum()[None]]) if not enough.all() else mean
    assert stats.chisquare(count.numpy(), mean.numpy()).pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", ANY_DIMENSION)
def test_does_not_depend_on_the_chunks(name: str) -> None:
    density = ANY_DIMENSION[name]()
    noise, c = noise_for(density, 60), conditions(60)
    with torch.no_grad():
        whole = density.from_noise(noise, c)
        parts = [density.from_noise(*pair) for pair in zip(noise.split(7), c.split(7), strict=True)]
    torch.testing.assert_close(torch.cat([x for x, _ in parts]), whole[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.cat([log_density for _, log_density in parts]), whole[1], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_is_zero_outside_the_cube(name: str) -> None:
    density = CASES[name]()
    outside = torch.tensor([[0.5, -0.01], [0.5, 1.01]], dtype=torch.float64)
    inside = torch.tensor([[0.5, 0.0], [0.5, 1.0]], dtype=torch.float64)
    if not name.endswith("torus"):
        assert torch.equal(density.log_prob(outside, conditions(2)), torch.full((2,), -torch.inf, dtype=torch.float64))
    assert torch.isfinite(density.log_prob(inside, conditions(2))).all()
