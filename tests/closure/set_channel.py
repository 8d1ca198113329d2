"""The linear-Gaussian toy seen as a set: one to three readings of the same x_hard, whose order means nothing.

Each reading is N(A x_hard, S), their number n has known probabilities. The density of the n readings ordered by their first
number is n! p(n) Π_i N(o_i; A x_hard, S), and of the product only the mean ō knows x_hard: the integrals are
I_k = n! p(n) C σ_k N(ō; A μ_k, A Σ_k Aᵀ + S/n) with C = Π_i N(o_i; ō, S) / N(0; 0, S/n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from bmem.channels.base import BaseChannel
from bmem.events.observation import Layout
from bmem.events.record import HardEvents, Objects, RecoEvents
from bmem.events.target import Target
from bmem.process.toy import LinearGaussian
from bmem.quantity import Quantity
from bmem.transforms.elementwise import HeavyTail

TOY = LinearGaussian()
CHANCES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
"""Of one, two and three readings."""
TARGET = Target(0, len(CHANCES), 2, fewest=1, falling=True)


@dataclass(frozen=True)
class SeveralReadings:
    """The response."""

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        count = 1 + torch.multinomial(CHANCES, len(hard), replacement=True, generator=rng)
        there = torch.arange(len(CHANCES)) < count.unsqueeze(-1)
        readings = TOY.response(hard.x.unsqueeze(-2).expand(-1, len(CHANCES), -1), rng)
        return RecoEvents({"readings": Objects(torch.where(there.unsqueeze(-1), readings, 0.0), there, ("x", "y"))})


class Readings:
    """Coordinates of the set given x_hard: differences from A x_hard through a heavy-tailed distribution function."""

    circular = (False, False)
    target = TARGET
    n_features = 2
    width = 0.6

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        values, readings, mask = TARGET.unpack(target)
        there = mask > 0.5
        u, log_each = HeavyTail()((readings - self._centre(reference)) / self.width)
        row = torch.cat([values, torch.where(there.unsqueeze(-1), u, 0.0).flatten(-2), mask], -1)
        return row, torch.where(there, log_each - 2 * math.log(self.width), 0.0).sum(-1)

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        values, u, mask = TARGET.unpack(residual)
        there = (mask > 0.5).unsqueeze(-1)
        readings = self._centre(reference) + self.width * HeavyTail().inverse(torch.where(there, u, 0.5))[0]
        row = torch.cat([values, torch.where(there, readings, 0.0).flatten(-2), mask], -1)
        return row, -self.forward(row, reference)[1]

    def features(self, reference: Tensor) -> Tensor:
        return reference

    def _centre(self, reference: Tensor) -> Tensor:
        return (reference @ TOY.response_matrix.T).unsqueeze(-2)


class HardOfReadings:
    """Coordinates of x_hard given the set: differences from what the mean reading says."""

    circular = (False, False)
    layout = Layout(0, TARGET.objects, 2)
    n_features = layout.width

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return target - self._said(reference), torch.zeros_like(target[..., 0])

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return residual + self._said(reference), torch.zeros_like(residual[..., 0])

    def features(self, reference: Tensor) -> Tensor:
        return reference

    def _said(self, reference: Tensor) -> Tensor:
        return mean_reading(reference)[0] @ torch.linalg.inv(TOY.response_matrix).T


class SetChannel(BaseChannel):
    """See ``bmem.channels.contract.Channel``; people read the number of readings and their mean."""

    title = "linear-Gaussian toy, seen as a set"
    process = TOY
    response = SeveralReadings()
    observables = (Quantity("n", "n"), Quantity("x", "x"), Quantity("y", "y"))
    hard_quantities = (Quantity("u", "u"), Quantity("v", "v"))
    transfer, proposal = Readings(), HardOfReadings()

    def observe(self, reco: RecoEvents) -> Tensor:
        """Rows of the set, the readings ordered by their first number."""
        readings = reco.collections["readings"]
        order = torch.where(readings.mask, readings.features[..., 0], -torch.inf).argsort(-1, descending=True)
        ordered = readings.features.gather(1, order.unsqueeze(-1).expand(-1, -1, 2))
        return TARGET.pack(ordered[:, 0, :0], ordered, readings.mask.gather(1, order))

    def readable(self, x: Tensor) -> Tensor:
        mean, count = mean_reading(x)
        return torch.cat([count, mean], -1)


def mean_reading(rows: Tensor) -> tuple[Tensor, Tensor]:
    """[..., 2], and the number of readings [..., 1]."""
    _, readings, mask = TARGET.unpack(rows)
    count = mask.sum(-1, keepdim=True)
    return readings.sum(-2) / count, count


def exact_integrals(rows: Tensor) -> Tensor:
    """I_k in pb: [N, width] → [N, K]."""
    mean, count = mean_reading(rows)
    _, readings, mask = TARGET.unpack(rows)
    a, noise, n = TOY.response_matrix, TOY.noise, count[:, 0]
    around = MultivariateNormal(torch.zeros(2, dtype=torch.float64), noise).log_prob(readings - mean.unsqueeze(-2))
    of_mean = torch.log(2 * math.pi * torch.linalg.det(noise).sqrt() / n)  # -log N(0; 0, S/n)
    log_c = (around * mask).sum(-1) + of_mean + torch.lgamma(n + 1) + CHANCES.log()[n.long() - 1]
    spread = a @ TOY.covariances @ a.T + noise / n[:, None, None, None]
    density = MultivariateNormal(TOY.means @ a.T, spread).log_prob(mean.unsqueeze(-2))
    return TOY.strengths * torch.exp(density + log_c.unsqueeze(-1))
