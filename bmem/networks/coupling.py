"""A conditional density on the unit cube from coupling blocks of rational-quadratic splines.

The base density is uniform, so the log-density is the log-Jacobian of the map from the point to its noise, and one pass
gives either a density or a point with its density. Circular coordinates are circles of circumference 1.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.networks.contract import ConditionalDensity
from bmem.networks.densities.coupling import CouplingSettings
from bmem.networks.encoder import SetSummary
from bmem.networks.layers import MLP, Features
from bmem.transforms.contract import Transform
from bmem.transforms.spline import parameter_count, rational_quadratic, rotate


def coupling_masks(dim: int, blocks: int) -> list[list[bool]]:
    """Which dimensions each block maps (the others control it): one bit of a binary code at a time, then its complement.

    The codes are distinct, so that after 2 ⌈log2 dim⌉ blocks every dimension has controlled every other one; they come
    in complementary pairs, so that every mask holds half of the dimensions (to within one).
    """
    bits = max(1, math.ceil(math.log2(dim)))
    codes = [(i // 2) ^ (-(i % 2)) for i in range(dim)]
    masks = [[bool(code >> bit & 1) != flip for code in codes] for bit in range(bits) for flip in (False, True)]
    masks = [mask for mask in masks if any(mask)]
    return [masks[block % len(masks)] for block in range(blocks)]


class CouplingBlock(Transform):
    """Maps the dimensions of ``mask`` by splines whose parameters a network computes from the others and the context.

    A circular dimension is first rotated; the angle is that of a vector (1 + a, b), so that it may wind around the circle
    when the context does.
    """

    active: Tensor
    passive: Tensor
    order: Tensor
    circles: Tensor
    circular: Tensor
    passive_circular: Tensor

    def __init__(self, mask: list[bool], circular: tuple[bool, ...], context_dim: int, settings: CouplingSettings) -> None:
        super().__init__()
        active = [i for i, mapped in enumerate(mask) if mapped]
        passive = [i for i, mapped in enumerate(mask) if not mapped]
        order = torch.tensor(passive + active).argsort()
        circles = [n for n, i in enumerate(active) if circular[i]]
        self.active_dim, self.circle_dim = len(active), len(circles)
        # Angles of circular dimensions, and the rest from [0, 1] to zero mean and unit deviation.
        self.features = Features(tuple(circular[i] for i in passive))
        self.features.mean.fill_(0.5)
        self.features.deviation.fill_(12**-0.5)
        outputs = len(active) * parameter_count(settings.bins) + 2 * len(circles)
        self.network = MLP(self.features.outputs + context_dim, outputs, settings.hidden, settings.layers)
        for name, value in {"active": torch.tensor(active), "passive": torch.tensor(passive), "order": order}.items():
            self.register_buffer(name, value.long(), persistent=False)
        self.register_buffer("circles", torch.tensor(circles).long(), persistent=False)
        self.register_buffer("circular", torch.tensor([circular[i] for i in active]), persistent=False)
        self.register_buffer("passive_circular", torch.tensor([circular[i] for i in passive]).bool(), persistent=False)

    def _parameters_from(self, passive: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Spline parameters [..., active, 3 K + 1] and rotations [..., active] in turns (None without circles)."""
        # 2π is no buffer: converted from single to double precision it would leave a step where the circle closes.
        features = self.features(torch.where(self.passive_circular, 2 * math.pi * passive, passive))
        raw = self.network(features if context is None else torch.cat((features, context), dim=-1))
        splines, vectors = raw.split((raw.shape[-1] - 2 * self.circle_dim, 2 * self.circle_dim), dim=-1)
        splines = splines.unflatten(-1, (self.active_dim, -1))
        if self.circle_dim == 0:
            return splines, None
        a, b = vectors.chunk(2, dim=-1)
        turns = torch.atan2(b, 1 + a) / (2 * math.pi)
        return splines, torch.zeros_like(splines[..., 0]).index_copy(-1, self.circles, turns)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x [..., D] in the unit cube, given context [..., F], to y [..., D] and log|dy/dx| [...]."""
        passive, active = x.index_select(-1, self.passive), x.index_select(-1, self.active)
        splines, turns = self._parameters_from(passive, context)
        if turns is not None:
            active = torch.where(self.circular, rotate(active, turns), active)
        active, log_jacobian = rational_quadratic(active, splines, self._circular_or_none())
        return torch.cat((passive, active), dim=-1).index_select(-1, self.order), log_jacobian.sum(dim=-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y [..., D] in the unit cube, given context [..., F], to x [..., D] and log|dx/dy| [...]."""
        passive, active = y.index_select(-1, self.passive), y.index_select(-1, self.active)
        splines, turns = self._parameters_from(passive, context)
        active, log_jacobian = rational_quadratic(active, splines, self._circular_or_none(), inverse=True)
        if turns is not None:
            active = torch.where(self.circular, rotate(active, -turns), active)
        return torch.cat((passive, active), dim=-1).index_select(-1, self.order), log_jacobian.sum(dim=-1)

    def _circular_or_none(self) -> Tensor | None:
        return self.circular if self.circle_dim else None


class CouplingFlow(ConditionalDensity):
    """A normalised density on the unit cube given a condition; it starts as the uniform density.

    Args:
        dim: number of dimensions D.
        condition_dim: number of conditions C.
        circular: for each dimension, whether it is a circle of circumference 1; default: none.
        periodic_condition: for each condition, whether it is an angle in radians; default: none.
        settings: size of the network.
        reader: of the conditions, with ``outputs`` and ``fit`` as ``Features``, in their place; default: these.
    """

    def __init__(
        self,
        dim: int,
        condition_dim: int,
        circular: tuple[bool, ...] | None = None,
        periodic_condition: tuple[bool, ...] | None = None,
        settings: CouplingSettings | None = None,
        *,
        reader: SetSummary | None = None,
    ) -> None:
        super().__init__()
        self.noise_dim = dim
        self.circular = circular or (False,) * dim
        self.periodic_condition = periodic_condition or (False,) * condition_dim
        self.settings = settings or CouplingSettings()
        if dim < 1 or len(self.circular) != dim or len(self.periodic_condition) != condition_dim:
            raise InputError(
                f"a flow in {dim} dimensions under {condition_dim} conditions needs as many flags, "
                f"not circular={self.circular}, periodic_condition={self.periodic_condition}"
            )
        self.features = reader or Features(self.periodic_condition)
        masks = coupling_masks(dim, self.settings.blocks)
        blocks = [CouplingBlock(mask, self.circular, self.features.outputs, self.settings) for mask in masks]
        self.blocks = nn.ModuleList(blocks)

    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, JSON-able."""
        return {
            "dim": self.noise_dim,
            "circular": list(self.circular),
            "periodic_condition": list(self.periodic_condition),
            **{name: getattr(self.settings, name) for name in ("blocks", "hidden", "layers", "bins")},
        }

    def fit_features(self, inputs: Tensor) -> None:
        """Standardise the conditions as in ``inputs`` [N, C]."""
        self.features.fit(inputs)

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x | c): [..., D], [..., C] → [...]; -inf outside the unit cube, circles are taken modulo 1."""
        outside = ((x < 0) | (x > 1)) & ~torch.tensor(self.circular, device=x.device)
        point = torch.where(outside, 0.5, x)
        context = self._context(condition, x)
        log_prob = x.new_zeros(x.shape[:-1])
        for block in self.blocks:
            point, log_jacobian = block(point, context)
            log_prob = log_prob + log_jacobian
        return log_prob.masked_fill(outside.any(dim=-1), -math.inf)

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform noise [..., D] to points [..., D] of the unit cube and their log-density [...]."""
        point, context = noise, self._context(condition, noise)
        log_prob = noise.new_zeros(noise.shape[:-1])
        for block in reversed(self.blocks):
            point, log_jacobian = cast(CouplingBlock, block).inverse(point, context)
            log_prob = log_prob - log_jacobian
        return point.clamp(0, 1), log_prob

    def _context(self, condition: Tensor, points: Tensor) -> Tensor:
        return self.features(condition).expand(*points.shape[:-1], -1)
