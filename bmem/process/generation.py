"""Unweighted generation of events for any α, and the points from which it and the integration draw.

Only the beam order with the first parton along +z is mapped: the other one is its rotation by π about the x axis
(y → -y, φ → -φ), and the azimuth of the whole is uniform. One grid serves every α: it is adapted to the mean over α of
the normalised densities, from quasi-random points and so without a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from bmem.process.luminosity import Luminosity
from bmem.process.mapping import MAPPED
from bmem.rng import uniform
from bmem.transforms.grid import VegasGrid

CHUNK = 2**13
ADAPTATION_POINTS = 2**15
ADAPTATION_ROUNDS = 12
PILOT_POINTS = 2**18
CEILING_ANGLES = 72
EXCESS = 1e-4
"""Share of the cross section that the ceiling of the weights leaves above itself."""


@dataclass(frozen=True)
class GenerationReport:
    """How a generation went: events kept, points tried, events above the ceiling and the largest weight."""

    events: int
    tried: int
    over_weights: int
    largest_weight: float

    @classmethod
    def of(cls, weight: Tensor, tried: int) -> GenerationReport:
        """Summarise the weights [N] of the kept events."""
        return cls(len(weight), tried, int((weight > 1).sum()), float(weight.max()) if len(weight) else 1.0)

    @property
    def efficiency(self) -> float:
        """Events kept over points tried."""
        return self.events / max(self.tried, 1)

    def __str__(self) -> str:
        return (
            f"{self.events} events from {self.tried} points: unweighting efficiency {100 * self.efficiency:.2f} %, "
            f"{self.over_weights} over-weights, largest {self.largest_weight:.3f}"
        )


class Partonic(Protocol):
    """dσ / (dx1 dx2 dΦ) in pb GeV⁻² as components of a basis; points are of its own kind, on the last axis of results."""

    @property
    def luminosity(self) -> Luminosity:
        """Of the channels."""
        ...

    def summed(self, point: Any, orders: tuple[int, ...] = ...) -> Tensor:
        """Sum over channels and the given beam orders [K, N]."""
        ...

    def per_channel(self, point: Any, orders: tuple[int, ...] = ...) -> Tensor:
        """Channel by channel and beam order by beam order [channel, order, K, N]."""
        ...


@dataclass(frozen=True)
class AdaptedMap:
    """Points of the first beam order from the unit cube through an adapted grid.

    Both beam orders together have twice the cross section of one. ``peaks`` maps [N, 6] in the unit cube to points and the
    Jacobian [N]; ``basis`` is b_k of α, [...] → [..., K].
    """

    partonic: Partonic
    peaks: Callable[[Tensor], tuple[Any, Tensor]]
    basis: Callable[[Tensor], Tensor]
    grid: VegasGrid

    @classmethod
    def adapt(
        cls, partonic: Partonic, peaks: Callable[[Tensor], tuple[Any, Tensor]], basis: Callable[[Tensor], Tensor]
    ) -> AdaptedMap:
        """Adapt a grid to the mean over α of dσ(α)/σ(α)."""
        adapted = cls(partonic, peaks, basis, VegasGrid.uniform(MAPPED))
        at_angles = basis(ceiling_angles())
        quasi = torch.quasirandom.SobolEngine(MAPPED, scramble=True, seed=0)
        for _ in range(ADAPTATION_ROUNDS):
            u = quasi.draw(ADAPTATION_POINTS, dtype=torch.float64)
            weights = adapted.weights(u)
            mixture = (at_angles / (at_angles @ weights.mean(0))[:, None]).mean(0)
            adapted = replace(adapted, grid=adapted.grid.adapted(adapted.grid(u)[0], weights @ mixture))
        return adapted

    def points(self, u: Tensor) -> tuple[Any, Tensor]:
        """Phase-space points of u [N, 6] and the Jacobian d(x1, x2, Φ₃)/du [N]."""
        y, log_jacobian = self.grid(u)
        point, jacobian = self.peaks(y)
        return point, jacobian * torch.exp(log_jacobian)

    def weights(self, u: Tensor) -> Tensor:
        """Components in pb over the density of the points [N, 6]: their mean is that of σ for one beam order."""
        return torch.cat([self._weights(chunk) for chunk in u.split(CHUNK)], dim=1).T

    def channel_weights(self, u: Tensor) -> Tensor:
        """The same for each channel [channel, K, N]."""
        point, jacobian = self.points(u)
        return self.partonic.per_channel(point, (0,))[:, 0] * jacobian

    def _weights(self, u: Tensor) -> Tensor:
        point, jacobian = self.points(u)
        return self.partonic.summed(point, (0,)) * jacobian


def ceiling_angles() -> Tensor:
    """Angles [CEILING_ANGLES + 1] over a full turn, both ends included."""
    return torch.linspace(-math.pi, math.pi, CEILING_ANGLES + 1, dtype=torch.float64, device="cpu")


@dataclass(frozen=True)
class Generator:
    """Accept-reject from an adapted map; ``ceilings`` are the largest weights in pb at ``ceiling_angles``."""

    adapted: AdaptedMap
    ceilings: Tensor

    @classmethod
    def prepare(cls, adapted: AdaptedMap) -> Generator:
        """Find the ceilings: the weight above which an excess of ``EXCESS`` of the cross section lies."""
        u = torch.quasirandom.SobolEngine(MAPPED, scramble=True, seed=1).draw(PILOT_POINTS, dtype=torch.float64)
        weights = adapted.weights(u)
        return cls(adapted, torch.stack([_ceiling(weights @ b) for b in adapted.basis(ceiling_angles())]))

    def ceiling(self, alpha: Tensor) -> Tensor:
        """Linear interpolation of the ceilings to ``alpha`` [...]."""
        position = torch.remainder(alpha / (2 * math.pi) + 0.5, 1.0) * CEILING_ANGLES
        cell = position.long().clamp(max=CEILING_ANGLES - 1)
        ceilings = self.ceilings.to(alpha)
        return torch.lerp(ceilings[cell], ceilings[cell + 1], position - cell)

    def generate(self, alpha: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, GenerationReport]:
        """One point for each of ``alpha`` [N], in its type and on its device.

        Returns:
            u [N, 6] of the accepted points, their weights [N] (1, or more where the ceiling was exceeded), and the report.
        """
        n = len(alpha)
        basis, ceiling = self.adapted.basis(alpha), self.ceiling(alpha)
        accepted, weight = alpha.new_empty(n, MAPPED), torch.ones_like(alpha)
        every, tried = torch.arange(n, device=alpha.device), 0
        active, candidate = every[:CHUNK], torch.arange(CHUNK, device=alpha.device)
        waiting = len(active)
        while len(active):
            u = uniform((CHUNK, MAPPED), rng, alpha)
            slot = candidate % len(active)
            event = active[slot]
            ratio = (self.adapted.weights(u) * basis[event]).sum(-1) / ceiling[event]
            kept = _first_of_slots(uniform((CHUNK,), rng, alpha) < ratio, slot, len(active))
            accepted[event[kept]], weight[event[kept]] = u[kept], ratio[kept].clamp(min=1)
            tried += CHUNK
            unfinished = torch.ones_like(active, dtype=torch.bool)
            unfinished[slot[kept]] = False
            following = every[waiting : waiting + len(kept)]
            active, waiting = torch.cat([active[unfinished], following]), waiting + len(following)
        return accepted, weight, GenerationReport.of(weight, tried)


def _first_of_slots(passed: Tensor, slot: Tensor, slots: int) -> Tensor:
    """Indices of the candidates that ``passed``, the first of every slot only."""
    candidate = torch.nonzero(passed).flatten()
    first = candidate.new_full((slots,), len(passed)).scatter_reduce(0, slot[candidate], candidate, "amin")
    return first[first < len(passed)]


def _ceiling(weights: Tensor) -> Tensor:
    """The weight above which the weights [N] exceed it by ``EXCESS`` of their sum."""
    falling = weights.topk(len(weights) // 16).values
    excess = falling.cumsum(0) - falling * torch.ones_like(falling).cumsum(0)
    return falling[torch.searchsorted(excess, EXCESS * weights.sum()).clamp(max=len(falling) - 1)]
