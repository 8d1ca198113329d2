"""Helicity amplitudes of g g and q q̄ → t t̄ H by gluon exchange, for incoming partons along the beam axis.

Every diagram is one quark line from the antitop to the top, on which two gluons (or one that the initial partons make) and
the Higgs boson sit in some order. A Dirac spinor is a tensor [4, top spin, antitop spin, ...] = (ψ_L, ψ_R) of ``spinors``;
a row is ``bar`` of one. With the equations of motion at its ends (S is a propagator, u and v the ends)

    S Γ u = (2m u + p̸_H u) / (m_H² + 2p_t·p_H) for Γ = 1,     S ε̸ u = (2p_t·ε u - k̸ ε̸ u) / (-2p_t·k) for a gluon k, ε

and likewise at the antitop. In M = (κ_S + iκ_P) R + (κ_S - iκ_P) L the coupling and g_s²y_t/√2 are stripped, and colour:
M T^a T^b for two gluons a, b in this order from the top.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bmem.process.couplings import ElectroweakInputs
from bmem.process.spinors import (
    DiracSpinors,
    LightCone,
    charge_conjugate,
    light_cone_states,
    minkowski,
    sigma,
    sigma_bar,
)

ROOT2 = math.sqrt(2)
States = Callable[[LightCone, float], DiracSpinors]


class PairMomenta(NamedTuple):
    """Outgoing top, antitop and Higgs; ``plus`` is E + p_z of the parton along +z, ``minus`` is E - p_z of that along -z."""

    top: LightCone
    antitop: LightCone
    higgs: LightCone
    plus: Tensor
    minus: Tensor


class Chiral(NamedTuple):
    """Amplitudes [top spin, antitop spin, ...] that multiply κ_S + iκ_P (``right``) and κ_S - iκ_P (``left``)."""

    right: Tensor
    left: Tensor

    @property
    def scalar(self) -> Tensor:
        """What multiplies κ_S."""
        return self.right + self.left

    @property
    def pseudo(self) -> Tensor:
        """What multiplies iκ_P."""
        return self.right - self.left


class Polarisation(NamedTuple):
    """A gluon's polarisation ε across the beams: ``slash`` and ``conjugate`` apply ε̸ and ε̸*, ``along`` gives 2p·ε."""

    slash: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    along: Callable[[LightCone], Tensor]


def raised(psi: Tensor) -> Tensor:
    """ε̸ψ of ε = (0, 1, i, 0)/√2."""
    nought = torch.zeros_like(psi[0])
    return ROOT2 * torch.stack([-psi[3], nought, psi[1], nought])


def lowered(psi: Tensor) -> Tensor:
    """ε̸ψ of ε = (0, 1, -i, 0)/√2."""
    nought = torch.zeros_like(psi[0])
    return ROOT2 * torch.stack([nought, -psi[2], nought, psi[0]])


UP = Polarisation(raised, lowered, lambda p: -ROOT2 * p.perp)
"""Helicity +1 along +z."""
DOWN = Polarisation(lowered, raised, lambda p: -ROOT2 * p.perp.conj())
"""Helicity -1 along +z."""


class Emission(NamedTuple):
    """A gluon next to the ends of the line: S ε̸* u at the ``top``, S ε̸ v at the ``antitop``; and ε̸, ε̸* anywhere."""

    top: Tensor
    antitop: Tensor
    slash: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]


class TopLine:
    """The quark line of one phase-space point (or many).

    Args:
        momenta: light-cone components [...] of all particles.
        inputs: masses.
        states: makes the two spin states of a massive quark.
    """

    def __init__(self, momenta: PairMomenta, inputs: ElectroweakInputs, states: States = light_cone_states) -> None:
        self.momenta = momenta
        top, antitop, higgs, *_ = momenta
        self.u = stacked(states(top, inputs.mt)).unsqueeze(2)
        self.v = stacked(charge_conjugate(states(antitop, inputs.mt))).unsqueeze(1)
        top_share = 1 / (inputs.mh**2 + minkowski(top, higgs))
        antitop_share = 1 / (inputs.mh**2 + minkowski(antitop, higgs))
        self._radiating = bar(slash(higgs, self.u) * top_share)
        self._straight = bar(self.u * (inputs.mt * top_share))
        self._absorbing = slash(higgs, self.v) * antitop_share
        self._ending = self.v * (inputs.mt * antitop_share)
        self._first: dict[Polarisation, Emission] = {}
        self._second: dict[Polarisation, Emission] = {}

    def first(self, epsilon: Polarisation) -> Emission:
        """The gluon along +z; computed once for each polarisation."""
        if epsilon not in self._first:
            top, antitop, _, plus, _ = self.momenta
            self._first[epsilon] = self._emission(epsilon, self.along_plus, plus * top.minus, plus * antitop.minus)
        return self._first[epsilon]

    def second(self, epsilon: Polarisation) -> Emission:
        """The gluon along -z; computed once for each polarisation."""
        if epsilon not in self._second:
            top, antitop, _, _, minus = self.momenta
            self._second[epsilon] = self._emission(epsilon, self.along_minus, minus * top.plus, minus * antitop.plus)
        return self._second[epsilon]

    def along_plus(self, psi: Tensor) -> Tensor:
        """k̸₁ψ."""
        nought = torch.zeros_like(psi[0])
        return self.momenta.plus * torch.stack([nought, psi[3], psi[0], nought])

    def along_minus(self, psi: Tensor) -> Tensor:
        """k̸₂ψ."""
        nought = torch.zeros_like(psi[0])
        return self.momenta.minus * torch.stack([psi[2], nought, nought, psi[1]])

    def two_gluons(self, outer: Emission, inner: Emission, annihilated: tuple[Tensor, Tensor] | None = None) -> Chiral:
        """The amplitude in which ``outer`` sits nearer to the top than ``inner``.

        ``annihilated`` is V̸*u and V̸v of the gluon V that the two make by their three-gluon vertex, its propagator included.
        """
        from_top, from_antitop = inner.conjugate(outer.top), outer.slash(inner.antitop)
        if annihilated is not None:
            from_top, from_antitop = from_top + annihilated[0], from_antitop + annihilated[1]
        right, left = self.one_gluon(from_top, from_antitop)
        between = bar(outer.top) * inner.antitop
        return Chiral(right + between[2] + between[3], left + between[0] + between[1])

    def one_gluon(self, from_top: Tensor, from_antitop: Tensor) -> Chiral:
        """The amplitude with the Higgs at either end of the line, given J̸*u and J̸v of what sits in between."""
        row = bar(from_top)
        emitted = self._radiating * from_antitop - row * self._absorbing
        straight = (self._straight * from_antitop + row * self._ending).sum(0)
        return Chiral(straight + emitted[0] + emitted[1], straight + emitted[2] + emitted[3])

    def _emission(self, epsilon: Polarisation, along: Callable[[Tensor], Tensor], top: Tensor, antitop: Tensor) -> Emission:
        """The gluon of momentum k: ``along`` applies k̸, ``top`` and ``antitop`` are 2p·k of either quark."""
        at_top = along(epsilon.conjugate(self.u)) - epsilon.along(self.momenta.top).conj() * self.u
        at_antitop = epsilon.along(self.momenta.antitop) * self.v - along(epsilon.slash(self.v))
        return Emission(at_top / top, at_antitop / antitop, epsilon.slash, epsilon.conjugate)


def gluon_amplitudes(line: TopLine, first: Polarisation, second: Polarisation) -> tuple[Chiral, Chiral]:
    """The amplitudes of T^a T^b and T^b T^a for gluon a along +z and b along -z.

    Gluons of equal ``Polarisation`` (opposite helicities) do not annihilate: ε₁·ε₂ = 0. For the others ε₁·ε₂ = -1, and the
    current (k₂ - k₁)/ŝ may be replaced by 2k₂/ŝ, as the quark line conserves it.
    """
    one, two = line.first(first), line.second(second)
    if first is second:
        return line.two_gluons(one, two), line.two_gluons(two, one)
    strength = 2 / (line.momenta.plus * line.momenta.minus)
    made = [strength * line.along_minus(end) for end in (line.u, line.v)]
    return line.two_gluons(one, two, (made[0], made[1])), line.two_gluons(two, one, (-made[0], -made[1]))


def quark_amplitudes(line: TopLine, epsilon: Polarisation) -> Chiral:
    """The amplitude of T^c T^c for a quark pair that makes a gluon of spin ``epsilon``: its current is √(2ŝ) ε/ŝ."""
    strength = torch.sqrt(2 / (line.momenta.plus * line.momenta.minus))
    return line.one_gluon(strength * epsilon.conjugate(line.u), strength * epsilon.slash(line.v))


def stacked(spinors: DiracSpinors) -> Tensor:
    """[4, 2, ...]: (ψ_L, ψ_R) of both spin states."""
    return torch.stack([*spinors.left, *spinors.right])


def slash(p: LightCone, psi: Tensor) -> Tensor:
    """p̸ψ."""
    return torch.stack([*sigma(p, (psi[2], psi[3])), *sigma_bar(p, (psi[0], psi[1]))])


def bar(psi: Tensor) -> Tensor:
    """The row ψ̄, so that (bar(ψ) * φ).sum(0) = ψ̄φ."""
    return torch.cat([psi[2:], psi[:2]]).conj().resolve_conj()
