"""Errors of learned densities: what they are, since the density is known, and what a posterior claims they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import truth
from numpy.typing import NDArray
from torch import Tensor

from bmem.replicas import Replicas

Array = NDArray[np.float64]

FITTED_AT = (-1.5, -0.5, 0.5, 1.5)
_STEP = 0.05
_BULK, _TAIL = 2.30, 5.99
"""Squared distance of two normal numbers from 0 that holds 68 %, and 95 %, of the points."""


@dataclass(frozen=True)
class Probe:
    """Where learned densities are compared with the exact one.

    Attributes:
        points: u [N, 2] drawn from the exact density.
        condition: of each [N, 1].
        exact: log-density there [N].
        regions: which points belong to a region [N].
        events: for each of the fits, points of one condition [F, M, 2].
    """

    points: Tensor
    condition: Tensor
    exact: Tensor
    regions: dict[str, Array]
    events: Tensor

    @classmethod
    def draw(cls, n: int, events: int, rng: torch.Generator) -> Probe:
        """``n`` points, and ``events`` for each of the fits."""
        points, condition = truth.draw(n, rng)
        distance = truth.residuals(points, condition).square().sum(dim=-1).numpy()
        regions = {"bulk": distance < _BULK, "tail": distance > _TAIL}
        at = torch.tensor(FITTED_AT, dtype=torch.float64)[:, None].expand(-1, events)
        return cls(points, condition, truth.log_prob(points, condition), regions, truth.draw_at(at, rng))

    def errors(self, replicas: Replicas) -> dict[str, Array]:
        """Differences from the truth by replica: log-density in every region [R, points], fitted condition [R, F]."""
        with torch.no_grad():
            difference = (replicas("log_prob", self.points, self.condition) - self.exact).numpy()
            shifts = self._shifts(replicas).numpy()
        return {name: difference[:, inside] for name, inside in self.regions.items()} | {"fit": shifts}

    def _shifts(self, replicas: Replicas) -> Tensor:
        """Shift of a fit of the condition to very many events, from the mean score at the truth: [R, F]."""
        learned, exact = [], []
        for at, events in zip(FITTED_AT, self.events, strict=True):
            conditions = [torch.full((len(events), 1), at + step, dtype=torch.float64) for step in (-_STEP, _STEP)]
            low, high = (truth.log_prob(events, condition) for condition in conditions)
            exact.append((high - low) / (2 * _STEP))
            low, high = (replicas("log_prob", events, condition) for condition in conditions)
            learned.append((high - low) / (2 * _STEP))
        information = torch.stack([score.square().mean() for score in exact])
        bias = torch.stack([(score - known).mean(dim=-1) for score, known in zip(learned, exact, strict=True)], dim=-1)
        return bias / information
