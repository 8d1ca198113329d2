"""Coordinates of the unit cube one after the other, each by a spline that knows those before, and objects made of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmem.networks.densities.transfermer import TransfermerSettings
from bmem.networks.layers import MLP
from bmem.transforms.spline import parameter_count, rational_quadratic, rotate

if TYPE_CHECKING:
    from bmem.events.target import Target

_HARMONICS = (1.0, 2.0, 4.0)
READ = 2 * len(_HARMONICS)
"""Numbers in which a network reads one coordinate."""


def read(x: Tensor, circular: Tensor) -> Tensor:
    """Coordinates [..., F] as cosines and sines of one turn (circles) or half of one (lines): [..., F, READ]."""
    angle = math.pi * torch.where(circular, 2 * x, x)
    angles = torch.stack([k * angle for k in _HARMONICS], dim=-1)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class SplineChain(nn.Module):
    """p(x_1 | context) p(x_2 | x_1, context) ... on the unit cube, at first the uniform density.

    Args:
        circular: which of the F coordinates are circles of circumference 1.
        context: numbers C in the context.
        settings: sizes.
    """

    circular: Tensor

    def __init__(self, circular: tuple[bool, ...], context: int, settings: TransfermerSettings) -> None:
        super().__init__()
        numbers = parameter_count(settings.bins)
        self.networks = nn.ModuleList(
            MLP(context + READ * f, numbers + 2 * circle, settings.hidden, settings.layers)
            for f, circle in enumerate(circular)
        )
        self.register_buffer("circular", torch.tensor(circular, dtype=torch.bool), persistent=False)

    def log_prob(self, u: Tensor, x: Tensor, context: Tensor) -> Tensor:
        """Log-density [...] of points u [..., F], given context [..., C]; the later ones read x [..., F] of the earlier."""
        told = torch.cat([context, read(x, self.circular).flatten(-2)], dim=-1)
        start, total = context.shape[-1], u.new_zeros(u.shape[:-1])
        for f, network in enumerate(self.networks):
            parameters, turns = self._split(network(told[..., : start + READ * f]))
            point = u[..., f] if turns is None else rotate(u[..., f], turns)
            total = total + rational_quadratic(point, parameters, self._circle(f, turns))[1]
        return total

    def draw(self, noise: Tensor, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The coordinate [...] that follows after x [..., f], from noise [...], and the logarithm of its density [...]."""
        f = x.shape[-1]
        told = torch.cat([context, read(x, self.circular[:f]).flatten(-2)], dim=-1)
        parameters, turns = self._split(self.networks[f](told))
        point, log_jacobian = rational_quadratic(noise, parameters, self._circle(f, turns), inverse=True)
        return point if turns is None else rotate(point, -turns), -log_jacobian

    def _circle(self, f: int, turns: Tensor | None) -> Tensor | None:
        return None if turns is None else self.circular[f]

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor | None]:
        """Parameters of a spline, and the turns [...] of a circle: two numbers more tell them."""
        if raw.shape[-1] % 3 == 1:
            return raw, None
        parameters, a, b = raw.split((raw.shape[-1] - 2, 1, 1), dim=-1)
        return parameters, torch.atan2(b, 1 + a).squeeze(-1) / (2 * math.pi)


class ObjectChain(nn.Module):
    """The density of one object after the other, exactly 0 beyond what the ``target`` tells is certain.

    A tag comes first, then the features, within the range of tags if there is one. A first feature that falls ends at that
    of the object before. An object without which too few would be left to be tagged is tagged for certain: this is what the
    condition that the event has so many tags means for one object after the other.

    Args:
        target: with objects.
        circular: for each feature of an object, whether it is a circle.
        width: numbers in the context of an object.
        settings: sizes.
    """

    def __init__(self, target: Target, circular: tuple[bool, ...], width: int, settings: TransfermerSettings) -> None:
        super().__init__()
        self.target, tagged = target, target.tag is not None
        self.lines = target.features - tagged
        self.chain = SplineChain(circular[: self.lines], width + tagged, settings)
        self.tag = MLP(width, 1, settings.hidden, settings.layers) if tagged else None

    def log_prob(self, objects: Tensor, count: Tensor, context: Tensor) -> Tensor:
        """Log-densities [..., n] of objects [..., n, F], the first ``count`` [...] of them there, context [..., n, W]."""
        x = objects[..., : self.lines]
        before = torch.cat([torch.ones_like(x[..., :1, 0]), x[..., :-1, 0]], dim=-1)
        tags = objects[..., -1].round() if self.tag is not None else torch.zeros_like(before)
        low, high = self._box(before, tags)
        outside = ((x < low) | (x > high)) & ~self.chain.circular
        size = _size(low, high)
        u = torch.where(outside, 0.5, (x - low) / size)
        log_density = self.chain.log_prob(u, x, self._told(context, tags)) - size.log().sum(-1)
        log_density = log_density.masked_fill(outside.any(-1), -math.inf)
        if self.tag is None:
            return log_density
        left = count.unsqueeze(-1) - torch.arange(self.target.objects, device=x.device)
        forced, tagged = self._forced(tags.cumsum(-1) - tags, left), tags > 0.5
        return log_density + _log_tag(self.tag(context).squeeze(-1), tagged, forced)

    def draw(self, noise: Tensor, before: Tensor, left: Tensor, tags: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The next object.

        Args:
            noise: uniform [..., F].
            before: first feature of the object before [...]; 1 if there is none.
            left: objects that are still to come, this one included [...].
            tags: tags so far [...].
            context: [..., W].

        Returns:
            Features [..., F] and the logarithm of their density [...].
        """
        tag, log_density = torch.zeros_like(before), torch.zeros_like(before)
        if self.tag is not None:
            logit, forced = self.tag(context).squeeze(-1), self._forced(tags, left)
            tagged = forced | (noise[..., -1] < logit.sigmoid())
            tag, log_density = tagged.to(before.dtype), _log_tag(logit, tagged, forced)
        low, high = self._box(before, tag)
        size, told = _size(low, high), self._told(context, tag)
        x, log_density = noise[..., :0], log_density - size.log().sum(-1)
        for f in range(self.lines):
            u, log_u = self.chain.draw(noise[..., f], x, told)
            # Rounding must not carry a point over the edge where its density is 0.
            here = torch.minimum(torch.maximum(low[..., f] + u * size[..., f], low[..., f]), high[..., f])
            x, log_density = torch.cat([x, here.unsqueeze(-1)], dim=-1), log_density + log_u
        return x if self.tag is None else torch.cat([x, tag.unsqueeze(-1)], dim=-1), log_density

    def _forced(self, tags: Tensor, left: Tensor) -> Tensor:
        """Whether each of the objects ``left`` must have a tag, after so many ``tags``."""
        fewest = self.target.tag.fewest if self.target.tag else 0
        return (fewest - tags >= left) & (left > 0)

    def _box(self, before: Tensor, tag: Tensor) -> tuple[Tensor, Tensor]:
        """Where the coordinates of an object can lie: [..., F] low and high."""
        known, zero, one = self.target.tag, torch.zeros_like(before), torch.ones_like(before)
        lows, highs = [zero] * self.lines, [one] * self.lines
        if self.target.falling:
            highs[0] = before
        if known:
            lows[known.feature] = torch.where(tag > 0.5, known.low, zero)
            highs[known.feature] = torch.where(tag > 0.5, known.high, one)
        return torch.stack(lows, dim=-1), torch.stack(highs, dim=-1)

    def _told(self, context: Tensor, tag: Tensor) -> Tensor:
        return context if self.tag is None else torch.cat([context, tag.unsqueeze(-1)], dim=-1)


def _log_tag(logit: Tensor, tagged: Tensor, forced: Tensor) -> Tensor:
    """Log-probability of a tag or its absence [...], where it is not ``forced``."""
    log_probability = nn.functional.logsigmoid(torch.where(tagged, logit, -logit))
    return torch.where(forced, 0.0, log_probability).masked_fill(forced & ~tagged, -math.inf)


def _size(low: Tensor, high: Tensor) -> Tensor:
    """Of a box; where it has none (after an object at the very threshold) the least that keeps gradients finite."""
    return (high - low).clamp(min=torch.finfo(high.dtype).eps)
