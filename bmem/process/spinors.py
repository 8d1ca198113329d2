"""Two-component Weyl spinors from light-cone components of momenta.

Chiral basis with γ5 = diag(-1, 1): ψ = (ψ_L, ψ_R), σ·p = [[p⁻, -k*], [-k, p⁺]], σ̄·p = [[p⁺, k*], [k, p⁻]] where
p± = E ± p_z and k = p_x + i p_y. Spinors are pairs of complex tensors; phases are free (one per particle).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

Spinor = tuple[Tensor, Tensor]


class LightCone(NamedTuple):
    """A four-momentum: ``plus`` = E + p_z, ``minus`` = E - p_z (real, [...]), ``perp`` = p_x + i p_y (complex, [...])."""

    plus: Tensor
    minus: Tensor
    perp: Tensor


class DiracSpinors(NamedTuple):
    """The two spin states of a massive fermion, on the first axis: ``left`` and ``right`` are spinors of [2, ...]."""

    left: Spinor
    right: Spinor


def light_cone(p: Tensor, mass: float) -> LightCone:
    """Light-cone components of on-shell momenta [..., 4]; the smaller of p± from the mass shell, where E ∓ p_z cancels."""
    energy, px, py, pz = p.unbind(-1)
    large = energy + pz.abs()
    small = (mass**2 + px**2 + py**2) / large
    forward = pz >= 0
    return LightCone(torch.where(forward, large, small), torch.where(forward, small, large), torch.complex(px, py))


def from_perp_rapidity(perp: Tensor, rapidity: Tensor, mass: float) -> LightCone:
    """Light-cone components from complex transverse momentum and rapidity."""
    mt2 = perp.real**2 + perp.imag**2 + mass**2
    plus = torch.sqrt(mt2) * torch.exp(rapidity)
    return LightCone(plus, mt2 / plus, perp)


def minkowski(p: LightCone, q: LightCone) -> Tensor:
    """2 p·q."""
    return p.plus * q.minus + p.minus * q.plus - 2 * (p.perp.real * q.perp.real + p.perp.imag * q.perp.imag)


def left_spinor(p: LightCone) -> Spinor:
    """χ(p) of a massless momentum: χχ† = σ·p (negative helicity), regular in every direction."""
    forward = p.plus >= p.minus
    root = torch.sqrt(torch.maximum(p.plus, p.minus)).to(p.perp.dtype)
    ratio = p.perp / root
    return torch.where(forward, -ratio.conj(), -root), torch.where(forward, root, ratio)


def angle(a: Spinor, b: Spinor) -> Tensor:
    """⟨ab⟩ = a₀b₁ - a₁b₀; |⟨ab⟩|² = 2 p_a·p_b."""
    return a[0] * b[1] - a[1] * b[0]


def inner(a: Spinor, b: Spinor) -> Tensor:
    """a†b."""
    return a[0].conj() * b[0] + a[1].conj() * b[1]


def dual(a: Spinor) -> Spinor:
    """The right-handed spinor r of a: η†r = ⟨aη⟩* for every η."""
    return -a[1].conj(), a[0].conj()


def sigma(p: LightCone, a: Spinor) -> Spinor:
    """(σ·p) a."""
    return p.minus * a[0] - p.perp.conj() * a[1], p.plus * a[1] - p.perp * a[0]


def sigma_bar(p: LightCone, a: Spinor) -> Spinor:
    """(σ̄·p) a."""
    return p.plus * a[0] + p.perp.conj() * a[1], p.perp * a[0] + p.minus * a[1]


def light_cone_states(p: LightCone, mass: float) -> DiracSpinors:
    """Solutions of (p̸ - m)u = 0 with definite light-cone helicity (-, +): Σ uū = p̸ + m, without a square root of E ± |p|."""
    root = torch.sqrt(p.plus)
    ratio, chiral = p.perp / root, (mass / root).to(p.perp.dtype)
    top, none = root.to(p.perp.dtype), torch.zeros_like(p.perp)
    left = torch.stack([-ratio.conj(), chiral]), torch.stack([top, none])
    right = torch.stack([none, top]), torch.stack([chiral, ratio])
    return DiracSpinors(left, right)


def helicity_states(p: LightCone, mass: float) -> DiracSpinors:
    """Solutions of (p̸ - m)u = 0 with definite helicity (-, +) in the frame of ``p``."""
    energy, pz = (p.plus + p.minus) / 2, (p.plus - p.minus) / 2
    pt2 = p.perp.real**2 + p.perp.imag**2
    size = torch.sqrt(pt2 + pz**2)
    large = size + pz.abs()
    ahead = torch.where(pz >= 0, large, pt2 / large)
    minus = left_spinor(LightCone(ahead, 2 * size - ahead, p.perp))
    plus = dual(minus)
    strong = torch.sqrt((energy + size) / (2 * size))
    weak = mass / (energy + size) * strong
    left = tuple(torch.stack([strong * m, weak * q]) for m, q in zip(minus, plus, strict=True))
    right = tuple(torch.stack([weak * m, strong * q]) for m, q in zip(minus, plus, strict=True))
    return DiracSpinors((left[0], left[1]), (right[0], right[1]))


def charge_conjugate(u: DiracSpinors) -> DiracSpinors:
    """Solutions of (p̸ + m)v = 0 for an antiparticle of helicity (-, +) from those of (p̸ - m)u = 0."""
    left = u.left[0].flip(0), u.left[1].flip(0)
    right = -u.right[0].flip(0), -u.right[1].flip(0)
    return DiracSpinors(left, right)
