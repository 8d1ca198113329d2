"""Four-vectors as tensors [..., 4] = (E, px, py, pz) in GeV."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def from_pt_y_phi(pt: Tensor, y: Tensor, phi: Tensor, mass: Tensor | float) -> Tensor:
    """Return four-vectors [..., 4] from transverse momentum, rapidity, azimuth and mass (all [...])."""
    mt = torch.sqrt(pt**2 + mass**2)
    return torch.stack([mt * torch.cosh(y), pt * torch.cos(phi), pt * torch.sin(phi), mt * torch.sinh(y)], dim=-1)


def from_pt_eta_phi(pt: Tensor, eta: Tensor, phi: Tensor, mass: Tensor | float = 0.0) -> Tensor:
    """Return four-vectors [..., 4] from transverse momentum, pseudorapidity, azimuth and mass (all [...])."""
    pz = pt * torch.sinh(eta)
    energy = torch.sqrt(pt**2 + pz**2 + mass**2)
    return torch.stack([energy, pt * torch.cos(phi), pt * torch.sin(phi), pz], dim=-1)


def pt(p: Tensor) -> Tensor:
    """Transverse momentum [...] of four-vectors [..., 4]."""
    return torch.hypot(p[..., 1], p[..., 2])


def phi(p: Tensor) -> Tensor:
    """Azimuth [...] in (-π, π]."""
    return torch.atan2(p[..., 2], p[..., 1])


def rapidity(p: Tensor) -> Tensor:
    """Rapidity [...]: asinh(pz / m_T), stable for massless and very forward vectors."""
    mt = torch.sqrt(torch.clamp(mass_squared(p), min=0.0) + p[..., 1] ** 2 + p[..., 2] ** 2)
    return torch.asinh(p[..., 3] / mt)


def eta(p: Tensor) -> Tensor:
    """Pseudorapidity [...]."""
    return torch.asinh(p[..., 3] / pt(p))


def mass_squared(p: Tensor) -> Tensor:
    """Invariant mass squared [...] in GeV²."""
    return p[..., 0] ** 2 - p[..., 1] ** 2 - p[..., 2] ** 2 - p[..., 3] ** 2


def mass(p: Tensor) -> Tensor:
    """Invariant mass [...] in GeV; rounding below zero gives 0."""
    return torch.sqrt(torch.clamp(mass_squared(p), min=0.0))


def boost(p: Tensor, frame: Tensor) -> Tensor:
    """Boost four-vectors ``p`` [..., 4], given in the rest frame of ``frame`` [..., 4], to where ``frame`` is measured."""
    m = mass(frame)
    energy = (frame * p).sum(-1) / m
    factor = (p[..., 0] + energy) / (frame[..., 0] + m)
    return torch.cat([energy[..., None], p[..., 1:] + factor[..., None] * frame[..., 1:]], dim=-1)


def wrap(angle: Tensor) -> Tensor:
    """Return ``angle`` in [-π, π)."""
    wrapped = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
    # the remainder of a tiny negative number rounds up to 2π itself
    return torch.where(wrapped >= math.pi, wrapped - 2 * math.pi, wrapped)


def delta_r(eta1: Tensor, phi1: Tensor, eta2: Tensor, phi2: Tensor) -> Tensor:
    """Distance sqrt(Δη² + Δφ²)."""
    return torch.hypot(eta1 - eta2, wrap(phi1 - phi2))
