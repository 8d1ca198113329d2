"""What nuisance parameters of the detector change, event by event: factors of scales, resolutions and efficiencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from bmem.errors import ConfigError
from bmem.events.record import HardEvents


@dataclass(frozen=True)
class Shifts:
    """Factors [N, 1], one for each event: of the pT of jets and its resolution, of photons' pT, and of tag probabilities."""

    jet_energy_scale: Tensor | float = 1.0
    jet_energy_resolution: Tensor | float = 1.0
    photon_energy_scale: Tensor | float = 1.0
    btag_efficiency: Tensor | float = 1.0
    mistag: Tensor | float = 1.0


NOMINAL = Shifts()


@dataclass(frozen=True)
class DetectorEffect:
    """A factor (1 + ``size``)^ν of one of the ``Shifts``, by its name ``what``."""

    what: str
    size: float

    def __post_init__(self) -> None:
        if not 0 < self.size < math.inf:
            raise ConfigError(f"size = {self.size!r} must be a finite number above 0: the change at ν = 1, 0.03 for 3 %")


Effects = Sequence[tuple[str, DetectorEffect]]
"""By the names of the nuisance parameters."""


def shifts_of(effects: Effects, hard: HardEvents) -> Shifts:
    """What the ``effects`` do to events with their ν; ν is 0 of a name that the events do not have."""
    known = {entry.name for entry in fields(Shifts)}
    factors: dict[str, Tensor] = {}
    for name, effect in effects:
        assert effect.what in known
        if name in hard.nuisances:
            factor = torch.exp(math.log1p(effect.size) * hard.nuisances[name].to(hard.x))[:, None]
            factors[effect.what] = factors.get(effect.what, torch.ones_like(factor)) * factor
    return Shifts(**factors)

