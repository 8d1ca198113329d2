"""Phase space of any final state in transverse momenta, azimuths and rapidities.

x_hard = (pT_1, φ_1, y_1, …, pT_{n-1}, φ_{n-1}, y_{n-1}, y_n): the last of n particles, massive or massless, balances the
transverse momentum of the others. Transverse momenta in GeV, azimuths in radians. Symmetries of the collision: a common
rotation in φ; a turn by π about the x axis, which swaps the beams (``rotated``); reflection φ → -φ turns T-odd terms around.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from bmem import kinematics
from bmem.errors import InputError
from bmem.process.phase_space import SMALLEST_PT, cartesian
from bmem.process.spinors import LightCone, from_perp_rapidity


class Particle(NamedTuple):
    """An outgoing particle: its name in the coordinates, and its mass in GeV."""

    name: str
    mass: float


class Kinematics(NamedTuple):
    """The outgoing particles of a point, in the order of the momenta, and the momentum fractions of the incoming partons."""

    outgoing: tuple[LightCone, ...]
    x1: Tensor
    x2: Tensor


@dataclass(frozen=True)
class TransversePhaseSpace:
    """x_hard [..., 3n - 2] ↔ momenta [..., n, 4] in the laboratory.

    Args:
        sqrt_s: collision energy in GeV.
        particles: in the order of the momenta.
        order: their places in the order of the coordinates; by default the same. The last one balances.
    """

    sqrt_s: float
    particles: tuple[Particle, ...]
    order: tuple[int, ...] = ()

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Places of the particles with a transverse momentum of their own."""
        return self._order[:-1]

    @cached_property
    def coordinate_names(self) -> tuple[str, ...]:
        """Names of the coordinates: ``pt_``, ``phi_`` and ``y_`` of every particle, of the last only ``y_``."""
        names = [self.particles[i].name for i in self._order]
        return (*(f"{kind}_{name}" for name in names[:-1] for kind in ("pt", "phi", "y")), f"y_{names[-1]}")

    def check(self, x_hard: Tensor) -> None:
        """Raise InputError unless the last axis holds the coordinates."""
        names = self.coordinate_names
        if x_hard.ndim < 1 or x_hard.shape[-1] != len(names):
            raise InputError(f"x_hard has shape {tuple(x_hard.shape)}; expected [..., {len(names)}]: {', '.join(names)}")

    def kinematics(self, x_hard: Tensor) -> Kinematics:
        """Light-cone momenta and momentum fractions; beyond the boundary fractions exceed 1."""
        pt = x_hard[..., 0:-1:3].clamp(min=SMALLEST_PT)
        perps = torch.polar(pt, x_hard[..., 1:-1:3])
        *free, last = self._order
        found = {
            place: from_perp_rapidity(perps[..., i], x_hard[..., 3 * i + 2], self.particles[place].mass)
            for i, place in enumerate(free)
        }
        found[last] = from_perp_rapidity(-perps.sum(-1), x_hard[..., -1], self.particles[last].mass)
        return self.complete(tuple(found[place] for place in range(len(found))))

    def complete(self, outgoing: tuple[LightCone, ...]) -> Kinematics:
        """Add the momentum fractions."""
        x1 = torch.stack([p.plus for p in outgoing]).sum(0) / self.sqrt_s
        x2 = torch.stack([p.minus for p in outgoing]).sum(0) / self.sqrt_s
        return Kinematics(outgoing, x1, x2)

    def to_momenta(self, x_hard: Tensor) -> tuple[Tensor, Tensor]:
        """Momenta [..., n, 4] and log|∂(p⃗_1, …, p⃗_{n-1}, p_z,n)/∂x_hard| [...].

        Raises:
            InputError: the last axis does not hold the coordinates.
        """
        self.check(x_hard)
        momenta = torch.stack([cartesian(p) for p in self.kinematics(x_hard).outgoing], dim=-2)
        return momenta, self.log_jacobian(momenta)

    def from_momenta(self, momenta: Tensor) -> tuple[Tensor, Tensor]:
        """x_hard of momenta [..., n, 4] and log|∂x_hard/∂(p⃗_1, …, p⃗_{n-1}, p_z,n)| [...].

        Energies are taken from the masses; the transverse momentum of the last particle is what balances the others.

        Raises:
            InputError: a wrong shape.
        """
        if momenta.ndim < 2 or momenta.shape[-2:] != (len(self.particles), 4):
            n, names = len(self.particles), ", ".join(particle.name for particle in self.particles)
            raise InputError(
                f"momenta have shape {tuple(momenta.shape)}; expected [..., {n}, 4]: (E, px, py, pz) of {names}"
            )
        parts = []
        for place in self._order:
            p, mass = momenta[..., place, :], self.particles[place].mass
            rapidity = torch.asinh(p[..., 3] / torch.sqrt(p[..., 1] ** 2 + p[..., 2] ** 2 + mass**2))
            parts += [kinematics.pt(p), kinematics.phi(p), rapidity]
        return torch.stack([*parts[:-3], parts[-1]], dim=-1), -self.log_jacobian(momenta)

    def log_jacobian(self, momenta: Tensor) -> Tensor:
        """log(Π E of all · Π pT of all but the last), d³p_1 … dp_z,n over dx_hard, for momenta [..., n, 4]."""
        free = kinematics.pt(momenta)[..., self.free]
        return torch.log(momenta[..., 0]).sum(-1) + torch.log(free).sum(-1)

    def measure(self, x_hard: Tensor) -> Tensor:
        """dx1 dx2 dΦ_n over dx_hard [...]: Π pT · 2 / (s 2ⁿ (2π)^(3n-4))."""
        n = len(self.particles)
        factor = 2 / (self.sqrt_s**2 * 2**n * (2 * math.pi) ** (3 * n - 4))
        return factor * x_hard[..., 0:-1:3].clamp(min=0).prod(-1)

    def outside(self, x_hard: Tensor, point: Kinematics) -> Tensor:
        """Where no such collision exists [...]: too much energy or a negative transverse momentum. NaN is not outside."""
        return (point.x1 > 1) | (point.x2 > 1) | (x_hard[..., 0:-1:3] < 0).any(-1)

    def coordinates(self, point: Kinematics) -> Tensor:
        """x_hard [..., 3n - 2] of a point."""
        parts = []
        for p in (point.outgoing[place] for place in self._order):
            parts += [p.perp.abs(), p.perp.angle(), 0.5 * torch.log(p.plus / p.minus)]
        return torch.stack([*parts[:-3], parts[-1]], dim=-1)

    def rotated(self, x_hard: Tensor, azimuth: Tensor, flipped: Tensor) -> Tensor:
        """x_hard turned by π about the x axis (beams swapped) where ``flipped``, then by ``azimuth`` about the beam."""
        sign = torch.where(flipped, -1.0, 1.0).to(x_hard)
        columns = [
            x if kind == 0 else (kinematics.wrap(sign * x + azimuth) if kind == 1 else sign * x)
            for x, kind in zip(x_hard.unbind(-1), (*(len(self.free) * (0, 1, 2)), 2), strict=True)
        ]
        return torch.stack(columns, dim=-1)

    def incoming(self, point: Kinematics) -> tuple[LightCone, LightCone]:
        """The massless partons along +z and -z."""
        nought = torch.zeros_like(point.x1)
        nowhere = torch.complex(nought, nought)
        return LightCone(point.x1 * self.sqrt_s, nought, nowhere), LightCone(nought, point.x2 * self.sqrt_s, nowhere)

    @property
    def _order(self) -> tuple[int, ...]:
        return self.order or tuple(range(len(self.particles)))
