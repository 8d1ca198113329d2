"""Fixed invertible maps that act on every coordinate by itself, mostly to bring physical coordinates to (0, 1).

To (0, 1): ``HeavyTail`` for residuals, ``Sigmoid`` where tails are exponential, ``PeriodicToUnit`` for angles. Before that,
``Affine`` and ``Moebius`` bring lines and circles to their natural width, ``Logarithm`` takes the sign out of positive
quantities. ``Compose``, ``Columns`` and ``Inverse`` combine maps. Outside the domain of a map the result is NaN or
infinite, and so is every density that contains it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.kinematics import wrap
from bmem.transforms.contract import Transform


def _check_positive(values: Tensor, what: str) -> None:
    if not bool((torch.isfinite(values) & (values > 0)).all()):
        raise InputError(f"{what} must be positive and finite, not {values.tolist()}")


def _quantiles(x: Tensor, *fractions: float) -> list[Tensor]:
    """Quantiles [D] of the columns of ``x`` [N, D]; numpy's, because torch refuses more than 2**24 values."""
    found = np.quantile(x.detach().cpu().numpy().astype(np.float64), fractions, axis=0)
    return [torch.from_numpy(values).to(x.device) for values in found]


def _interior(u: Tensor) -> Tensor:
    """The nearest number inside (0, 1) whose distance to both ends the floating-point type resolves."""
    edge = 0.5 * torch.finfo(u.dtype).eps
    return u.clamp(edge, 1 - edge)


class Affine(Transform):
    """y = (x - shift) / scale, each [D]: buffers, so part of the state dict."""

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        _check_positive(scale, "the scale of an affine map")
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def fit(self, x: Tensor) -> None:
        """Bring the median of ``x`` [N, D] to 0 and half the width of its central 68.27 % to 1; tails do not matter.

        Raises:
            InputError: a column is not finite or does not vary.
        """
        low, median, high = _quantiles(x, 0.15866, 0.5, 0.84134)
        _check_positive(high - low, "the width of every column of the data")
        self.shift.copy_(median)
        self.scale.copy_(0.5 * (high - low))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        return (x - self.shift) / self.scale, -self.scale.log().sum().expand(x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        return y * self.scale + self.shift, self.scale.log().sum().expand(y.shape[:-1])


class Logarithm(Transform):
    """y = log x for x > 0."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        y = x.log()
        return y, -y.sum(dim=-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        return y.exp(), y.sum(dim=-1)


class Sigmoid(Transform):
    """The real line to (0, 1) with exponential tails: u = 1 / (1 + exp(-z)); its ``Inverse`` is the logit."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        return x.sigmoid(), -(F.softplus(x) + F.softplus(-x)).sum(dim=-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        y = _interior(y)
        return y.log() - torch.log1p(-y), -(y.log() + torch.log1p(-y)).sum(dim=-1)


class HeavyTail(Transform):
    """The real line to (0, 1) by the distribution function of Student's t with 2 degrees of freedom (scale 1/√2).

    u = (1 + z / √(1 + z²)) / 2, z = (u - ½) / √(u (1 - u)). Tails of |z|⁻³ are heavier than those of any resolution, so that
    the density on the cube goes to zero at its ends. The type resolves |z| up to about 2e3 (float32), 5e7 (float64).
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        size = x.abs()
        root = torch.sqrt(1 + size.square())
        # The probability beyond |x|, (1 - |x| / root) / 2 without its cancellation.
        tail = 0.5 / (root * (root + size))
        return torch.where(x < 0, tail, 1 - tail), -(3 * root.log() + math.log(2)).sum(dim=-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        y = _interior(y)
        product = y * (1 - y)
        return (y - 0.5) / product.sqrt(), -(1.5 * product.log() + math.log(4)).sum(dim=-1)


class PeriodicToUnit(Transform):
    """Angles to the circle [0, 1): u = (φ + π) / 2π modulo 1; the inverse gives φ in [-π, π)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        log_jacobian = x.new_full((), -x.shape[-1] * math.log(2 * math.pi))
        return (wrap(x) + math.pi) / (2 * math.pi), log_jacobian.expand(x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        log_jacobian = y.new_full((), y.shape[-1] * math.log(2 * math.pi))
        return wrap(2 * math.pi * y - math.pi), log_jacobian.expand(y.shape[:-1])


class Moebius(Transform):
    """φ → 2 atan(k tan(φ/2)): a bijection of the circle that keeps 0 and π and stretches around 0 by k [D] > 0.

    It turns a wrapped Cauchy density of scale γ, k = coth(γ/2) ≈ 2/γ, into the uniform one.
    """

    stretch: Tensor

    def __init__(self, stretch: Tensor) -> None:
        super().__init__()
        _check_positive(stretch, "the stretch of a circle")
        self.register_buffer("stretch", stretch)

    def fit(self, x: Tensor) -> None:
        """Bring half of the angles ``x`` [N, D] to |φ| < π/2, which is exact for a wrapped Cauchy density around 0.

        Raises:
            InputError: a column is not finite or does not vary.
        """
        (median,) = _quantiles(wrap(x).abs(), 0.5)
        stretch = 1 / torch.tan(0.5 * median)
        _check_positive(stretch, "the stretch of a circle that the data ask for")
        self.stretch.copy_(stretch)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        return self._stretched(x, self.stretch)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        return self._stretched(y, 1 / self.stretch)

    @staticmethod
    def _stretched(angle: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        sine, cosine = k * torch.sin(0.5 * angle), torch.cos(0.5 * angle)
        log_jacobian = k.log() - torch.log(sine.square() + cosine.square())
        return wrap(2 * torch.atan2(sine, cosine)), log_jacobian.sum(dim=-1)


class Inverse(Transform):
    """Another map taken the other way."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        return self.transform.inverse(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        return self.transform.forward(y, context)


class Compose(Transform):
    """Several maps, the first argument first."""

    def __init__(self, *transforms: Transform) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        total = x.new_zeros(x.shape[:-1])
        for transform in self.transforms:
            x, log_jacobian = transform(x, context)
            total = total + log_jacobian
        return x, total

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        total = y.new_zeros(y.shape[:-1])
        for transform in reversed(self.transforms):
            y, log_jacobian = cast(Transform, transform).inverse(y, context)
            total = total + log_jacobian
        return y, total


class Columns(Transform):
    """Different maps for different columns; every column of the last axis belongs to exactly one map.

    Args:
        parts: (map, the columns that it acts on), in any order.
    """

    order: Tensor

    def __init__(self, parts: Iterable[tuple[Transform, tuple[int, ...]]]) -> None:
        super().__init__()
        transforms, columns = zip(*parts, strict=True)
        flat = [column for group in columns for column in group]
        if sorted(flat) != list(range(len(flat))):
            raise InputError(f"every column belongs to exactly one map, but the columns given are {columns}")
        self.transforms = nn.ModuleList(transforms)
        self.columns: tuple[tuple[int, ...], ...] = columns
        self.register_buffer("order", torch.tensor(flat).argsort(), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] → y [..., D] and log|dy/dx| [...]."""
        return self._joined([t(x[..., c], context) for t, c in zip(self.transforms, self.columns, strict=True)])

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] → x [..., D] and log|dx/dy| [...]."""
        parts = zip(self.transforms, self.columns, strict=True)
        return self._joined([cast(Transform, t).inverse(y[..., c], context) for t, c in parts])

    def _joined(self, parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        points = torch.cat([point for point, _ in parts], dim=-1).index_select(-1, self.order)
        return points, torch.stack([log_jacobian for _, log_jacobian in parts]).sum(dim=0)
