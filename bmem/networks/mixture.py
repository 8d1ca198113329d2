"""A learned density guarded by a broad one, so that importance weights stay bounded."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.networks.contract import ConditionalDensity


class Uniform(ConditionalDensity):
    """The uniform density on the unit cube in ``dim`` dimensions, whatever the condition."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.noise_dim = dim

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """0 inside the cube, -inf outside: [..., D], [..., C] → [...]."""
        return x.new_zeros(()).masked_fill(((x < 0) | (x > 1)).any(dim=-1), -math.inf)

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The noise itself, with log-density 0."""
        return noise, noise.new_zeros(noise.shape[:-1])


class DefensiveMixture(ConditionalDensity):
    """(1 - fraction) · density + fraction · broad.

    The density of every point is that of the mixture, whichever component it came from, so an importance weight is at most
    1/fraction times that under ``broad`` alone. The first noise coordinate selects the component, the others go to both
    (each takes as many as it needs). Which points are whose depends on the noise: under vmap over weights ``from_noise``
    works, over noise it does not.

    Args:
        density: the learned density.
        broad: a density that is nowhere much too small, such as ``Uniform``, on the same space.
        fraction: part of the points that come from ``broad``, in (0, 1).
    """

    def __init__(self, density: ConditionalDensity, broad: ConditionalDensity, fraction: float) -> None:
        super().__init__()
        if not 0 < fraction < 1:
            raise InputError(f"the defensive fraction must lie in (0, 1), not {fraction}")
        self.density, self.broad, self.fraction = density, broad, fraction
        self.noise_dim = 1 + max(density.noise_dim, broad.noise_dim)

    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, JSON-able."""
        return {"fraction": self.fraction}

    def fit_features(self, inputs: Tensor) -> None:
        """Take the scales of the conditions [N, C] into both densities."""
        self.density.fit_features(inputs)
        self.broad.fit_features(inputs)

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x | c) of the mixture: [..., D], [..., C] → [...]."""
        return self._mixed(self.density.log_prob(x, condition), self.broad.log_prob(x, condition))

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform noise [..., noise_dim] to points [..., D] and the log-density of the mixture there [...]."""
        from_broad = noise[..., 0] < self.fraction
        learned, log_learned = self.density.from_noise(noise[..., 1 : 1 + self.density.noise_dim], condition)
        broad, log_broad = self.broad.from_noise(noise[..., 1 : 1 + self.broad.noise_dim], condition)
        points = torch.where(from_broad.unsqueeze(-1), broad, learned)
        # The learned density knows the log-density of its own points: it is evaluated at the few others only.
        rows = from_broad.nonzero(as_tuple=True)
        others = self.density.log_prob(broad[rows], condition.expand(*noise.shape[:-1], -1)[rows])
        log_density = log_learned.index_put(rows, others)
        log_defence = torch.where(from_broad, log_broad, self.broad.log_prob(learned, condition))
        return points, self._mixed(log_density, log_defence)

    def _mixed(self, log_density: Tensor, log_broad: Tensor) -> Tensor:
        return torch.logaddexp(log_density + math.log1p(-self.fraction), log_broad + math.log(self.fraction))
