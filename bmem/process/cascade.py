"""The unit cube ↦ phase-space points without peaks of their own: one particle after the other splits off what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.process.mapping import two_body
from bmem.process.spinors import LightCone
from bmem.process.transverse import Kinematics, TransversePhaseSpace


@dataclass(frozen=True)
class CascadeMap:
    """[N, 3n - 3] in the unit cube → points of n particles and d(x1, x2, Φ_n)/du [N], the overall azimuth integrated over.

    ``order`` is that in which the particles split off; the first lies at φ = 0. The numbers stand for log ŝ, the rapidity of
    the collision, n - 1 cosines, n - 2 masses of what is left, n - 2 azimuths; the angles are those of the particle in the
    rest frame of what it leaves, about the direction of the parton along -z. The peaks are left to the grid.
    """

    space: TransversePhaseSpace
    order: tuple[int, ...]

    def __call__(self, u: Tensor) -> tuple[Kinematics, Tensor]:
        """Points [N] and the Jacobian [N]."""
        n, masses = len(self.order), [self.space.particles[place].mass for place in self.order]
        system, m2, jacobian = self._collision(u[:, 0], u[:, 1], sum(masses) ** 2)
        cosines, shares, azimuths = 2 * u[:, 2 : n + 1] - 1, u[:, n + 1 : 2 * n - 1], 2 * math.pi * u[:, 2 * n - 1 :]
        azimuths = torch.nn.functional.pad(azimuths, (1, 0))
        found: dict[int, LightCone] = {}
        for i, place in enumerate(self.order[:-1]):
            left, density = _left_over(torch.sqrt(m2) - masses[i], masses[i + 1 :], shares[:, i : i + 1])
            found[place], system, momentum = two_body(system, m2, (masses[i], left), cosines[:, i], azimuths[:, i])
            jacobian = jacobian * density * momentum / (4 * math.pi * torch.sqrt(m2))
            m2 = left**2
        found[self.order[-1]] = system
        return self.space.complete(tuple(found[place] for place in range(n))), jacobian

    def _collision(self, u: Tensor, v: Tensor, threshold: float) -> tuple[LightCone, Tensor, Tensor]:
        """The colliding partons together, ŝ, and d(x1, x2)/d(u, v)."""
        s = self.space.sqrt_s**2
        shat = threshold * (s / threshold) ** u
        spread = 0.5 * torch.log(s / shat)
        plus = torch.sqrt(shat) * torch.exp((2 * v - 1) * spread)
        system = LightCone(plus, shat / plus, torch.zeros_like(torch.complex(plus, plus)))
        return system, shat, math.log(s / threshold) * shat / s * 2 * spread


def _left_over(largest: Tensor, masses: list[float], share: Tensor) -> tuple[Tensor, Tensor]:
    """Mass of the system of ``masses``, flat up to the ``largest``, and dm²/2π over du; of one particle, its mass and 1."""
    if len(masses) == 1:
        return torch.full_like(largest, masses[0]), torch.ones_like(largest)
    smallest = sum(masses)
    left = smallest + (largest - smallest) * share[:, 0]
    return left, left * (largest - smallest) / math.pi
