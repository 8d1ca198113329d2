"""Settings of the toy, the section ``[channel]`` of a configuration with ``name = "toy"``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bmem.errors import ConfigError


@dataclass(frozen=True)
class ToySettings:
    """The linear-Gaussian toy."""

    efficiency: float = 1.0
    """Share of the events that are seen, the same everywhere."""
    background_width: float = 2.0
    """Standard deviation of each observable of the background ``wide``."""

    def __post_init__(self) -> None:
        if not 0 < self.efficiency <= 1:
            raise ConfigError(f"efficiency = {self.efficiency!r} must lie in (0, 1]")
        if not 0 < self.background_width < math.inf:
            raise ConfigError(f"background_width = {self.background_width!r} must be a finite number > 0")
