"""Parton densities times |M|² of a set of channels, component by component, at points of phase space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.process.amplitudes import Quarks, Virtualities, morphing_components, propagators, top_amplitudes
from bmem.process.channels import BRA, KET, B, Roles
from bmem.process.couplings import ElectroweakInputs
from bmem.process.luminosity import BEAM_ORDERS, Luminosity
from bmem.process.matrix_element import AVERAGE
from bmem.process.phase_space import HardKinematics, PhaseSpace
from bmem.process.spinors import DiracSpinors, LightCone, Spinor, left_spinor, light_cone_states, minkowski
from bmem.units import GEV2_PB


@dataclass(frozen=True)
class _Shared:
    """What all matrix elements of a point have in common; quarks are (along +z, along -z, jet)."""

    quarks: tuple[LightCone, LightCone, LightCone]
    spinors: tuple[Spinor, Spinor, Spinor]
    top: LightCone
    states: DiracSpinors
    higgs: LightCone
    top_higgs: Tensor


@dataclass(frozen=True)
class PartonicCrossSection:
    """dσ / (dx1 dx2 dΦ₃) = Σ f_a(x1) f_b(x2) |M|² / (2 ŝ) in pb GeV⁻² as the six components of the morphing basis."""

    space: PhaseSpace
    inputs: ElectroweakInputs
    luminosity: Luminosity

    def summed(self, point: HardKinematics, orders: tuple[int, ...] = BEAM_ORDERS) -> Tensor:
        """Sum over channels and the given beam orders [..., 6]; x1 and x2 must not exceed 1."""
        luminosities, shared = self.luminosity.summed(point.x1, point.x2), self._shared(point)
        total = torch.zeros((), dtype=point.x1.dtype, device=point.x1.device)
        for order in orders:
            for roles, weight in luminosities[order].items():
                total = total + weight[..., None] * self._squared(shared, roles, order)
        return total * self._flux(point)[..., None]

    def per_channel(self, point: HardKinematics, orders: tuple[int, ...] = BEAM_ORDERS) -> Tensor:
        """Channel by channel and beam order by beam order [..., channel, order, 6]; x1 and x2 must not exceed 1."""
        shared, channels = self._shared(point), self.luminosity.channels
        distinct = dict.fromkeys(channel.roles for channel in channels)
        squared = {roles: torch.stack([self._squared(shared, roles, order) for order in orders], -2) for roles in distinct}
        matrix_elements = torch.stack([squared[channel.roles] for channel in channels], dim=-3)
        weights = self.luminosity.per_channel(point.x1, point.x2)[..., list(orders)] * self._flux(point)[..., None, None]
        return weights[..., None] * matrix_elements

    def _flux(self, point: HardKinematics) -> Tensor:
        return AVERAGE * GEV2_PB / (2 * self.space.sqrt_s**2) / (point.x1 * point.x2) ** 2

    def _shared(self, point: HardKinematics) -> _Shared:
        quarks = (*self.space.incoming(point), point.jet)
        spinors = left_spinor(quarks[0]), left_spinor(quarks[1]), left_spinor(quarks[2])
        states = light_cone_states(point.top, self.inputs.mt)
        return _Shared(quarks, spinors, point.top, states, point.higgs, minkowski(point.top, point.higgs))

    def _squared(self, shared: _Shared, roles: Roles, order: int) -> Tensor:
        """Σ_spins |M|² [..., 6] of the matrix element ``roles``: the same for a channel and its charge conjugate."""
        place = dict(zip(roles, (0, 1, 2) if order == 0 else (1, 0, 2), strict=True))
        bra, ket, b = place[BRA], place[KET], place[B]
        p = shared.quarks
        virtualities = Virtualities.of(b == 2, minkowski(p[bra], p[ket]), minkowski(p[b], shared.top), self.inputs.mt**2)
        couplings = propagators(virtualities, shared.top_higgs, self.inputs)
        quarks = Quarks(shared.spinors[bra], shared.spinors[ket], shared.spinors[b])
        return morphing_components(top_amplitudes(quarks, shared.states, shared.higgs, couplings, self.inputs))
