"""How many points integrals get, in a plain dataclass: reading it loads nothing of the integration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmem.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class IntegrationSettings:
    """How ``integrate`` spends its points.

    An event gets ``min_points`` times a power of two, at most ``max_points``, so that by its ``pilot`` points the target
    ``relative_error`` is reached; with ``min_points == max_points`` there is no pilot.

    Attributes:
        pilot: points of the first pass, from which the number of points of an event follows.
        min_points: smallest number of points of an event.
        max_points: largest number of points of an event.
        relative_error: target for the error of an event's density, averaged over the parameters.
        resamples: bootstrap resamples of the points that are kept, for bands and the integration error (0: none).
        min_effective_points: an event with a smaller effective number of points is flagged.
        points_per_chunk: points computed at once, which bounds memory; results do not depend on it.
        block: events that make one checkpoint file.
    """

    pilot: int = 256
    min_points: int = 256
    max_points: int = 16384
    relative_error: float = 0.05
    resamples: int = 0
    min_effective_points: float = 50.0
    points_per_chunk: int = 1 << 18
    block: int = 250

    def __post_init__(self) -> None:
        if min(self.pilot, self.min_points) < 2 or self.max_points < self.min_points:
            raise InputError(
                f"integration needs pilot and min_points >= 2 and max_points >= min_points, not pilot = {self.pilot}, "
                f"min_points = {self.min_points}, max_points = {self.max_points}"
            )
        if self.relative_error <= 0 or min(self.points_per_chunk, self.block) < 1 or self.resamples < 0:
            raise InputError("integration needs relative_error > 0, points_per_chunk and block >= 1, resamples >= 0")

    def points_for(self, pilot_error: Array) -> NDArray[np.int64]:
        """Points [N] that bring events whose pilot had relative errors ``pilot_error`` [N] to the target."""
        steps = np.floor(np.log2(self.max_points / self.min_points))
        wanted = self.pilot * (np.asarray(pilot_error) / self.relative_error) ** 2
        with np.errstate(divide="ignore"):
            ladder = np.clip(np.ceil(np.log2(wanted / self.min_points)), 0, steps)
        return (self.min_points * 2**ladder).astype(np.int64)
