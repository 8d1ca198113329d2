"""Pairs (x_reco, x_hard) of tHj with resolutions of the usual size, made by hand for the tests of the densities."""

import math

import torch
from torch import Tensor

JET_PT_MIN = 25.0


def hard_points(n: int, rng: torch.Generator) -> Tensor:
    """x_hard [n, 7], with a jet well above the threshold."""
    u = torch.rand(n, 7, generator=rng, dtype=torch.float64)
    low = torch.tensor([20.0, -math.pi, -2.0, 30.0, -math.pi, -4.0, -2.0], dtype=torch.float64)
    high = torch.tensor([220.0, math.pi, 2.0, 150.0, math.pi, 4.0, 2.0], dtype=torch.float64)
    return low + (high - low) * u


def reco_points(hard: Tensor, rng: torch.Generator) -> Tensor:
    """x_reco [n, 11]: x_hard smeared, the top from the transverse balance."""
    z = torch.randn(len(hard), 11, generator=rng, dtype=torch.float64)
    pt_h, phi_h, y_h, pt_j, phi_j, y_j, y_t = hard.unbind(-1)
    columns = [
        pt_h * torch.exp(0.03 * z[:, 0]),
        wrapped(phi_h + 0.01 * z[:, 1]),
        y_h + 0.01 * z[:, 2],
        JET_PT_MIN + (pt_j - JET_PT_MIN) * torch.exp(0.2 * z[:, 3]),
        wrapped(phi_j + 0.05 * z[:, 4]),
        y_j + 0.05 * z[:, 5],
        -pt_h * torch.cos(phi_h) - pt_j * torch.cos(phi_j) + 15 * z[:, 6],
        -pt_h * torch.sin(phi_h) - pt_j * torch.sin(phi_j) + 15 * z[:, 7],
        y_t + 0.1 * z[:, 8],
        172.5 * torch.exp(0.1 * z[:, 9]),
        80.4 * torch.exp(0.1 * z[:, 10]),
    ]
    return torch.stack(columns, -1)


def wrapped(phi: Tensor) -> Tensor:
    """φ in [-π, π)."""
    return torch.remainder(phi + math.pi, 2 * math.pi) - math.pi
