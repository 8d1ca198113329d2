"""Conditional coupling flows of one architecture, as bmem and its peers build them, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from bmem.networks.coupling import CouplingFlow, CouplingSettings

DIM, CONDITIONS = 8, 12
BLOCKS, LAYERS, HIDDEN, BINS = 8, 3, 256, 16


@dataclass(frozen=True)
class Flow:
    """A flow: ``log_prob`` (x [N, 8], c [N, 12]) → [N] and ``sample`` (c) → (x, log density)."""

    module: nn.Module
    log_prob: Callable[[Tensor, Tensor], Tensor]
    sample: Callable[[Tensor], tuple[Tensor, Tensor]]


def bmem() -> Flow:
    """bmem's own."""
    module = CouplingFlow(DIM, CONDITIONS, settings=CouplingSettings(BLOCKS, HIDDEN, LAYERS, BINS))
    return Flow(module, module.log_prob, lambda c: module.from_noise(torch.rand(len(c), DIM, device=c.device), c))


def zuko() -> Flow:
    """zuko's neural spline flow with two passes, which is a coupling flow."""
    from zuko.flows import NSF

    module = NSF(DIM, CONDITIONS, bins=BINS, transforms=BLOCKS, passes=2, hidden_features=[HIDDEN] * LAYERS)
    return Flow(module, lambda x, c: module(c).log_prob(10 * x - 5), lambda c: module(c).rsample_and_log_prob())


def nflows() -> Flow:
    """nflows' rational-quadratic coupling transforms with perceptrons of the same size."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow as Composed
    from nflows.transforms import CompositeTransform
    from nflows.transforms.coupling import PiecewiseRationalQuadraticCouplingTransform as Coupling

    blocks = [
        Coupling([(i + b) % 2 for i in range(DIM)], _Conditioner, num_bins=BINS, tails="linear", tail_bound=5.0)
        for b in range(BLOCKS)
    ]
    module = Composed(CompositeTransform(blocks), StandardNormal([DIM]))

    def sample(c: Tensor) -> tuple[Tensor, Tensor]:
        x, log_jacobian = module._transform.inverse(torch.randn(len(c), DIM, device=c.device), context=c)
        return x, -log_jacobian

    return Flow(module, lambda x, c: module.log_prob(10 * x - 5, context=c), sample)


class _Conditioner(nn.Module):
    """The perceptron that nflows asks for, with the context appended."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        sizes = [inputs + CONDITIONS] + [HIDDEN] * LAYERS
        hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.SiLU())]
        self.net = nn.Sequential(*hidden, nn.Linear(HIDDEN, outputs))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.net(torch.cat((x, context), -1))


def normflows() -> Flow:
    """normflows' coupled rational-quadratic splines; its conditioner is a residual network, one block less deep here."""
    from normflows import ConditionalNormalizingFlow
    from normflows.distributions import DiagGaussian
    from normflows.flows import CoupledRationalQuadraticSpline as Spline

    blocks = [
        Spline(DIM, LAYERS - 1, HIDDEN, CONDITIONS, num_bins=BINS, tail_bound=5.0, reverse_mask=b % 2 == 1)
        for b in range(BLOCKS)
    ]
    module = ConditionalNormalizingFlow(DiagGaussian(DIM, trainable=False), blocks)
    return Flow(module, lambda x, c: module.log_prob(10 * x - 5, c), lambda c: module.sample(len(c), c))


def madnis() -> Flow:
    """The flow of MadNIS."""
    from madnis.nn import Flow as Madnis

    module = Madnis(DIM, CONDITIONS, blocks=BLOCKS, layers=LAYERS + 1, units=HIDDEN, bins=BINS, permutations="exchange")

    def sample(c: Tensor) -> tuple[Tensor, Tensor]:
        return module.sample(len(c), c=c, return_log_prob=True)

    return Flow(module, lambda x, c: module.log_prob(x, c=c), sample)


class Products(nn.Module):
    """The matrix products of the architecture alone: the floor."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [DIM // 2 + CONDITIONS] + [HIDDEN] * LAYERS + [DIM // 2 * (3 * BINS + 1)]
        self.blocks = nn.ModuleList(nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes)) for _ in range(BLOCKS))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        inputs = torch.cat((x[:, : DIM // 2], c), -1).to(next(self.parameters()).dtype)
        total = x.new_zeros(len(x))
        for block in self.blocks:
            values = inputs
            for layer in block:
                values = layer(values)
            total = total + values.sum(-1)
        return total


def products(dtype: torch.dtype) -> Flow:
    """The floor in a precision."""
    module = Products().to(dtype)
    return Flow(module, module, lambda c: (c, module(c[:, :DIM], c)))


PEERS = {"bmem": bmem, "zuko": zuko, "nflows": nflows, "normflows": normflows, "madnis": madnis}
FLOORS = {"products, float32": torch.float32, "products, bfloat16": torch.bfloat16}
