"""Attention over sets and sequences of tokens, from layers whose weights may be batched (``torch.func.vmap``).

``torch.nn.MultiheadAttention`` keeps weights of its own that cannot be drawn anew, and ``scaled_dot_product_attention`` goes
through the batch one by one under ``vmap``, so neither is used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention (arXiv:1706.03762): every token reads from the tokens of a source.

    Args:
        width: of a token, a multiple of ``heads``.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        # One layer: the bias of the keys alone changes nothing, and would never be learned.
        self.source = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, source: Tensor, seen: Tensor | None = None) -> Tensor:
        """Tokens [..., S, W] that read the tokens [..., T, W] of the source → [..., S, W].

        ``seen`` tells which are read, broadcastable to [..., S, T]; at least one by every token. None for all.
        """
        query = self._split(self.query(tokens))
        key, value = (self._split(part) for part in self.source(source).chunk(2, dim=-1))
        score = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if seen is not None:
            score = score.masked_fill(~seen.unsqueeze(-3), -math.inf)
        return self.out((score.softmax(dim=-1) @ value).transpose(-2, -3).flatten(-2))

    def _split(self, tokens: Tensor) -> Tensor:
        """[..., S, W] → [..., heads, S, W / heads]."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(-2, -3)


class AttentionBlock(nn.Module):
    """Self-attention, attention to a memory if there is one, and a perceptron, each added to its normalised input."""

    def __init__(self, width: int, heads: int, memory: bool) -> None:
        super().__init__()
        self.own = _Residual(width, heads)
        self.memory = _Residual(width, heads) if memory else None
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, seen: Tensor | None, memory: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Tokens [..., S, W], which of each other they see, and memory [..., T, W] with what is seen of it → [..., S, W]."""
        tokens = self.own(tokens, None, seen)
        if self.memory is not None and memory is not None:
            tokens = self.memory(tokens, *memory)
        return tokens + self.perceptron(tokens)


class _Residual(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)

    def forward(self, tokens: Tensor, source: Tensor | None, seen: Tensor | None) -> Tensor:
        """Tokens that read a source, or each other if it is None."""
        normal = self.norm(tokens)
        return tokens + self.attention(normal, normal if source is None else source, seen)


def causal(length: int, device: torch.device) -> Tensor:
    """Every token sees itself and those before: [length, length]."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()
