"""Monotone rational-quadratic splines of the unit interval and of the circle (Durkan et al. 2019, arXiv:1906.04032).

``rational_quadratic`` is the functional form that coupling blocks call with the output of a network; ``Spline`` is the same
map with parameters of its own. A circular spline has equal slopes at 0 and 1, so that it is smooth on the circle, and is
taken after a rotation, so that 0 = 1 is no special point (Rezende et al. 2020, arXiv:2002.02428).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.transforms.contract import Transform

LARGEST_LOG_RATIO = math.log(1e3)
"""Two bins of a spline differ in width, and in height, by at most the exponential of this."""

LARGEST_LOG_SLOPE = math.log(1e3)
"""The slope at a knot lies between the exponentials of minus and plus this."""


def parameter_count(bins: int) -> int:
    """Number of parameters of a spline with K = ``bins`` bins: K widths, K heights, K + 1 slopes."""
    return 3 * bins + 1


def rational_quadratic(
    x: Tensor, parameters: Tensor, circular: Tensor | None = None, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Map every x [...] in [0, 1] by its own spline; return y [...] and log|dy/dx| [...], not summed.

    Args:
        x: points in [0, 1] [...].
        parameters: unconstrained widths, heights and slopes at the knots [..., 3 K + 1] with the leading axes of ``x``; all
            zero is the identity. The slope at the last knot is not used by a circular spline.
        circular: whether the spline is circular, broadcastable to [...]; None for none.
        inverse: take the inverse of the map.
    """
    bins = (parameters.shape[-1] - 1) // 3
    sizes, slopes = parameters.split((2 * bins, bins + 1), dim=-1)
    sums = _sums(sizes.unflatten(-1, (2, bins)))
    total = sums[..., -1]
    reference = sums[..., int(inverse), 1:-1].detach()
    left = ((x * total[..., int(inverse)]).detach().unsqueeze(-1) >= reference).sum(dim=-1, keepdim=True)
    ends = torch.cat((left, left + 1), dim=-1)
    # Gathered before it is normalised: two knots instead of K + 1.
    knots = sums.gather(-1, ends.unsqueeze(-2).expand(*x.shape, 2, 2)) / total.unsqueeze(-1)
    (x0, y0), (x1, y1) = knots[..., 0].unbind(-1), knots[..., 1].unbind(-1)
    width, height = x1 - x0, y1 - y0
    if circular is not None:
        ends = torch.where(circular.unsqueeze(-1) & (ends == bins), 0, ends)
    slope0, slope1 = _bounded(slopes.gather(-1, ends), LARGEST_LOG_SLOPE).unbind(-1)
    mean = height / width
    excess = slope0 + slope1 - 2 * mean
    if inverse:
        fraction = _solve(x - y0, height, mean, slope0, excess)
        return x0 + fraction * width, -_log_slope(fraction, mean, slope0, slope1, excess)
    # Rounding may put a point just outside of a narrow bin, where a steep spline has no logarithm.
    fraction = ((x - x0) / width).clamp(0, 1)
    rest = fraction * (1 - fraction)
    y = y0 + height * (mean * fraction.square() + slope0 * rest) / (mean + excess * rest)
    return y, _log_slope(fraction, mean, slope0, slope1, excess)


def _sums(raw: Tensor) -> Tensor:
    """Unconstrained sizes of bins [..., K] → sums [..., K + 1] from 0 to the total of the positive sizes."""
    sizes = _bounded(raw, 0.5 * LARGEST_LOG_RATIO)
    # A product with a triangular matrix is a cumulative sum that starts at 0; it is several times faster than cumsum.
    bins = raw.shape[-1]
    return F.linear(sizes, torch.ones(bins + 1, bins, dtype=raw.dtype, device=raw.device).tril(-1))


def _bounded(raw: Tensor, largest: float) -> Tensor:
    """Positive number whose logarithm is about ``raw`` and lies between -largest and largest."""
    return (largest * torch.tanh(raw * (1 / largest))).exp()


def _solve(rise: Tensor, height: Tensor, mean: Tensor, slope0: Tensor, excess: Tensor) -> Tensor:
    """Fraction of the bin at which the spline has risen by ``rise``: eq. (6)-(8) in the form without cancellation."""
    a = height * (mean - slope0) + rise * excess
    b = height * slope0 - rise * excess
    c = -mean * rise
    root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
    return (-2 * c / (b + root)).clamp(0, 1)


def _log_slope(fraction: Tensor, mean: Tensor, slope0: Tensor, slope1: Tensor, excess: Tensor) -> Tensor:
    rest = fraction * (1 - fraction)
    numerator = slope1 * fraction.square() + 2 * mean * rest + slope0 * (1 - fraction).square()
    return torch.log(mean.square() * numerator / (mean + excess * rest).square())


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate points x [...] of the circle [0, 1) by ``turns`` [...]."""
    moved = x + turns
    return moved - moved.detach().floor()


class Spline(Transform):
    """One spline per dimension of the unit cube with parameters of its own, at first the identity.

    Args:
        bins: number of bins K.
        circular: for every dimension, whether it is a circle; a circular spline has a rotation as a parameter too.
    """

    circular: Tensor

    def __init__(self, bins: int, circular: tuple[bool, ...]) -> None:
        super().__init__()
        if bins < 1:
            raise InputError(f"a spline has at least 1 bin, not {bins}")
        self.raw = nn.Parameter(torch.zeros(len(circular), parameter_count(bins)))
        self.turns = nn.Parameter(torch.zeros(len(circular)))
        self.register_buffer("circular", torch.tensor(circular), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] in the unit cube to y [..., D] and log|dy/dx| [...]."""
        turned = torch.where(self.circular, rotate(x, self.turns), x)
        y, log_jacobian = rational_quadratic(turned, self.raw.expand(*x.shape, -1), self.circular)
        return y, log_jacobian.sum(dim=-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] in the unit cube to x [..., D] and log|dx/dy| [...]."""
        turned, log_jacobian = rational_quadratic(y, self.raw.expand(*y.shape, -1), self.circular, inverse=True)
        return torch.where(self.circular, rotate(turned, -self.turns), turned), log_jacobian.sum(dim=-1)
