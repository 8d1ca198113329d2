"""What a physics process must offer: a user's own process needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from bmem.events.record import HardEvents
from bmem.quantity import Quantity


@dataclass(frozen=True)
class Parameter:
    """One parameter θ: its name, the bounds of its range, its period if it is an angle, and how it is written.

    ``bounds`` and ``period`` are in the unit of the computation (radians); ``scale`` leads to the printed ``unit`` ("deg").
    How it is written makes no difference: parameters of the same name, bounds and period are the same.
    """

    name: str
    bounds: tuple[float, float]
    period: float | None = None
    symbol: str = field(default="", compare=False)
    unit: str = field(default="", compare=False)
    scale: float = field(default=1.0, compare=False)
    text: str = field(default="", compare=False)

    @property
    def quantity(self) -> Quantity:
        """How it is written; without a ``symbol`` its name is the symbol."""
        return Quantity(self.name, self.symbol or rf"\mathrm{{{self.name}}}", self.unit, self.scale, self.text)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Parameter:
        """The inverse of ``dataclasses.asdict``; an angle of the time before units were stored is printed in degrees."""
        if "unit" not in content and np.isclose(content["period"] or 0.0, 2 * math.pi):
            content = {**content, "unit": "deg", "scale": 180 / math.pi}
        return cls(**{**content, "bounds": tuple(content["bounds"])})


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
