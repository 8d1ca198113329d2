"""Electroweak inputs and what follows from them at tree level."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ElectroweakInputs:
    """Inputs of the (1/α_EW, G_F, M_Z) scheme; masses in GeV, all widths zero, light quarks and b massless, CKM = 1.

    The Yukawa coupling follows from the top mass. The defaults are those of the MadGraph Standard Model.
    """

    mz: float = 91.188
    mt: float = 172.5
    mh: float = 125.0
    inverse_alpha: float = 132.507
    gf: float = 1.16639e-5

    @property
    def mw(self) -> float:
        """W mass: M_W² = M_Z²/2 + sqrt(M_Z⁴/4 - π α M_Z² / (√2 G_F))."""
        half = self.mz**2 / 2
        return math.sqrt(half + math.sqrt(half**2 - math.pi / self.inverse_alpha * self.mz**2 / (math.sqrt(2) * self.gf)))

    @property
    def sw2(self) -> float:
        """sin²θ_W = 1 - M_W²/M_Z²."""
        return 1 - self.mw**2 / self.mz**2

    @property
    def ee(self) -> float:
        """Electromagnetic coupling e = sqrt(4πα)."""
        return math.sqrt(4 * math.pi / self.inverse_alpha)

    @property
    def gw(self) -> float:
        """Weak coupling g = e / sin θ_W."""
        return self.ee / math.sqrt(self.sw2)

    @property
    def vev(self) -> float:
        """Vacuum expectation value v = 2 M_W / g."""
        return 2 * self.mw / self.gw

    @property
    def yt(self) -> float:
        """Top Yukawa coupling y_t = √2 m_t / v."""
        return math.sqrt(2) * self.mt / self.vev
