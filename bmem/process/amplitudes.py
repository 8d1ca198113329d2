"""Helicity amplitudes of single top + Higgs + light quark, in unitary gauge with zero widths.

Two diagrams: the Higgs leaves the W (W W H vertex) or the top (t t H vertex). The light current ``bra† σ̄^μ ket`` is
conserved, so q^μ q^ν / M_W² survives only towards the heavy line. All quarks that couple to the W are left-handed: the
two spin states of the top are the only helicities. With ``M = M_W + κ_S M_S + κ_P M_P`` one evaluation serves every α.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bmem.process.couplings import ElectroweakInputs
from bmem.process.spinors import (
    DiracSpinors,
    LightCone,
    Spinor,
    angle,
    dual,
    inner,
    sigma,
    sigma_bar,
)


class Amplitudes(NamedTuple):
    """M_W, M_S and M_P [2, ...], the top's spin states on the first axis; colour stripped."""

    w: Tensor
    s: Tensor
    p: Tensor


class Couplings(NamedTuple):
    """Vertices times propagators: ``w`` of the W W H diagram, ``top`` of the t t H diagram (real, [...])."""

    w: Tensor
    top: Tensor


class Virtualities(NamedTuple):
    """q² of the W at the ``light`` current and at the ``heavy`` line, in GeV²."""

    light: Tensor
    heavy: Tensor

    @classmethod
    def of(cls, s_channel: bool, bra_ket: Tensor, b_top: Tensor, mt2: float) -> Virtualities:
        """From the products 2 p_bra·p_ket and 2 p_b·p_t of the (positive-energy) momenta."""
        sign = 1 if s_channel else -1
        return cls(sign * bra_ket, mt2 + sign * b_top)


def propagators(virtualities: Virtualities, top_higgs: Tensor, inputs: ElectroweakInputs) -> Couplings:
    """Vertices times propagators, with ``top_higgs`` = 2 p_t·p_H."""
    mw2 = inputs.mw**2
    shared = inputs.gw**2 / 2 / (virtualities.light - mw2)
    return Couplings(
        shared * (inputs.gw * inputs.mw) / (virtualities.heavy - mw2),
        shared * (inputs.yt / math.sqrt(2)) / (top_higgs + inputs.mh**2),
    )


class Quarks(NamedTuple):
    """Left-handed spinors of the massless quarks: the light current is bra† σ̄^μ ket; ``b`` is on the heavy line."""

    bra: Spinor
    ket: Spinor
    b: Spinor


def top_amplitudes(
    quarks: Quarks, top: DiracSpinors, higgs: LightCone, couplings: Couplings, inputs: ElectroweakInputs
) -> Amplitudes:
    """Amplitudes with an outgoing top of spin states ``top`` = u(p_t)."""
    current = 2 * angle(quarks.ket, quarks.b)
    right = dual(quarks.bra)
    straight = current * inner(top.left, right)
    radiated = current * inner(top.right, sigma(higgs, right))
    longitudinal = inner(quarks.bra, sigma_bar(higgs, quarks.ket)) * inner(top.right, quarks.b)
    return _assemble((straight, radiated, longitudinal), couplings, inputs, -1j)


def antitop_amplitudes(
    quarks: Quarks, antitop: DiracSpinors, higgs: LightCone, couplings: Couplings, inputs: ElectroweakInputs
) -> Amplitudes:
    """Amplitudes with an outgoing antitop of spin states ``antitop`` = v(p_t): (p̸ + m) v = 0."""
    current = 2 * angle(quarks.bra, quarks.b).conj()
    straight = current * angle(quarks.ket, antitop.left)
    radiated = -current * angle(quarks.ket, sigma(higgs, antitop.right))
    longitudinal = -inner(quarks.bra, sigma_bar(higgs, quarks.ket)) * inner(quarks.b, antitop.right)
    return _assemble((straight, radiated, longitudinal), couplings, inputs, 1j)


def _assemble(
    currents: tuple[Tensor, Tensor, Tensor], couplings: Couplings, inputs: ElectroweakInputs, phase: complex
) -> Amplitudes:
    straight, radiated, longitudinal = currents
    emitted = couplings.top * radiated
    return Amplitudes(
        couplings.w * (straight + (inputs.mt / inputs.mw**2) * longitudinal),
        couplings.top * (2 * inputs.mt) * straight + emitted,
        phase * emitted,
    )


def couplings_of(alpha: Tensor) -> tuple[Tensor, Tensor]:
    """κ_S = cos α and κ_P = (2/3) sin α; the 2/3 keeps σ(gg → H) independent of α."""
    return torch.cos(alpha), (2 / 3) * torch.sin(alpha)


def at_alpha(amplitudes: Amplitudes, alpha: Tensor) -> Tensor:
    """M(α) [2, ...]."""
    scalar, pseudo = couplings_of(alpha)
    return amplitudes.w + scalar * amplitudes.s + pseudo * amplitudes.p


def morphing_basis(alpha: Tensor) -> Tensor:
    """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²): [...] → [..., 6]."""
    scalar, pseudo = couplings_of(alpha)
    return torch.stack([torch.ones_like(scalar), scalar, pseudo, scalar**2, scalar * pseudo, pseudo**2], dim=-1)


def spin_sum(m: Tensor) -> Tensor:
    """Σ |M|² over the first axis."""
    return (m.real**2 + m.imag**2).sum(0)


def interference(m: Tensor, n: Tensor) -> Tensor:
    """Σ 2 Re(M N*) over the first axis."""
    return 2 * (m.real * n.real + m.imag * n.imag).sum(0)


def morphing_components(amplitudes: Amplitudes) -> Tensor:
    """Σ_spins |M|² as coefficients [..., 6] of ``morphing_basis``.

    The κ_S κ_P coefficient is zero by the completeness relation: Σ M_S M_P* is purely imaginary because
    Σ u_R u_L† = m_t makes Σ straight · radiated* real.
    """
    w, s, p = amplitudes
    return torch.stack(
        [spin_sum(w), interference(w, s), interference(w, p), spin_sum(s), torch.zeros_like(s[0].real), spin_sum(p)], dim=-1
    )
