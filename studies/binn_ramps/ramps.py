"""Densities in two dimensions that are known exactly: two ramps and a ring (after arXiv:2104.04543), on the unit square."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import integrate, stats
from torch import Tensor

from bmem.transforms.contract import Transform

Array = NDArray[np.float64]

RADIUS, WIDTH, HALF = 4.0, 1.0, 8.0
"""Of the ring: mean and deviation of its radius; the unit square is the square from -8 to 8."""
QUARTER = 1 - math.pi / 4
"""Integral of 1 - √(1 - x²) over (0, 1)."""


class Stretch(Transform):
    """From the unit square to the square from -8 to 8."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (2 * x - 1) * HALF, torch.full_like(x[..., 0], 2 * math.log(2 * HALF))

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (y / HALF + 1) / 2, torch.full_like(y[..., 0], -2 * math.log(2 * HALF))


class Polar(Transform):
    """From the unit square to the radius and the angle in the square from -8 to 8."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        point, log_jacobian = Stretch()(x)
        radius, angle = point.norm(dim=-1), torch.atan2(point[..., 1], point[..., 0])
        return torch.stack((radius, angle), dim=-1), log_jacobian - radius.log()

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        radius, angle = y.unbind(dim=-1)
        point, log_jacobian = Stretch().inverse(radius[..., None] * torch.stack((angle.cos(), angle.sin()), dim=-1))
        return point, log_jacobian + radius.log()


@dataclass(frozen=True)
class Ramp:
    """A density that varies along one coordinate only.

    Attributes:
        label: of that coordinate.
        edges: of the bins along it, and along the other one.
        density: along it, exact.
        draw: points [n, 2] of the unit square.
        transform: from the unit square to the two coordinates; None if they are the same.
    """

    label: str
    edges: tuple[Array, Array]
    density: Callable[[Array], Array]
    draw: Callable[[int, torch.Generator], Tensor]
    transform: Transform | None = None

    def averages(self) -> Array:
        """Of the exact density over the bins."""
        bins = zip(self.edges[0][:-1], self.edges[0][1:], strict=True)
        return np.array([integrate.quad(self.density, low, high)[0] / (high - low) for low, high in bins])


def _uniform(n: int, rng: torch.Generator) -> Tensor:
    return torch.rand(n, 2, generator=rng, dtype=torch.float64)


def _wedge(n: int, rng: torch.Generator) -> Tensor:
    u = _uniform(n, rng)
    return torch.stack((u[:, 0].sqrt(), u[:, 1]), dim=1)


def _kicker(n: int, rng: torch.Generator) -> Tensor:
    """By inverting the distribution function x - (x √(1 - x²) + asin x) / 2 on a fine grid."""
    u = _uniform(n, rng)
    x = np.linspace(0, 1, 100_001)
    cumulative = (x - (x * np.sqrt(1 - x**2) + np.arcsin(x)) / 2) / QUARTER
    return torch.stack((torch.from_numpy(np.interp(u[:, 0].numpy(), cumulative, x)), u[:, 1]), dim=1)


def _ring(n: int, rng: torch.Generator) -> Tensor:
    """Radii beyond the square, or below 0, are drawn again: they are 6 in 100 000."""
    radius = RADIUS + WIDTH * torch.randn(2 * n, generator=rng, dtype=torch.float64)
    radius = radius[(radius > 0) & (radius < HALF)][:n]
    angle = (2 * _uniform(n, rng)[:, 0] - 1) * math.pi
    return Polar().inverse(torch.stack((radius, angle), dim=1))[0]


def ring_on(edges: Array, points: int = 4) -> Array:
    """The exact density of the ring on a grid of the plane with the same ``edges`` along both axes, averaged over bins."""
    fine = (edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(points) + 0.5) / points).reshape(-1)
    radius = np.hypot(fine[:, None], fine)
    bins = len(edges) - 1
    return (_RING.pdf(radius) / (2 * math.pi * radius)).reshape(bins, points, bins, points).mean(axis=(1, 3))


_RING = stats.truncnorm(-RADIUS / WIDTH, (HALF - RADIUS) / WIDTH, RADIUS, WIDTH)
_ALONG, _ACROSS = np.linspace(0, 1, 26), np.linspace(0, 1, 9)

RAMPS = {
    "wedge": Ramp("$x$", (_ALONG, _ACROSS), lambda x: 2 * x, _wedge),
    "kicker": Ramp("$x$", (_ALONG, _ACROSS), lambda x: (1 - np.sqrt(1 - x**2)) / QUARTER, _kicker),
    "ring": Ramp("$r$", (np.linspace(1, 7, 25), np.linspace(-np.pi, np.pi, 17)), _RING.pdf, _ring, Polar()),
}
