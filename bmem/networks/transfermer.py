"""The density of a set of objects by a transformer (Transfermer, arXiv:2310.07752), normalised over what is accepted.

    p(x | c) = p(n | c) p(v | n, c) Π_i p(o_i | o_1 ... o_{i-1}, v, n, c)

with plain values v and n objects of several features each, all on the unit cube. An encoder reads the condition, a decoder
with a causal mask the values (one token) and the objects so far, and what it tells conditions one-dimensional splines, one
for each value given the values before, and for each feature given the features of the same object before. One pass gives
the density of all objects; to draw them takes a step for each, which remembers what those before have told.
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
from bmem.networks.attention import AttentionBlock, Memory, Source, causal
from bmem.networks.chain import READ, ObjectChain, SplineChain, read
from bmem.networks.contract import ConditionalDensity
from bmem.networks.densities.transfermer import TransfermerSettings
from bmem.networks.encoder import SetEncoder
from bmem.networks.layers import MLP
from bmem.rng import generator


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
        self.position = nn.Embedding((target.values > 0) + target.objects, width)
        followed = target.values > 0 and target.objects > 0
        self.of_values = nn.Linear(READ * target.values, width) if followed else None
        self.of_object = nn.Linear(READ * target.features, width) if target.objects > 1 else None
        self.values = SplineChain(circular[: target.values], width, settings) if target.values else None
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
        """The terms of log p(x | c): of the number of objects, of the values if there are any, of each object [..., T].

        Each is given the number and what comes before it, and 0 for places without an object.
        """
        lead = torch.broadcast_shapes(x.shape[:-1], condition.shape[:-1])
        values, objects, mask = self.target.unpack(x.expand(*lead, -1))
        there = mask > 0.5
        objects = torch.where(there.unsqueeze(-1), objects, 0.5)
        count, memory = there.sum(-1), self.encoder(condition)
        outside = ((values < 0) | (values > 1)) & ~self._circles(values)[: self.target.values]
        values = torch.where(outside, 0.5, values)
        context = self._decoded(self._tokens(values, objects), count, memory)
        gap = (there[..., 1:] & ~there[..., :-1]).any(-1)
        terms = [self._log_count(count, memory).masked_fill(gap, -math.inf).unsqueeze(-1)]
        if self.values is not None:
            of_values = self.values.log_prob(values, values, context[..., 0, :])
            terms += [of_values.masked_fill(outside.any(-1), -math.inf).unsqueeze(-1)]
        if self.objects is not None:
            each = self.objects.log_prob(objects, count, context[..., len(terms) - 1 :, :])
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
        steps = _Steps(self, count, memory)
        values, total = self._drawn_values(of_values, steps)
        total = total + self._log_count(count, memory)
        if self.objects is None:
            return values, total
        of_objects = of_objects.unflatten(-1, (self.target.objects, self.target.features))
        objects, each = self._drawn_objects(of_objects, count, steps)
        there = torch.arange(self.target.objects, device=noise.device) < count.unsqueeze(-1)
        objects = torch.where(there.unsqueeze(-1), objects, 0.0)
        row = torch.cat([values, objects.flatten(-2), there.to(noise.dtype)], dim=-1)
        return row, total + torch.where(there, each, 0.0).sum(-1)

    def _tokens(self, values: Tensor, objects: Tensor) -> list[Tensor]:
        """Of the values and of all objects but the last, each [..., k, W]: what others follow."""
        found = [] if self.of_values is None else [self.token_of_values(values)]
        return found if self.of_object is None else [*found, self.token_of_objects(objects[..., :-1, :])]

    def token_of_values(self, values: Tensor) -> Tensor:
        """The token of the values [..., V]: [..., 1, W]."""
        assert self.of_values is not None
        circles = self._circles(values)[: self.target.values]
        return self.of_values(read(values, circles).flatten(-2)).unsqueeze(-2)

    def token_of_objects(self, objects: Tensor) -> Tensor:
        """The tokens of objects [..., k, F]: [..., k, W]."""
        assert self.of_object is not None
        return self.of_object(read(objects, self._circles(objects)[self.target.values :]).flatten(-2))

    def placed(self, tokens: Tensor, first: int, count: Tensor) -> Tensor:
        """Tokens [..., k, W] that know their places, counted from ``first``, and the number of objects [...]."""
        tokens = tokens + self.position.weight[first : first + tokens.shape[-2]]
        if self.of_count is None:
            return tokens
        chosen = count.unsqueeze(-1) - self.target.fewest == torch.arange(self.choices, device=count.device)
        return tokens + self.of_count(chosen.to(tokens.dtype)).unsqueeze(-2)

    def _decoded(self, tokens: list[Tensor], count: Tensor, memory: Memory) -> Tensor:
        """What is known before the values and each object [..., S, W], from the tokens [..., k, W] of those before."""
        sequence = torch.cat([self.start(count, memory), *tokens], dim=-2)
        sequence, seen = self.placed(sequence, 0, count), causal(sequence.shape[-2], count.device)
        for block in self.blocks:
            sequence = block(sequence, seen, memory)
        return self.norm(sequence)

    def start(self, count: Tensor, memory: Memory) -> Tensor:
        """The token that the first one follows [..., 1, W]."""
        return torch.zeros(*count.shape, 1, self.settings.width, dtype=memory[0].dtype, device=count.device)

    def _circles(self, like: Tensor) -> Tensor:
        return torch.tensor(self.circular, dtype=torch.bool, device=like.device)

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

    def _drawn_values(self, noise: Tensor, steps: _Steps) -> tuple[Tensor, Tensor]:
        """Values [..., V] and their log-density [...]."""
        values, total = noise[..., :0], torch.zeros_like(noise.sum(-1))
        if self.values is None:
            return values, total
        context = steps.next()
        for i in range(self.target.values):
            value, log_density = self.values.draw(noise[..., i], values, context)
            values, total = torch.cat([values, value.clamp(0, 1).unsqueeze(-1)], dim=-1), total + log_density
        if self.of_values is not None:
            steps.last = self.token_of_values(values)
        return values, total

    def _drawn_objects(self, noise: Tensor, count: Tensor, steps: _Steps) -> tuple[Tensor, Tensor]:
        """Objects [..., n, F] and their log-densities [..., n]; beyond ``count`` [...] they mean nothing."""
        assert self.objects is not None
        before, tags = torch.ones_like(noise[..., 0, 0]), torch.zeros_like(noise[..., 0, 0])
        objects, each = list[Tensor](), list[Tensor]()
        for i in range(self.target.objects):
            drawn, log_density = self.objects.draw(noise[..., i, :], before, count - i, tags, steps.next())
            objects, each = [*objects, drawn], [*each, log_density]
            before, tags = drawn[..., 0], tags + (drawn[..., -1] if self.target.tag else 0.0)
            if i + 1 < self.target.objects:
                steps.last = self.token_of_objects(drawn.unsqueeze(-2))
        return torch.stack(objects, dim=-2), torch.stack(each, dim=-1)


class _Steps:
    """The decoder step by step: ``next`` tells what is known after the token ``last`` [..., 1, W] and all before."""

    def __init__(self, network: Transfermer, count: Tensor, memory: Memory) -> None:
        self.network, self.count = network, count
        self.blocks = [cast(AttentionBlock, block) for block in network.blocks]
        self.memories = [(block.remembered(memory[0]), memory[1]) for block in self.blocks]
        self.past: list[Source | None] = [None] * len(self.blocks)
        self.last, self.place = network.start(count, memory), 0

    def next(self) -> Tensor:
        """[..., W]."""
        token = self.network.placed(self.last, self.place, self.count)
        for i, block in enumerate(self.blocks):
            token, self.past[i] = block.follow(token, self.past[i], self.memories[i])
        self.place += 1
        return self.network.norm(token).squeeze(-2)


def _as_target(layout: Layout) -> Target:
    return layout if isinstance(layout, Target) else Target(layout.values, layout.objects, layout.features)


def _check(target: Target, circular: tuple[bool, ...]) -> None:
    flags = target.values + target.features
    if len(circular) != flags or not flags:
        raise InputError(f"a density of {target} needs {flags} flags, and at least one, not circular={circular}")
    tag = target.tag
    if tag and (circular[target.values + tag.feature] or circular[-1]):
        raise InputError(f"neither a tag nor feature {tag.feature}, of whose range it depends, can be a circle: {circular}")
