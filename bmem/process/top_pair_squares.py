"""|M|² of g g and q q̄ → t t̄ H, summed over spins and colours: components, given momenta, colour flows.

|M|² = κ_S² A + κ_P² B: interference of the two couplings vanishes after the spin sum. Parity turns all helicities of both
squares around, so half of the initial helicities are enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmem.errors import InputError
from bmem.process.amplitudes import couplings_of, spin_sum
from bmem.process.couplings import ElectroweakInputs
from bmem.process.pdf import GLUON
from bmem.process.spinors import LightCone, inner, left_spinor, light_cone, minkowski, sigma_bar
from bmem.process.top_pair_amplitudes import (
    DOWN,
    UP,
    Chiral,
    PairMomenta,
    Polarisation,
    TopLine,
    gluon_amplitudes,
    quark_amplitudes,
)
from bmem.rng import uniform

LIGHT = (2, 1, 3, 4)
"""Quarks that annihilate: b b̄ → t t̄ H is left out."""
GLUON_AVERAGE, QUARK_AVERAGE = 1 / 256, 1 / 36
SYMMETRIC, ANTISYMMETRIC = 7 / 3, 3.0
"""Σ_colours |a T^a T^b + b T^b T^a|² = 16/3 (|a|² + |b|²) - 4/3 Re(a b*) = 7/3 |a + b|² + 3 |a - b|²."""
QUARK_COLOURS = 2.0
"""Σ_colours of T^c ⊗ T^c."""
HALF_OF_HELICITIES: tuple[tuple[Polarisation, Polarisation], ...] = ((UP, UP), (UP, DOWN))


def pair_basis(alpha: Tensor) -> Tensor:
    """(κ_S², κ_P²): [...] → [..., 2]."""
    scalar, pseudo = couplings_of(alpha)
    return torch.stack([scalar**2, pseudo**2], dim=-1)


def gluon_squares(line: TopLine) -> Tensor:
    """Σ|M|² of g g as coefficients [2, ...] of ``pair_basis``, without couplings and averages."""
    opposite, equal = (_colour_sum(*gluon_amplitudes(line, *spins)) for spins in HALF_OF_HELICITIES)
    return 2 * (opposite + equal)


def quark_squares(line: TopLine) -> Tensor:
    """The same of q q̄."""
    return 2 * QUARK_COLOURS * _spin_sums(quark_amplitudes(line, UP))


def gluon_flows(line: TopLine) -> Tensor:
    """Σ_spins |M|² of either order of the gluons on the quark line [2 orders, 2, ...], as coefficients of ``pair_basis``.

    First the order in which the gluon along +z is next to the top. These are the squares at leading colour, up to a factor.
    """
    opposite, equal = (gluon_amplitudes(line, *spins) for spins in HALF_OF_HELICITIES)
    return torch.stack([_spin_sums(one) + _spin_sums(other) for one, other in zip(opposite, equal, strict=True)])


def _spin_sums(amplitude: Chiral) -> Tensor:
    return torch.stack([spin_sum(m.flatten(0, 1)) for m in (amplitude.scalar, amplitude.pseudo)])


def _colour_sum(one: Chiral, other: Chiral) -> Tensor:
    total = Chiral(one.right + other.right, one.left + other.left)
    difference = Chiral(one.right - other.right, one.left - other.left)
    return SYMMETRIC * _spin_sums(total) + ANTISYMMETRIC * _spin_sums(difference)


def strength(alpha_s: float, inputs: ElectroweakInputs) -> float:
    """g_s⁴ y_t² / 2."""
    return (4 * math.pi * alpha_s) ** 2 * inputs.yt**2 / 2


def squared_components(pdg: Sequence[int], momenta: ArrayLike | Tensor, alpha_s: float, inputs: ElectroweakInputs) -> Tensor:
    """|M|² in GeV⁻², averaged over the initial state, as coefficients [..., 2] of ``pair_basis``.

    Codes and momenta as ``TTH.squared_amplitude`` takes them.

    Raises:
        InputError: unknown codes or a wrong shape.
    """
    gluons = are_gluons(pdg)
    line = TopLine(collinear(momenta, inputs), inputs)
    squares = GLUON_AVERAGE * gluon_squares(line) if gluons else QUARK_AVERAGE * quark_squares(line)
    return strength(alpha_s, inputs) * squares.movedim(0, -1)


def are_gluons(pdg: Sequence[int]) -> bool:
    """Whether the codes are those of g g → t t̄ H; False for q q̄ and q̄ q.

    Raises:
        InputError: they are neither.
    """
    first, second, *outgoing = (int(code) for code in pdg)
    gluons, quarks = first == second == GLUON, first == -second and abs(first) in LIGHT
    if outgoing != [6, -6, 25] or not (gluons or quarks):
        raise InputError(
            f"no matrix element for the particle codes {tuple(pdg)}; known: (21, 21, 6, -6, 25) and (q, -q, 6, -6, 25) "
            "with q = 1, 2, 3, 4 or their antiquarks, in this order of particles"
        )
    return gluons


def collinear(momenta: ArrayLike | Tensor, inputs: ElectroweakInputs) -> PairMomenta:
    """Momenta [..., 5, 4] of (first, second, t, t̄, H) as seen where the first flies along +z and the second along -z.

    From invariants: 2p·k₂/√ŝ, 2p·k₁/√ŝ, and the spinor product across the beams.

    Raises:
        InputError: a wrong shape.
    """
    p = torch.as_tensor(momenta)
    if p.ndim < 2 or p.shape[-2:] != (5, 4):
        raise InputError(f"momenta have shape {tuple(p.shape)}; expected [..., 5, 4]: (E, px, py, pz) in GeV")
    p = p if p.is_floating_point() else p.double()
    masses = (0.0, 0.0, inputs.mt, inputs.mt, inputs.mh)
    first, second, top, antitop, higgs = (light_cone(p[..., i, :], mass) for i, mass in enumerate(masses))
    energy, chi = torch.sqrt(minkowski(first, second)), (left_spinor(first), left_spinor(second))

    def seen(q: LightCone) -> LightCone:
        across = -inner(chi[0], sigma_bar(q, chi[1]))
        return LightCone(minkowski(q, second) / energy, minkowski(q, first) / energy, across / energy)

    return PairMomenta(seen(top), seen(antitop), seen(higgs), energy, energy)


def colour_lines(pdg: Tensor, momenta: Tensor, alpha: Tensor, rng: torch.Generator, inputs: ElectroweakInputs) -> Tensor:
    """Colour and anticolour [N, 5, 2] of every particle, as an event file states them (0: none, then 501, 502, …).

    Of the two planar flows of g g one is drawn with the probability of its squared amplitude at leading colour; q q̄ has one.

    Args:
        pdg: codes [N, 5] of (incoming, incoming, t, t̄, H).
        momenta: [N, 5, 4] in GeV, in that order.
        alpha: CP phase in radians, [N] or one number.
        rng: draws one number for every event, whatever it is.
        inputs: masses.

    Raises:
        InputError: events of another process, or a wrong shape.
    """
    for codes in pdg.unique(dim=0).tolist():
        are_gluons(codes)
    squares = (gluon_flows(TopLine(collinear(momenta, inputs), inputs)).movedim(1, -1) * pair_basis(alpha)).sum(-1)
    second_outside = uniform(pdg.shape[:1], rng, squares) * squares.sum(0) >= squares[0]
    flow = torch.where(pdg[:, 0] == GLUON, second_outside.long(), torch.where(pdg[:, 0] > 0, 2, 3))
    return torch.tensor(_FLOWS, device=flow.device)[flow]


_PAIR = [[501, 0], [0, 503], [0, 0]]
_FLOWS = [
    [[501, 502], [502, 503], *_PAIR],
    [[502, 503], [501, 502], *_PAIR],
    [[501, 0], [0, 503], *_PAIR],
    [[0, 503], [501, 0], *_PAIR],
]
