"""Products of parton densities of a set of channels, at one factorisation scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from bmem.process.pdf import PDFGrid, ScalePDF

BEAM_ORDERS = (0, 1)
"""0: the first parton of a channel flies along +z; 1: along -z."""


class Partons(Protocol):
    """The incoming partons of a channel; channels of equal ``roles`` share a matrix element."""

    @property
    def first(self) -> int:
        """PDG code."""
        ...

    @property
    def second(self) -> int:
        """PDG code."""
        ...

    @property
    def roles(self) -> Any:
        """What the partons are in the matrix element."""
        ...

    @property
    def name(self) -> str:
        """Such as ``u b > d t h``."""
        ...


@dataclass(frozen=True)
class Luminosity:
    """x₁f_a(x₁) x₂f_b(x₂) per channel, or summed over the channels that share a matrix element.

    ``sums`` are densities of sums of first partons and of second partons, ``pairs`` the columns of them to multiply.
    """

    channels: tuple[Partons, ...]
    flavours: ScalePDF
    sums: ScalePDF
    pairs: dict[Any, tuple[tuple[int, int], ...]]

    @classmethod
    def of(cls, channels: Sequence[Partons], grid: PDFGrid, scale: float) -> Luminosity:
        """Tabulate ``grid`` at ``scale`` GeV for ``channels``."""
        groups: dict[Any, dict[int, list[int]]] = {}
        for channel in channels:
            groups.setdefault(channel.roles, {}).setdefault(channel.second, []).append(channel.first)
        products = {roles: [(tuple(a), (b,)) for b, a in seconds.items()] for roles, seconds in groups.items()}
        columns = list(dict.fromkeys(column for sums in products.values() for pair in sums for column in pair))
        pairs = {roles: tuple((columns.index(a), columns.index(b)) for a, b in sums) for roles, sums in products.items()}
        single = [(code,) for channel in channels for code in (channel.first, channel.second)]
        return cls(tuple(channels), grid.at_scale(scale, single), grid.at_scale(scale, columns), pairs)

    def summed(self, x1: Tensor, x2: Tensor) -> tuple[dict[Any, Tensor], ...]:
        """For each beam order, the luminosity [N] that multiplies each matrix element."""
        plus, minus = self.sums(x1).unbind(-1), self.sums(x2).unbind(-1)
        return tuple(
            {roles: sum((a[i] * b[j] for i, j in pairs), torch.zeros_like(x1)) for roles, pairs in self.pairs.items()}
            for a, b in ((plus, minus), (minus, plus))
        )

    def per_channel(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The luminosity [channel, beam order, N] of points [N]."""
        plus, minus = self.flavours(x1).T, self.flavours(x2).T
        return torch.stack([plus[::2] * minus[1::2], minus[::2] * plus[1::2]], dim=1)
