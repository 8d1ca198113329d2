"""Six numbers in the unit cube ↦ a point of the tHj phase space, flat along its main peaks.

The W takes p_1 - p_j from the parton along +z and makes a system Q of top and Higgs with the parton along -z. The numbers
stand for log m²_Q, log(ŝ/m²_Q), the rapidity of the collision, the W's virtuality, and the angles of the top in the rest
frame of Q about the direction of the parton along -z. The overall azimuth is left out: the jet lies at φ = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.process.phase_space import HardKinematics, PhaseSpace
from bmem.process.spinors import LightCone

MAPPED = 6


@dataclass(frozen=True)
class PeakMap:
    """[N, 6] in the unit cube → phase-space points and d(x1, x2, Φ₃)/du [N], the azimuth integrated over.

    Sequential splitting into W exchange and the decay Q → t H, written with light-cone components along the beams,
    in which it is algebraic.
    """

    space: PhaseSpace
    mw: float

    def __call__(self, u: Tensor) -> tuple[HardKinematics, Tensor]:
        """Points [N] and the Jacobian [N]."""
        s, (mt, mh) = self.space.sqrt_s**2, (self.space.mt, self.space.mh)
        threshold = (mt + mh) ** 2
        m2 = threshold * (s / threshold) ** u[:, 0]
        shat = m2 * (s / m2) ** u[:, 1]
        spread = 0.5 * torch.log(s / shat)
        boost = torch.exp((2 * u[:, 2] - 1) * spread)
        jacobian = m2 * math.log(s / threshold) * (shat * torch.log(s / m2) / s) * (2 * spread)
        t, dt = self._virtuality(shat - m2, u[:, 3])
        p1 = torch.sqrt(shat) * boost
        p2 = torch.sqrt(shat) / boost
        jet = _jet(t / p1, (shat - m2 - t) / p2)
        system = LightCone(p1 - jet.plus, p2 - jet.minus, -jet.perp)
        top, higgs, momentum = two_body(system, m2, (mt, mh), 2 * u[:, 4] - 1, 2 * math.pi * u[:, 5])
        jacobian = jacobian * dt / (2 * math.pi) / (8 * math.pi * shat) * momentum / (4 * math.pi * torch.sqrt(m2))
        return HardKinematics(top, higgs, jet, p1 / self.space.sqrt_s, p2 / self.space.sqrt_s), jacobian

    def _virtuality(self, largest: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """-t in (0, largest) and its derivative, flat in 1/(m_W² - t)."""
        mw2 = self.mw**2
        down = mw2 + largest * (1 - u)
        return mw2 * largest * u / down, mw2 * largest * (mw2 + largest) / down**2


def two_body(
    system: LightCone, m2: Tensor, masses: tuple[float | Tensor, float | Tensor], cosine: Tensor, azimuth: Tensor
) -> tuple[LightCone, LightCone, Tensor]:
    """Decay of ``system`` of mass² ``m2`` to two ``masses``: their momenta, and their size in the rest frame.

    Angles [...] of the first, about the direction of the -z parton.
    """
    m, (one, other) = torch.sqrt(m2), masses
    energy = (m2 + one**2 - other**2) / (2 * m)
    momentum = torch.sqrt((m2 - (one - other) ** 2) * (m2 - (one + other) ** 2)) / (2 * m)
    share = (energy - momentum * cosine) / m
    kick = torch.polar(momentum * torch.sqrt((1 - cosine) * (1 + cosine)), azimuth)
    return _on_shell(share, system, kick, one**2), _on_shell(1 - share, system, -kick, other**2), momentum


def _jet(minus: Tensor, plus: Tensor) -> LightCone:
    pt = torch.sqrt(plus * minus)
    return LightCone(plus, minus, torch.complex(pt, torch.zeros_like(pt)))


def _on_shell(share: Tensor, system: LightCone, kick: Tensor, mass2: float | Tensor) -> LightCone:
    """The part with a ``share`` of the plus component and a transverse ``kick`` relative to its share."""
    perp = share * system.perp + kick
    plus = share * system.plus
    return LightCone(plus, (mass2 + perp.real**2 + perp.imag**2) / plus, perp)
