"""The seven hard-scattering coordinates x_hard = (pT_H, φ_H, y_H, pT_j, φ_j, y_j, y_t) and the momenta they stand for.

The top balances the transverse momenta; the jet is massless; transverse momenta in GeV, azimuths in radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bmem import kinematics
from bmem.errors import InputError
from bmem.process.spinors import LightCone, from_perp_rapidity

COORDINATES = ("pt_h", "phi_h", "y_h", "pt_j", "phi_j", "y_j", "y_t")
DIMENSION = len(COORDINATES)
SMALLEST_PT = 1e-6
"""In GeV: below it a transverse momentum is raised to it, so that gradients stay finite where the cross section is zero."""


class HardKinematics(NamedTuple):
    """Top, Higgs and jet of a point, and the momentum fractions x1 (beam along +z) and x2 of the incoming partons."""

    top: LightCone
    higgs: LightCone
    jet: LightCone
    x1: Tensor
    x2: Tensor


@dataclass(frozen=True)
class PhaseSpace:
    """x_hard [..., 7] ↔ (top, Higgs, jet) [..., 3, 4] in the laboratory at the collision energy ``sqrt_s`` in GeV."""

    sqrt_s: float
    mt: float
    mh: float

    def check(self, x_hard: Tensor) -> None:
        """Raise InputError unless the last axis holds the seven coordinates."""
        if x_hard.ndim < 1 or x_hard.shape[-1] != DIMENSION:
            names = ", ".join(COORDINATES)
            raise InputError(f"x_hard has shape {tuple(x_hard.shape)}; expected [..., {DIMENSION}]: {names}")

    def kinematics(self, x_hard: Tensor) -> HardKinematics:
        """Light-cone momenta and momentum fractions; beyond the boundary fractions exceed 1."""
        pt_h, phi_h, y_h, pt_j, phi_j, y_j, y_t = x_hard.unbind(-1)
        pt_h, pt_j = pt_h.clamp(min=SMALLEST_PT), pt_j.clamp(min=SMALLEST_PT)
        perp_h = torch.complex(pt_h * torch.cos(phi_h), pt_h * torch.sin(phi_h))
        perp_j = torch.complex(pt_j * torch.cos(phi_j), pt_j * torch.sin(phi_j))
        top = from_perp_rapidity(-perp_h - perp_j, y_t, self.mt)
        higgs = from_perp_rapidity(perp_h, y_h, self.mh)
        up = torch.exp(y_j)
        jet = LightCone(pt_j * up, pt_j / up, perp_j)
        return self.complete(top, higgs, jet)

    def complete(self, top: LightCone, higgs: LightCone, jet: LightCone) -> HardKinematics:
        """Add the momentum fractions."""
        x1 = (top.plus + higgs.plus + jet.plus) / self.sqrt_s
        x2 = (top.minus + higgs.minus + jet.minus) / self.sqrt_s
        return HardKinematics(top, higgs, jet, x1, x2)

    def to_momenta(self, x_hard: Tensor) -> tuple[Tensor, Tensor]:
        """(top, Higgs, jet) momenta [..., 3, 4] and log|∂(p⃗_H, p⃗_j, p_z,t)/∂x_hard| [...].

        Raises:
            InputError: the last axis is not 7 long.
        """
        self.check(x_hard)
        point = self.kinematics(x_hard)
        momenta = torch.stack([cartesian(p) for p in (point.top, point.higgs, point.jet)], dim=-2)
        return momenta, self.log_jacobian(momenta)

    def from_momenta(self, momenta: Tensor) -> tuple[Tensor, Tensor]:
        """x_hard [..., 7] of (top, Higgs, jet) momenta [..., 3, 4] and log|∂x_hard/∂(p⃗_H, p⃗_j, p_z,t)| [...].

        Energies are taken from the masses; the transverse momentum of the top is what balances the others.

        Raises:
            InputError: a wrong shape.
        """
        if momenta.ndim < 2 or momenta.shape[-2:] != (3, 4):
            raise InputError(f"momenta have shape {tuple(momenta.shape)}; expected [..., 3, 4]: top, Higgs, jet")
        top, higgs, jet = momenta.unbind(-2)
        coordinates = [kinematics.pt(higgs), kinematics.phi(higgs), _rapidity(higgs, self.mh)]
        coordinates += [kinematics.pt(jet), kinematics.phi(jet), _rapidity(jet, 0.0), _rapidity(top, self.mt)]
        return torch.stack(coordinates, dim=-1), -self.log_jacobian(momenta)

    def log_jacobian(self, momenta: Tensor) -> Tensor:
        """log(pT_H E_H pT_j E_j E_t): d³p_H d³p_j dp_z,t over d⁷x_hard, for (top, Higgs, jet) [..., 3, 4]."""
        top, higgs, jet = momenta.unbind(-2)
        energies = top[..., 0] * higgs[..., 0] * jet[..., 0]
        return torch.log(energies * kinematics.pt(higgs) * kinematics.pt(jet))

    def measure(self, x_hard: Tensor) -> Tensor:
        """dx1 dx2 dΦ₃ over d⁷x_hard [...]: pT_H pT_j / (4 s (2π)⁵)."""
        return x_hard[..., 0].clamp(min=0) * x_hard[..., 3].clamp(min=0) / (4 * self.sqrt_s**2 * (2 * math.pi) ** 5)

    def outside(self, x_hard: Tensor, point: HardKinematics) -> Tensor:
        """Where no such collision exists [...]: too much energy or a negative transverse momentum. NaN is not outside."""
        return (point.x1 > 1) | (point.x2 > 1) | (x_hard[..., 0] < 0) | (x_hard[..., 3] < 0)

    def coordinates(self, point: HardKinematics) -> Tensor:
        """x_hard [..., 7] of a point."""
        higgs, jet = point.higgs, point.jet
        parts = [higgs.perp.abs(), higgs.perp.angle(), _lc_rapidity(higgs)]
        parts += [jet.perp.abs(), jet.perp.angle(), _lc_rapidity(jet), _lc_rapidity(point.top)]
        return torch.stack(parts, dim=-1)

    def rotated(self, x_hard: Tensor, azimuth: Tensor, flipped: Tensor) -> Tensor:
        """x_hard turned by π about the x axis (beams swapped) where ``flipped``, then by ``azimuth`` about the beam."""
        sign = torch.where(flipped, -1.0, 1.0).to(x_hard)
        pt_h, phi_h, y_h, pt_j, phi_j, y_j, y_t = x_hard.unbind(-1)
        phi_h, phi_j = (kinematics.wrap(sign * phi + azimuth) for phi in (phi_h, phi_j))
        return torch.stack([pt_h, phi_h, sign * y_h, pt_j, phi_j, sign * y_j, sign * y_t], dim=-1)

    def incoming(self, point: HardKinematics) -> tuple[LightCone, LightCone]:
        """The massless partons along +z and -z."""
        nought = torch.zeros_like(point.x1)
        nowhere = torch.zeros_like(point.jet.perp)
        first = LightCone(point.x1 * self.sqrt_s, nought, nowhere)
        return first, LightCone(nought, point.x2 * self.sqrt_s, nowhere)


def cartesian(p: LightCone) -> Tensor:
    """(E, px, py, pz) [..., 4]."""
    return torch.stack([(p.plus + p.minus) / 2, p.perp.real, p.perp.imag, (p.plus - p.minus) / 2], dim=-1)


def _rapidity(p: Tensor, mass: float) -> Tensor:
    return torch.asinh(p[..., 3] / torch.sqrt(p[..., 1] ** 2 + p[..., 2] ** 2 + mass**2))


def _lc_rapidity(p: LightCone) -> Tensor:
    return 0.5 * torch.log(p.plus / p.minus)
