"""Two-body decays, isotropic in the rest frame (no spin correlations), and the mass of a resonance, batched over events."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem.kinematics import boost, mass
from bmem.rng import uniform

LIGHT, CHARM, BOTTOM = 0, 4, 5
"""Flavours of partons and jets; LIGHT stands for gluons and u, d, s quarks."""


def decay(parent: Tensor, masses: tuple[Tensor | float, Tensor | float], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Isotropic two-body decay.

    Args:
        parent: [N, 4] four-vectors.
        masses: of the two daughters, numbers or [N].
        rng: source of the two random numbers of each event.

    Returns:
        the daughters, [N, 4] each.
    """
    m, (m1, m2) = mass(parent), masses
    e1 = (m**2 + m1**2 - m2**2) / (2 * m)
    p = torch.sqrt(torch.clamp(e1**2 - m1**2, min=0.0))
    cos, phi = uniform((2, parent.shape[0]), rng, parent)
    cos, phi = 2 * cos - 1, 2 * math.pi * phi
    sin = torch.sqrt(1 - cos**2)
    direction = torch.stack([sin * torch.cos(phi), sin * torch.sin(phi), cos], dim=-1)
    momentum = p[:, None] * direction
    first = boost(torch.cat([e1[:, None], momentum], dim=-1), parent)
    return first, parent - first


def breit_wigner(m: float, width: float, largest: Tensor, rng: torch.Generator) -> Tensor:
    """Masses [N] from the relativistic Breit-Wigner in s of mass ``m``, within [0, ``largest``] (per event, [N]), in GeV."""
    low = math.atan(-m / width)
    high = torch.atan((largest**2 - m**2) / (m * width))
    u = uniform(largest.shape, rng, largest)
    return torch.sqrt(torch.clamp(m**2 + m * width * torch.tan(low + u * (high - low)), min=0.0))
