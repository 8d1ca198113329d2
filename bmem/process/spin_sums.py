"""Spin-summed |M|² of single top + Higgs, component by component: the amplitudes of ``amplitudes`` with the sum over the
top's spin states carried out by completeness, Σ u_R u_R† = σ̄·p_t, Σ u_L u_L† = σ·p_t, Σ u_R u_L† = m_t.

What is left is real but for two spinor chains, and most of it is shared by the channels and beam orders of a point.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from torch import Tensor

from bmem.process.amplitudes import Virtualities, propagators
from bmem.process.couplings import ElectroweakInputs
from bmem.process.spinors import LightCone, angle, dual, inner, left_spinor, minkowski, sigma, sigma_bar


class SquaredComponents(NamedTuple):
    """Coefficients [...] of (1, κ_S, κ_P, κ_S², κ_P²) in Σ_spins |M|²; that of κ_S κ_P is zero."""

    one: Tensor
    scalar: Tensor
    pseudo: Tensor
    scalar2: Tensor
    pseudo2: Tensor


class SpinSums:
    """Σ_spins |M|² of any assignment of the three massless quarks at points of phase space.

    Args:
        quarks: momenta of the massless quarks, incoming or outgoing.
        top: momentum of the top (or antitop: the charge conjugate channel has the same squares).
        higgs: momentum of the Higgs.
        inputs: masses and couplings.
    """

    def __init__(
        self, quarks: tuple[LightCone, LightCone, LightCone], top: LightCone, higgs: LightCone, inputs: ElectroweakInputs
    ) -> None:
        self.quarks, self.inputs = quarks, inputs
        self.spinors = spinors = [left_spinor(p) for p in quarks]
        self.with_top = [minkowski(p, top) for p in quarks]
        self.with_higgs = [minkowski(p, higgs) for p in quarks]
        self.top_higgs = minkowski(top, higgs)
        self._radiating = cache(lambda bra: sigma(higgs, dual(spinors[bra])))
        self._absorbing = cache(lambda b: sigma_bar(top, spinors[b]))
        self._light = cache(lambda low, high: inner(spinors[low], sigma_bar(higgs, spinors[high])))

    def components(self, bra: int, ket: int, b: int, s_channel: bool) -> SquaredComponents:
        """Which of ``quarks`` is in the light current bra† σ̄^μ ket and which is the b."""
        m, mu = self.inputs.mt, self.inputs.mt / self.inputs.mw**2
        bra_ket = minkowski(self.quarks[bra], self.quarks[ket])
        w, t = propagators(Virtualities.of(s_channel, bra_ket, self.with_top[b], m**2), self.top_higgs, self.inputs)
        ket_b, current = angle(self.spinors[ket], self.spinors[b]), self._current(bra, ket)
        strength = 4 * (ket_b.real**2 + ket_b.imag**2)
        straight = strength * self.with_top[bra]
        mixed = (m * strength) * self.with_higgs[bra]
        radiated = strength * (self.top_higgs * self.with_higgs[bra] - self.inputs.mh**2 * self.with_top[bra])
        pull = (2 * mu) * current * ket_b.conj()
        with_straight = m * (pull * angle(self.spinors[bra], self.spinors[b])).real
        with_radiated = pull * inner(self._radiating(bra), self._absorbing(b))
        longitudinal = mu**2 * (current.real**2 + current.imag**2) * self.with_top[b]
        wt = 2 * w * t
        return SquaredComponents(
            w * w * (straight + 2 * with_straight + longitudinal),
            wt * (2 * m * (straight + with_straight) + mixed + with_radiated.real),
            -wt * with_radiated.imag,
            t * t * (4 * m**2 * straight + 4 * m * mixed + radiated),
            t * t * radiated,
        )

    def _current(self, bra: int, ket: int) -> Tensor:
        """bra† σ̄·p_H ket, hermitian in its two quarks."""
        return self._light(bra, ket) if bra < ket else self._light(ket, bra).conj()
