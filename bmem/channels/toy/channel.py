"""The channel ``toy``: the linear-Gaussian process, two observables, and a wide Gaussian background."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmem.channels.base import BaseChannel, as_events
from bmem.channels.contract import Background, Channel
from bmem.channels.toy.settings import ToySettings
from bmem.events.record import HardEvents, RecoEvents
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.nuisances import Nuisance
from bmem.process import LinearGaussian
from bmem.quantity import Quantity
from bmem.rng import uniform

OBSERVABLES = (Quantity("x", "x"), Quantity("y", "y"))


@dataclass(frozen=True)
class Smearing:
    """The response of the default ``LinearGaussian``, see ``bmem.simulation.contract.Response``."""

    efficiency: float = 1.0
    shifts: tuple[tuple[str, float], ...] = ()
    """Of x at ν = 1, by the names of nuisance parameters."""

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        x = LinearGaussian().response(hard.x, rng)
        for name, size in self.shifts:
            if name in hard.nuisances:
                x[:, 0] += size * hard.nuisances[name].to(x)
        return as_events(x, OBSERVABLES, uniform(x.shape[:1], rng, x) < self.efficiency)


@dataclass(frozen=True)
class Wide:
    """Two independent Gaussians around the origin, see ``bmem.channels.contract.Background``."""

    width: float

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` observations [n, 2]."""
        return self.width * torch.randn(n, 2, generator=rng, dtype=torch.float64, device=rng.device)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x): [..., 2] → [...]."""
        return -(x / self.width).square().sum(-1) / 2 - math.log(2 * math.pi * self.width**2)


@dataclass(frozen=True)
class Shift:
    """A shift of the observable x."""

    size: float = 0.2
    """Shift at ν = 1."""

    @property
    def effect(self) -> float:
        return self.size

    def make(self, name: str, channel: Channel) -> Nuisance:
        return Nuisance(name, (-2.0, -1.0, 1.0, 2.0), effect=self)


class Origin(Difference):
    """An observation as it is, given nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.n_features = 0

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return target, torch.zeros_like(target[..., 0])

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return residual, torch.zeros_like(residual[..., 0])


class ToyChannel(BaseChannel):
    """See ``bmem.channels.contract.Channel``."""

    Settings: ClassVar[type] = ToySettings
    title = "linear-Gaussian toy"
    observables = OBSERVABLES
    hard_quantities = (Quantity("u", "u"), Quantity("v", "v"))
    nuisances: ClassVar[Mapping[str, type]] = {"shift": Shift}

    def __init__(self, settings: ToySettings | None = None) -> None:
        super().__init__(settings)
        self.process = LinearGaussian()
        self.response = Smearing(self.settings.efficiency)
        self.unconditional = Origin(len(OBSERVABLES))

    def varied_response(self, kinds: Mapping[str, Shift]) -> Smearing:
        """The response with the shifts of nuisance parameters, by their names."""
        return Smearing(self.settings.efficiency, tuple((name, kind.size) for name, kind in kinds.items()))

    @property
    def backgrounds(self) -> Mapping[str, Background]:  # type: ignore[override]
        """A wide Gaussian."""
        return {"wide": Wide(self.settings.background_width)}

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {**super().provenance, "process": {"name": "toy", "efficiency": self.settings.efficiency}}
