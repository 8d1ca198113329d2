"""Sets of objects whose density given a condition is known in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem.events.observation import Layout
from bmem.events.target import Tag, Target


class Independent:
    """One to three objects (v, φ), independent given x [.., 1] in (-1, 1), ordered by falling v.

    n ~ Poisson of mean exp(x/2), truncated; p(v) = a v^(a-1) with a = 1.5 + x/2; p(φ) = 1 + 0.8 cos 2π(φ - x/4). The density
    of the ordered objects is n! times the product.
    """

    target = Target(0, 3, 2, fewest=1, falling=True)
    circular = (False, True)
    condition = Layout(1)

    def sample(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Rows and conditions."""
        rng = torch.Generator().manual_seed(seed)
        x = 2 * torch.rand(n, 1, generator=rng, dtype=torch.float64) - 1
        count = 1 + torch.multinomial(self._log_counts(x).exp(), 1, generator=rng)
        v = torch.rand(n, 3, generator=rng, dtype=torch.float64) ** (1 / (1.5 + x / 2))
        phi = (_cosine(0.8, (n, 3), rng) + x / 4) % 1
        there = torch.arange(3) < count
        order = torch.where(there, v, -1.0).argsort(-1, descending=True)
        objects = torch.stack([v, phi], -1).gather(1, order.unsqueeze(-1).expand(-1, -1, 2))
        return self.target.pack(x[:, :0], objects, there), x

    def log_prob(self, rows: Tensor, x: Tensor) -> Tensor:
        _, objects, mask = self.target.unpack(rows)
        v, phi = torch.where(mask.unsqueeze(-1) > 0.5, objects, 0.5).unbind(-1)
        a = 1.5 + x / 2
        each = a.log() + (a - 1) * v.log() + torch.log1p(0.8 * torch.cos(2 * math.pi * (phi - x / 4)))
        count = mask.sum(-1).long()
        log_count = self._log_counts(x).gather(-1, count.unsqueeze(-1) - 1).squeeze(-1)
        return log_count + torch.lgamma(count + 1.0) + (mask * each).sum(-1)

    def _log_counts(self, x: Tensor) -> Tensor:
        n = torch.arange(1, 4)
        return (n * x / 2 - torch.lgamma(n + 1.0)).log_softmax(-1)


class TwoJets:
    """Two jets (v, e, φ, tag) of a b and a light parton; which is which is not known, and one at least is tagged.

    The condition is a set of the two partons, (1 for the b, cos φ_k, sin φ_k). Of the b p(v) = 2 v, of the other 2 (1 - v);
    p(e) = 1 ± 0.6 (2 e - 1), p(φ) = 1 + 0.9 cos 2π(φ - φ_k); within 0.2 < e < 0.8 it is tagged with probability 0.7 and 0.1.
    The density of the two, ordered by falling v, is the sum over both assignments, divided by the probability of a tag.
    """

    target = Target(0, 2, 4, fewest=2, falling=True, tag=Tag(1, 0.2, 0.8, 1))
    circular = (False, False, True, False)
    condition = Layout(0, 2, 3)
    _tags = torch.tensor([0.7, 0.1], dtype=torch.float64)
    _slopes = torch.tensor([0.6, -0.6], dtype=torch.float64)

    def sample(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Rows and conditions: of 3 n events those, at most n, with a tag."""
        rng, total = torch.Generator().manual_seed(seed), 3 * n
        at = torch.rand(total, 2, generator=rng, dtype=torch.float64)
        v = torch.rand(total, 2, generator=rng, dtype=torch.float64).sqrt()
        v[:, 1] = 1 - v[:, 1]
        u = torch.rand(total, 2, generator=rng, dtype=torch.float64)
        # e + s (e² - e) = u
        s = self._slopes
        e = (s - 1 + ((1 - s).square() + 4 * s * u).sqrt()) / (2 * s)
        phi = (_cosine(0.9, (total, 2), rng) + at) % 1
        tag = (torch.rand(total, 2, generator=rng, dtype=torch.float64) < self._tags) & (e > 0.2) & (e < 0.8)
        jets = torch.stack([v, e, phi, tag.double()], -1)
        jets = jets.gather(1, v.argsort(-1, descending=True).unsqueeze(-1).expand(-1, -1, 4))
        chosen = tag.any(-1).nonzero().flatten()[:n]
        everything = torch.ones(total, 2)
        partons = torch.stack([torch.eye(2)[0].expand(total, 2), _turn(at).cos(), _turn(at).sin()], -1)
        rows = self.target.pack(v[:, :0], jets, everything)
        return rows[chosen], self.condition.pack(v[:, :0], partons, everything)[chosen]

    def log_prob(self, rows: Tensor, condition: Tensor) -> Tensor:
        jets = self.target.unpack(rows)[1]
        partons = self.condition.unpack(condition)[1]
        each = self._of_parton(jets.unsqueeze(-2), partons.unsqueeze(-3))
        both = each[..., 0, 0] * each[..., 1, 1] + each[..., 0, 1] * each[..., 1, 0]
        return both.log() - math.log(1 - (1 - 0.6 * 0.7) * (1 - 0.6 * 0.1))

    def _of_parton(self, jets: Tensor, partons: Tensor) -> Tensor:
        """Density of each jet from each parton [..., 2, 2]."""
        v, e, phi, tag = jets.unbind(-1)
        of_v = torch.stack([2 * v[..., 0], 2 * (1 - v[..., 0])], -1)
        of_e = 1 + self._slopes * (2 * e - 1)
        of_phi = 1 + 0.9 * (partons[..., 1] * _turn(phi).cos() + partons[..., 2] * _turn(phi).sin())
        possible = torch.where((e > 0.2) & (e < 0.8), self._tags, 0.0)
        return of_v * of_e * of_phi * torch.where(tag > 0.5, possible, 1 - possible)


def _turn(x: Tensor) -> Tensor:
    return 2 * math.pi * x


def _cosine(size: float, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Points of the circle [0, 1) with the density 1 + size cos 2πφ: a uniform point, turned by half where it is refused."""
    phi = torch.rand(shape, generator=rng, dtype=torch.float64)
    stays = torch.rand(shape, generator=rng, dtype=torch.float64) < 0.5 * (1 + size * torch.cos(2 * math.pi * phi))
    return torch.where(stays, phi, (phi + 0.5) % 1)
