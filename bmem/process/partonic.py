"""Parton densities times |M|² of a set of channels, component by component, at points of phase space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.process.channels import BRA, KET, B, Roles
from bmem.process.couplings import ElectroweakInputs
from bmem.process.luminosity import BEAM_ORDERS, Luminosity
from bmem.process.matrix_element import AVERAGE
from bmem.process.phase_space import HardKinematics, PhaseSpace
from bmem.process.spin_sums import SpinSums, SquaredComponents
from bmem.units import GEV2_PB


@dataclass(frozen=True)
class PartonicCrossSection:
    """dσ / (dx1 dx2 dΦ₃) = Σ f_a(x1) f_b(x2) |M|² / (2 ŝ) in pb GeV⁻² as the six components of the morphing basis.

    Results have the points on the last axis, and are not to be used where x1 or x2 exceeds 1.
    """

    space: PhaseSpace
    inputs: ElectroweakInputs
    luminosity: Luminosity

    def summed(self, point: HardKinematics, orders: tuple[int, ...] = BEAM_ORDERS) -> Tensor:
        """Sum over channels and the given beam orders [6, N]."""
        luminosities, sums = self.luminosity.summed(point.x1, point.x2), self._spin_sums(point)
        terms = [
            [weight * part for part in _components(sums, roles, order)]
            for order in orders
            for roles, weight in luminosities[order].items()
        ]
        flux = self._flux(point)
        return _stacked([flux * sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True)])

    def per_channel(self, point: HardKinematics, orders: tuple[int, ...] = BEAM_ORDERS) -> Tensor:
        """Channel by channel and beam order by beam order [channel, order, 6, N]."""
        sums, channels = self._spin_sums(point), self.luminosity.channels
        squared = {
            roles: torch.stack([_stacked(_components(sums, roles, order)) for order in orders])
            for roles in dict.fromkeys(channel.roles for channel in channels)
        }
        matrix_elements = torch.stack([squared[channel.roles] for channel in channels])
        weights = self.luminosity.per_channel(point.x1, point.x2)[:, list(orders)] * self._flux(point)
        return weights[:, :, None] * matrix_elements

    def _flux(self, point: HardKinematics) -> Tensor:
        return AVERAGE * GEV2_PB / (2 * self.space.sqrt_s**2) / (point.x1 * point.x2) ** 2

    def _spin_sums(self, point: HardKinematics) -> SpinSums:
        return SpinSums((*self.space.incoming(point), point.jet), point.top, point.higgs, self.inputs)


def _components(sums: SpinSums, roles: Roles, order: int) -> SquaredComponents:
    """Of the matrix element ``roles``: the same for a channel and its charge conjugate."""
    place = dict(zip(roles, (0, 1, 2) if order == 0 else (1, 0, 2), strict=True))
    return sums.components(place[BRA], place[KET], place[B], s_channel=place[B] == 2)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """The six components [6, N] from the five that do not vanish."""
    one, scalar, pseudo, scalar2, pseudo2 = parts
    return torch.stack([one, scalar, pseudo, scalar2, torch.zeros_like(one), pseudo2])
