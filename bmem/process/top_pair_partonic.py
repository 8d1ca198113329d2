"""Parton densities times |M|² of g g and q q̄ → t t̄ H, component by component, at points of phase space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.process.channels import parton_name
from bmem.process.couplings import ElectroweakInputs
from bmem.process.luminosity import BEAM_ORDERS, Luminosity
from bmem.process.pdf import GLUON
from bmem.process.top_pair_amplitudes import PairMomenta, TopLine
from bmem.process.top_pair_squares import GLUON_AVERAGE, LIGHT, QUARK_AVERAGE, gluon_squares, quark_squares, strength
from bmem.process.transverse import Kinematics, TransversePhaseSpace
from bmem.units import GEV2_PB

QUARKS, GLUONS = "quarks", "gluons"


@dataclass(frozen=True)
class PairChannel:
    """A partonic channel ``first second > t t~ h``."""

    first: int
    second: int

    @property
    def roles(self) -> str:
        """Which matrix element it has."""
        return GLUONS if self.first == GLUON else QUARKS

    @property
    def name(self) -> str:
        """Such as ``u u~ > t t~ h``."""
        first, second = ("g" if code == GLUON else parton_name(code) for code in (self.first, self.second))
        return f"{first} {second} > t t~ h"


PAIR_CHANNELS = (PairChannel(GLUON, GLUON), *(PairChannel(code, -code) for code in LIGHT))


@dataclass(frozen=True)
class PairCrossSection:
    """dσ / (dx1 dx2 dΦ₃) = Σ f_a(x1) f_b(x2) |M|² / (2 ŝ) in pb GeV⁻² as components of (κ_S², κ_P²).

    |M|² is the same for both beam orders; two gluons are half in one and half in the other. Results have the points on the
    last axis, and are not to be used where x1 or x2 exceeds 1.
    """

    space: TransversePhaseSpace
    inputs: ElectroweakInputs
    luminosity: Luminosity
    alpha_s: float

    def summed(self, point: Kinematics, orders: tuple[int, ...] = BEAM_ORDERS) -> Tensor:
        """Sum over channels and the given beam orders [2, N]."""
        luminosities, squares = self.luminosity.summed(point.x1, point.x2), self._squares(point)
        terms = [luminosities[order][roles] * square for order in orders for roles, square in squares.items()]
        return torch.stack(terms).sum(0)

    def per_channel(self, point: Kinematics, orders: tuple[int, ...] = BEAM_ORDERS) -> Tensor:
        """Channel by channel and beam order by beam order [channel, order, 2, N]."""
        squares = self._squares(point)
        weights = self.luminosity.per_channel(point.x1, point.x2)[:, list(orders)]
        return weights[:, :, None] * torch.stack([squares[channel.roles] for channel in self.luminosity.channels])[:, None]

    def _squares(self, point: Kinematics) -> dict[str, Tensor]:
        """|M|² over the flux [2, N] of one beam order of each kind."""
        sqrt_s, (top, antitop, higgs) = self.space.sqrt_s, point.outgoing
        line = TopLine(PairMomenta(top, antitop, higgs, point.x1 * sqrt_s, point.x2 * sqrt_s), self.inputs)
        flux = strength(self.alpha_s, self.inputs) * GEV2_PB / (2 * sqrt_s**2) / (point.x1 * point.x2) ** 2
        return {
            GLUONS: (0.5 * GLUON_AVERAGE) * flux * gluon_squares(line),
            QUARKS: QUARK_AVERAGE * flux * quark_squares(line),
        }
