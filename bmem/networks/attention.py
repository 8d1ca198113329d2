"""Attention over sets and sequences of tokens, from layers whose weights may be batched (``torch.func.vmap``).

``torch.nn.MultiheadAttention`` keeps weights of its own that cannot be drawn anew, and ``scaled_dot_product_attention`` goes
through the batch one by one under ``vmap``, so neither is used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

Source = tuple[Tensor, Tensor]
"""Keys and values [..., heads, T, W / heads] of T tokens."""


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

    def told(self, source: Tensor) -> Source:
        """What tokens [..., T, W] tell those that read them."""
        key, value = (self._split(part) for part in self.source(source).chunk(2, dim=-1))
        return key, value

    def forward(self, tokens: Tensor, source: Source, seen: Tensor | None = None) -> Tensor:
        """Tokens [..., S, W] that read T tokens of the source → [..., S, W].

        ``seen`` tells which are read, broadcastable to [..., S, T]; at least one by every token. None for all.
        """
        key, value = source
        query = self._split(self.query(tokens))
        score = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if seen is not None:
            score = score.masked_fill(~seen.unsqueeze(-3), -math.inf)
        return self.out((score.softmax(dim=-1) @ value).transpose(-2, -3).flatten(-2))

    def _split(self, tokens: Tensor) -> Tensor:
        """[..., S, W] → [..., heads, S, W / heads]."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(-2, -3)


Memory = tuple[Tensor, Tensor]
"""Tokens of a memory [..., T, W], and which of them are seen [..., 1, T]."""


class AttentionBlock(nn.Module):
    """Self-attention, attention to a memory if there is one, and a perceptron, each added to its normalised input."""

    def __init__(self, width: int, heads: int, memory: bool) -> None:
        super().__init__()
        self.own = _Residual(width, heads)
        self.memory = _Residual(width, heads) if memory else None
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, seen: Tensor | None, memory: Memory | None = None) -> Tensor:
        """Tokens [..., S, W], which of each other they see, and a memory → [..., S, W]."""
        normal = self.own.norm(tokens)
        tokens = tokens + self.own.attention(normal, self.own.attention.told(normal), seen)
        return self._rest(tokens, None if memory is None else (self.remembered(memory[0]), memory[1]))

    def remembered(self, memory: Tensor) -> Source:
        """What the tokens of a memory [..., T, W] tell, the same for all that read them."""
        assert self.memory is not None
        return self.memory.attention.told(memory)

    def follow(self, token: Tensor, past: Source | None, memory: tuple[Source, Tensor]) -> tuple[Tensor, Source]:
        """The next token [..., 1, W] of a sequence whose ``past`` is kept → the same, and the past with it."""
        normal = self.own.norm(token)
        now = self.own.attention.told(normal)
        if past is not None:
            now = torch.cat([past[0], now[0]], dim=-2), torch.cat([past[1], now[1]], dim=-2)
        return self._rest(token + self.own.attention(normal, now), memory), now

    def _rest(self, tokens: Tensor, memory: tuple[Source, Tensor] | None) -> Tensor:
        if self.memory is not None and memory is not None:
            tokens = tokens + self.memory.attention(self.memory.norm(tokens), *memory)
        return tokens + self.perceptron(tokens)


class _Residual(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)


def causal(length: int, device: torch.device) -> Tensor:
    """Every token sees itself and those before: [length, length]."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()
