"""Total cross sections by randomised quasi-Monte Carlo through the adapted map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.process.generation import CHUNK, AdaptedMap
from bmem.process.mapping import MAPPED

REPLICATES = 8
POINTS = 2**15
"""Sobol points of each replicate."""


@dataclass(frozen=True)
class CrossSection:
    """σ(α) = Σ_k b_k(α) σ_k of every channel, both beam orders summed.

    ``replicates`` [R, channel, K] in pb: independently scrambled integrations, whose spread is the error;
    ``names`` of the channels; ``basis`` is b_k of α.
    """

    names: tuple[str, ...]
    replicates: Tensor
    basis: Callable[[Tensor], Tensor]

    @classmethod
    def integrate(cls, adapted: AdaptedMap, odd: tuple[int, ...] = ()) -> CrossSection:
        """Integrate all components of all channels; deterministic.

        ``odd`` components change their sign under p_y → -p_y, as do their points under u₅ → 1 - u₅: they are zero by
        symmetry and set so.
        """
        channels = adapted.partonic.luminosity.channels
        replicates = 2 * torch.stack([_replicate(adapted, seed) for seed in range(REPLICATES)])
        replicates[..., list(odd)] = 0.0
        return cls(tuple(channel.name for channel in channels), replicates, adapted.basis)

    @property
    def components(self) -> Tensor:
        """σ_k [K] in pb, summed over channels."""
        return self.replicates.sum(1).mean(0)

    def at(self, alpha: float, channel: str | None = None) -> tuple[float, float]:
        """σ(α) and its standard error in pb, of one channel (such as ``u b > d t h``) or of all.

        Raises:
            InputError: no such channel, or α is not finite.
        """
        if not math.isfinite(alpha):
            raise InputError(f"alpha = {alpha} is not an angle; give it in radians")
        if channel is not None and channel not in self.names:
            raise InputError(f"no channel {channel!r}; there are: {', '.join(self.names)}")
        parts = self.replicates.sum(1) if channel is None else self.replicates[:, self.names.index(channel)]
        values = parts @ self.basis(parts.new_tensor(alpha))
        return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def _replicate(adapted: AdaptedMap, seed: int) -> Tensor:
    """Mean channel weights [channel, K] over one scrambled Sobol set."""
    u = torch.quasirandom.SobolEngine(MAPPED, scramble=True, seed=seed).draw(POINTS, dtype=torch.float64)
    return torch.stack([adapted.channel_weights(chunk).sum(-1) for chunk in u.split(CHUNK)]).sum(0) / POINTS
