"""A conditional density in two dimensions that is known exactly, on the unit square as the flows have it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SCALE = 1.5
"""Of the logistic map from the plane to the unit square."""


def _moments(z1: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and deviation of z1 given c, and of z2 given z1 and c."""
    return 1.2 * torch.tanh(c), 0.5 + 0.4 * torch.sigmoid(c), 0.5 * z1.square() - 0.4 * c - 0.5, torch.full_like(c, 0.6)


def draw(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points u [n, 2] of the unit square and their conditions c [n, 1], which are standard normal."""
    c = torch.randn(n, generator=rng, dtype=torch.float64)
    return draw_at(c, rng), c[:, None]


def draw_at(c: Tensor, rng: torch.Generator) -> Tensor:
    """One point u [..., 2] for every condition c [...]."""
    noise = torch.randn(*c.shape, 2, generator=rng, dtype=torch.float64)
    mean, width, *_ = _moments(c, c)
    z1 = mean + width * noise[..., 0]
    _, _, mean, width = _moments(z1, c)
    return torch.sigmoid(torch.stack((z1, mean + width * noise[..., 1]), dim=-1) / SCALE)


def residuals(u: Tensor, condition: Tensor) -> Tensor:
    """The standard normal numbers [..., 2] behind a point u [..., 2] under its condition [..., 1]."""
    z1, z2 = (SCALE * torch.logit(u)).unbind(dim=-1)
    mean1, width1, mean2, width2 = _moments(z1, condition[..., 0])
    return torch.stack(((z1 - mean1) / width1, (z2 - mean2) / width2), dim=-1)


def log_prob(u: Tensor, condition: Tensor) -> Tensor:
    """log p(u | c): [..., 2], [..., 1] → [...]."""
    z1 = SCALE * torch.logit(u[..., 0])
    _, width1, _, width2 = _moments(z1, condition[..., 0])
    log_jacobian = (math.log(SCALE) - (u * (1 - u)).log()).sum(dim=-1)
    square = residuals(u, condition).square().sum(dim=-1)
    return -square / 2 - math.log(2 * math.pi) - (width1 * width2).log() + log_jacobian
