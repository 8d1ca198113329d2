"""The density of a set of objects by a transformer (Transfermer, arXiv:2310.07752), normalised over what is accepted.

    p(x | c) = p(n | c) p(v | n, c) Π_i p(o_i | o_1 ... o_{i-1}, v, n, c)

with plain values v and n objects of several features each, all on the unit cube. An encoder reads the condition, a decoder
with a causal mask the values and objects so far, and what it tells conditions one-dimensional splines, one for each value
and each feature, given the features of the same object before. One pass gives the density of all objects; drawing them takes
a pass for each.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.events.observation import Layout
from bmem.events.target import Target
from bmem.networks.attention import AttentionBlock, causal
from bmem.networks.chain import READ, ObjectChain, SplineChain, read
from bmem.networks.contract import ConditionalDensity
from bmem.networks.densities.transfermer import TransfermerSettings
from bmem.networks.encoder import SetEncoder
from bmem.networks.layers import MLP
from bmem.rng import generator

Memory = tuple[Tensor, Tensor]
"""Tokens of the condition [..., T, W], and which are seen [..., 1, T]."""


class Transfermer(ConditionalDensity):
    """A density of rows of a ``target`` given rows of a ``condition``; at first uniform where the target can be.

    The density is with respect to the coordinates of the objects that are there, and counts numbers of objects and tags.

    Args:
        target: values and features in [0, 1]; a ``Target`` tells what is certain of its objects.
        circular: for each value and then each feature of an object, whether it is a circle of circumference 1.
        condition: numbers, a set of objects whose order does not matter, or both.
        settings: size of the network.

    Raises:
        InputError: another number of flags, or a tag whose range is on a circle.
    """

    def __init__(
        self, target: Layout, circular: tuple[bool, ...], condition: Layout, settings: TransfermerSettings | None = None
    ) -> None:
        super().__init__()
        self.settings = settings = settings or TransfermerSettings()
        self.target = target = _as_target(target)
        _check(target, circular)
        self.circular, width = circular, settings.width
        self.choices = target.objects - target.fewest + 1
        self.noise_dim = (self.choices > 1) + target.values + target.objects * target.features
        self.encoder = SetEncoder(condition, width, settings.heads, settings.blocks)
        self.blocks = nn.ModuleList(AttentionBlock(width, settings.heads, memory=True) for _ in range(settings.blocks))
        self.norm = nn.LayerNorm(width)
        length = target.values + target.objects
        self.position = nn.Embedding(length, width)
        self.of_value = nn.ModuleList(nn.Linear(READ, width) for _ in range(min(target.values, length - 1)))
        self.of_object = nn.Linear(READ * target.features, width) if target.objects > 1 else None
        self.values = nn.ModuleList(SplineChain((circle,), width, settings) for circle in circular[: target.values])
        self.objects = ObjectChain(target, circular[target.values :], width, settings) if target.objects else None
        several = self.choices > 1
        self.of_count = nn.Linear(self.choices, width, bias=False) if several else None
        self.count = MLP(width, self.choices, settings.hidden, settings.layers) if several else None
        self.reset(generator(0, "Transfermer", *self.architecture().values()))

    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, JSON-able."""
        return {
            "target": asdict(self.target),
            "circular": list(self.circular),
            "condition": asdict(self.encoder.layout),
            **asdict(self.settings),
        }

    def fit_features(self, inputs: Tensor) -> None:
        """Standardise the conditions as in ``inputs`` [N, C]."""
        self.encoder.fit(inputs)

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x | c): [..., D], [..., C] → [...]; -inf for what cannot be."""
        return self.log_terms(x, condition).sum(-1)

    def log_terms(self, x: Tensor, condition: Tensor) -> Tensor:
        """The terms of log p(x | c): of the number of objects, of each value, of each object [..., 1 + V + n].

        Each is given the number and what comes before it, and 0 for places without an object.
        """
        lead = torch.broadcast_shapes(x.shape[:-1], condition.shape[:-1])
        values, objects, mask = self.target.unpack(x.expand(*lead, -1))
        there = mask > 0.5
        objects = torch.where(there.unsqueeze(-1), objects, 0.5)
        count, memory = there.sum(-1), self.encoder(condition)
        tokens = [self._value(i, values[..., i]) for i in range(len(self.of_value))]
        if self.of_object is not None:
            tokens += [self._object(objects[..., :-1, :])]
        context = self._decoded(tokens, count, memory)
        gap = (there[..., 1:] & ~there[..., :-1]).any(-1)
        of_count = self._log_count(count, memory).masked_fill(gap, -math.inf).unsqueeze(-1)
        terms = [of_count, self._log_values(values, context)]
        if self.objects is not None:
            each = self.objects.log_prob(objects, count, context[..., self.target.values :, :])
            terms += [torch.where(there, each, 0.0)]
        return torch.cat(terms, dim=-1)

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform noise [..., noise_dim] to rows [..., D] of the target and their log-density [...]."""
        lead = torch.broadcast_shapes(noise.shape[:-1], condition.shape[:-1])
        several = int(self.choices > 1)
        sizes = (several, self.target.values, self.target.objects * self.target.features)
        of_count, of_values, of_objects = noise.expand(*lead, -1).split(sizes, dim=-1)
        memory = self.encoder(condition)
        count = self._drawn_count(of_count, memory)
        values, tokens, total = self._drawn_values(of_values, count, memory)
        total = total + self._log_count(count, memory)
        if self.objects is None:
            return values, total
        of_objects = of_objects.unflatten(-1, (self.target.objects, self.target.features))
        objects, each = self._drawn_objects(of_objects, tokens, count, memory)
        there = torch.arange(self.target.objects, device=noise.device) < count.unsqueeze(-1)
        objects = torch.where(there.unsqueeze(-1), objects, 0.0)
        row = torch.cat([values, objects.flatten(-2), there.to(noise.dtype)], dim=-1)
        return row, total + torch.where(there, each, 0.0).sum(-1)

    def _decoded(self, tokens: list[Tensor], count: Tensor, memory: Memory) -> Tensor:
        """What is known before each value and object [..., S, W], from the tokens [..., k, W] of those before."""
        start = torch.zeros(*count.shape, 1, self.settings.width, dtype=memory[0].dtype, device=count.device)
        sequence = torch.cat([start, *tokens], dim=-2)
        length = sequence.shape[-2]
        sequence = sequence + self.position.weight[:length]
        if self.of_count is not None:
            chosen = count.unsqueeze(-1) - self.target.fewest == torch.arange(self.choices, device=count.device)
            sequence = sequence + self.of_count(chosen.to(sequence.dtype)).unsqueeze(-2)
        seen = causal(length, count.device)
        for block in self.blocks:
            sequence = block(sequence, seen, memory)
        return self.norm(sequence)

    def _value(self, i: int, value: Tensor) -> Tensor:
        """The token of a value [...]: [..., 1, W]."""
        circle = torch.tensor(self.circular[i], device=value.device)
        return self.of_value[i](read(value, circle)).unsqueeze(-2)

    def _object(self, objects: Tensor) -> Tensor:
        """The tokens of objects [..., k, F]: [..., k, W]."""
        assert self.of_object is not None
        circles = torch.tensor(self.circular[self.target.values :], device=objects.device)
        return self.of_object(read(objects, circles).flatten(-2))

    def _log_counts(self, memory: Memory) -> Tensor:
        """log p(n | c) of every number of objects, [..., choices]."""
        assert self.count is not None
        return nn.functional.log_softmax(self.count(memory[0][..., 0, :]), dim=-1)

    def _log_count(self, count: Tensor, memory: Memory) -> Tensor:
        """log p(n | c) of numbers of objects [...]."""
        index = count - self.target.fewest
        if self.count is None:
            found = torch.zeros(count.shape, dtype=memory[0].dtype, device=count.device)
        else:
            logs = self._log_counts(memory).expand(*count.shape, -1)
            found = logs.gather(-1, index.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return found.masked_fill(index < 0, -math.inf)

    def _drawn_count(self, noise: Tensor, memory: Memory) -> Tensor:
        if self.count is None:
            return torch.full(noise.shape[:-1], self.target.fewest, device=noise.device)
        below = self._log_counts(memory).exp().cumsum(-1)[..., :-1]
        return self.target.fewest + (noise >= below).sum(-1)

    def _log_values(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-densities of each value [..., V]."""
        circles = torch.tensor(self.circular[: self.target.values], dtype=torch.bool, device=values.device)
        outside = ((values < 0) | (values > 1)) & ~circles
        safe = torch.where(outside, 0.5, values)
        terms = [values[..., :0]]
        for i, chain in enumerate(self.values):
            one = safe[..., i : i + 1]
            terms.append(cast(SplineChain, chain).log_prob(one, one, context[..., i, :]).unsqueeze(-1))
        return torch.cat(terms, dim=-1).masked_fill(outside, -math.inf)

    def _drawn_values(self, noise: Tensor, count: Tensor, memory: Memory) -> tuple[Tensor, list[Tensor], Tensor]:
        """Values [..., V], tokens of those that others follow, and the log-density [...]."""
        values, tokens, total = list[Tensor](), list[Tensor](), torch.zeros_like(noise.sum(-1))
        for i, chain in enumerate(self.values):
            context = self._decoded(tokens, count, memory)[..., -1, :]
            value, log_density = cast(SplineChain, chain).draw(noise[..., i], noise[..., :0], context)
            values, total = [*values, value.clamp(0, 1)], total + log_density
            if i < len(self.of_value):
                tokens = [*tokens, self._value(i, values[i])]
        return torch.stack(values, dim=-1) if values else noise, tokens, total

    def _drawn_objects(self, noise: Tensor, tokens: list[Tensor], count: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Objects [..., n, F] and their log-densities [..., n]; beyond ``count`` [...] they mean nothing."""
        assert self.objects is not None
        before, tags = torch.ones_like(noise[..., 0, 0]), torch.zeros_like(noise[..., 0, 0])
        objects, each = list[Tensor](), list[Tensor]()
        for i in range(self.target.objects):
            context = self._decoded(tokens, count, memory)[..., -1, :]
            drawn, log_density = self.objects.draw(noise[..., i, :], before, count - i, tags, context)
            objects, each = [*objects, drawn], [*each, log_density]
            before, tags = drawn[..., 0], tags + (drawn[..., -1] if self.target.tag else 0.0)
            if i + 1 < self.target.objects:
                tokens = [*tokens, self._object(drawn.unsqueeze(-2))]
        return torch.stack(objects, dim=-2), torch.stack(each, dim=-1)


def _as_target(layout: Layout) -> Target:
    return layout if isinstance(layout, Target) else Target(layout.values, layout.objects, layout.features)


def _check(target: Target, circular: tuple[bool, ...]) -> None:
    flags = target.values + target.features
    if len(circular) != flags or not flags:
        raise InputError(f"a density of {target} needs {flags} flags, and at least one, not circular={circular}")
    tag = target.tag
    if tag and (circular[target.values + tag.feature] or circular[-1]):
        raise InputError(f"neither a tag nor feature {tag.feature}, of whose range it depends, can be a circle: {circular}")
