"""From rows of numbers and sets of objects to tokens that know of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmem.networks.attention import AttentionBlock
from bmem.networks.layers import Features

if TYPE_CHECKING:
    from bmem.events.observation import Layout


class SetSummary(nn.Module):
    """Rows of a ``layout`` in a fixed number of numbers: the token that is always there, after it has read all others.

    In the place of ``bmem.networks.layers.Features``, where a condition is a set of objects.
    """

    def __init__(self, layout: Layout, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.outputs = width
        self.encoder = SetEncoder(layout, width, heads, blocks)
        self.norm = nn.LayerNorm(width)

    def fit(self, rows: Tensor) -> None:
        """Standardise values and features as in ``rows`` [N, width], see ``SetEncoder.fit``."""
        self.encoder.fit(rows)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., width] → [..., outputs]."""
        return self.norm(self.encoder(rows)[0][..., 0, :])


class SetEncoder(nn.Module):
    """Rows of a ``layout`` as tokens: one that is always there, one for each value, one for each object.

    The order of the objects does not matter, nor what lies in empty places.
    """

    names: Tensor

    def __init__(self, layout: Layout, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.layout = layout
        self.values = Features((False,) * layout.values)
        self.objects = Features((False,) * layout.features)
        self.always = nn.Embedding(1, width)
        self.of_value = nn.Linear(2 * layout.values, width) if layout.values else None
        self.of_object = nn.Linear(layout.features, width) if layout.objects else None
        self.blocks = nn.ModuleList(AttentionBlock(width, heads, memory=False) for _ in range(blocks))
        self.register_buffer("names", torch.eye(layout.values), persistent=False)

    def fit(self, rows: Tensor) -> None:
        """Standardise values and features as in ``rows`` [N, width].

        Raises:
            InputError: wrong number of columns, fewer than two rows or objects, or values that are not finite.
        """
        values, objects, mask = self.layout.unpack(rows)
        self.values.fit(values)
        if self.of_object is not None:
            self.objects.fit(objects[mask > 0.5])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [..., width] → tokens [..., T, W], the first always there, and which are seen [..., 1, T]."""
        values, objects, mask = self.layout.unpack(rows)
        there = mask > 0.5
        tokens = [self.always.weight.expand(*rows.shape[:-1], 1, -1)]
        if self.of_value is not None:
            told = self.values(values)
            names = self.names.to(told.dtype).expand(*told.shape, -1)
            tokens.append(self.of_value(torch.cat([names, names * told.unsqueeze(-1)], dim=-1)))
        if self.of_object is not None:
            told = self.objects(objects)
            tokens.append(self.of_object(torch.where(there.unsqueeze(-1), told, 0.0)))
        whole = rows.new_ones(*rows.shape[:-1], 1 + self.layout.values, dtype=torch.bool)
        seen = torch.cat([whole, there], dim=-1).unsqueeze(-2)
        sequence = torch.cat(tokens, dim=-2)
        for block in self.blocks:
            sequence = block(sequence, seen)
        return sequence, seen
