"""|M|² of one channel for given momenta, in MadGraph's particle order and averaging."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmem.errors import InputError
from bmem.process.amplitudes import (
    Amplitudes,
    Quarks,
    Virtualities,
    antitop_amplitudes,
    at_alpha,
    propagators,
    spin_sum,
    top_amplitudes,
)
from bmem.process.channels import BRA, KET, S_CHANNEL, T_CHANNEL, B, PartonicChannel
from bmem.process.couplings import ElectroweakInputs
from bmem.process.spinors import (
    DiracSpinors,
    LightCone,
    charge_conjugate,
    helicity_states,
    left_spinor,
    light_cone,
    light_cone_states,
    minkowski,
)

AVERAGE = 9 / 36
"""Colour sum 9 over the initial-state average 4 · 9."""

CHANNELS = {channel.pdg: channel for channel in (*T_CHANNEL, *S_CHANNEL)}


def find_channel(pdg: Sequence[int]) -> PartonicChannel:
    """The channel with these five codes, in MadGraph's order.

    Raises:
        InputError: no such channel.
    """
    codes = tuple(int(code) for code in pdg)
    if codes not in CHANNELS:
        known = ", ".join(channel.name for channel in CHANNELS.values())
        raise InputError(f"no matrix element for the particle codes {codes}; known, with their order of particles: {known}")
    return CHANNELS[codes]


def helicity_amplitudes(pdg: Sequence[int], momenta: ArrayLike | Tensor, inputs: ElectroweakInputs) -> Amplitudes:
    """M_W, M_S, M_P [2, ...]: top helicity -1/2, then +1/2, in the frame of ``momenta`` [..., 5, 4] (GeV).

    Not defined for a top at rest.

    Raises:
        InputError: unknown codes or a wrong shape.
    """
    return spin_amplitudes(pdg, momenta, inputs, helicity_states)


def spin_amplitudes(
    pdg: Sequence[int],
    momenta: ArrayLike | Tensor,
    inputs: ElectroweakInputs,
    states: Callable[[LightCone, float], DiracSpinors] = light_cone_states,
) -> Amplitudes:
    """M_W, M_S, M_P [2, ...] for the two spin states of the top that ``states`` makes; by default regular everywhere.

    Raises:
        InputError: unknown codes or a wrong shape.
    """
    channel = find_channel(pdg)
    p = _checked(momenta)
    first, second = light_cone(p[..., 0, :], 0.0), light_cone(p[..., 1, :], 0.0)
    jet_at, top_at = (3, 2) if channel.s_channel else (2, 3)
    jet, top = light_cone(p[..., jet_at, :], 0.0), light_cone(p[..., top_at, :], inputs.mt)
    higgs = light_cone(p[..., 4, :], inputs.mh)

    momentum = dict(zip(channel.roles, (first, second, jet), strict=True))
    spinor = {role: left_spinor(p) for role, p in momentum.items()}
    bra_ket, b_top = minkowski(momentum[BRA], momentum[KET]), minkowski(momentum[B], top)
    virtualities = Virtualities.of(channel.s_channel, bra_ket, b_top, inputs.mt**2)
    coupled = propagators(virtualities, minkowski(top, higgs), inputs)
    spins = states(top, inputs.mt)
    if channel.top > 0:
        return top_amplitudes(Quarks(spinor[BRA], spinor[KET], spinor[B]), spins, higgs, coupled, inputs)
    return antitop_amplitudes(Quarks(spinor[KET], spinor[BRA], spinor[B]), charge_conjugate(spins), higgs, coupled, inputs)


def squared_amplitude(
    pdg: Sequence[int], momenta: ArrayLike | Tensor, alpha: ArrayLike | Tensor, inputs: ElectroweakInputs
) -> Tensor:
    """|M|² in GeV⁻² summed over final, averaged over initial spins and colours.

    Args:
        pdg: codes of the five particles in MadGraph's order, e.g. (2, 5, 1, 6, 25) for u b > d t h, the b of the s
            channel after the top.
        momenta: [..., 5, 4] in GeV in any frame, incoming ones with positive energy.
        alpha: CP phase in radians, broadcast against the leading axes of ``momenta``.
        inputs: masses and couplings.

    Raises:
        InputError: unknown codes or a wrong shape.
    """
    amplitudes = spin_amplitudes(pdg, momenta, inputs)
    angle = torch.as_tensor(alpha, dtype=amplitudes.w.real.dtype, device=amplitudes.w.device)
    return AVERAGE * spin_sum(at_alpha(amplitudes, angle))


def _checked(momenta: ArrayLike | Tensor) -> Tensor:
    p = torch.as_tensor(momenta)
    if p.ndim < 2 or p.shape[-2:] != (5, 4):
        raise InputError(f"momenta have shape {tuple(p.shape)}; expected [..., 5, 4]: (E, px, py, pz) in GeV")
    return p if p.is_floating_point() else p.double()
