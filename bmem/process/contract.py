"""What a physics process must offer, and what more if its events have particles in them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from bmem.events.lhe import LHERecord
from bmem.events.record import HardEvents
from bmem.quantity import Parameter

__all__ = ["Parameter", "ParticleProcess", "Process", "TheoryVariation"]


@runtime_checkable
class Process(Protocol):
    """dσ(θ)/dx_hard = Σ_k b_k(θ) s_k(x_hard), exactly (the morphing basis)."""

    parameters: tuple[Parameter, ...]

    def basis(self, theta: Tensor) -> Tensor:
        """b_k(θ): [..., P] → [..., K]."""
        ...

    def components(self, x_hard: Tensor) -> Tensor:
        """s_k(x) in pb per unit of x_hard: [..., D] → [..., K]; zero outside the phase space."""
        ...

    def cross_section(self, theta: Tensor) -> tuple[float, float]:
        """σ(θ) = Σ_k b_k(θ) ∫ s_k dx without cuts and its error in pb, at one θ [P]."""
        ...

    def sample(self, n: int, theta: Tensor, rng: torch.Generator) -> HardEvents:
        """``n`` unweighted events at θ: ``theta`` is [P], or [n, P] with one value for each event."""
        ...


@runtime_checkable
class TheoryVariation(Protocol):
    """dσ/dx_hard as a nuisance parameter ν changes it: other parton densities, another scale.

    It need not be known between the ``nodes``, the ν beside 0 at which it is taken.
    """

    @property
    def nodes(self) -> tuple[float, ...]: ...

    def components(self, x_hard: Tensor, nu: float) -> Tensor:
        """s_k(x; ν) in pb per unit of x_hard: [..., D] → [..., K], in the order of ``Process.components``."""
        ...


@runtime_checkable
class ParticleProcess(Process, Protocol):
    """A process whose events have momenta: what event files and showers need.

    ``particles`` names them in the order of the momenta and of ``HardEvents.pdg``, the incoming ones first.
    """

    particles: tuple[str, ...]

    def to_momenta(self, hard: HardEvents) -> Tensor:
        """Laboratory momenta [N, n, 4] = (E, px, py, pz) in GeV."""
        ...

    def to_hard(self, record: LHERecord) -> HardEvents:
        """The hard events of an event file's record.

        Raises:
            InputError: it is of another process, collision energy or parameter.
        """
        ...
