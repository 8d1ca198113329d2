"""The master formula: importance weights of one event's integral over x_hard, for all components and replicas at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bmem.devices import rows_at_once
from bmem.networks.contract import ConditionalDensity
from bmem.process.contract import Process
from bmem.replicas.contract import Replicas
from bmem.rng import uniform

_SLICE = 4096
"""Points for which the replicas are evaluated at once: what their networks compute stays in the processor's cache."""


@dataclass(frozen=True)
class Integrand:
    """w_k = s_k(x) ε(x) p(x_reco | x) / q(x | x_reco) at points x ~ q, as ``bmem.integration`` asks for it.

    Points of the proposal's tails beyond the phase space have s = 0: their weight is zero, whatever the networks say there.

    ``transfer`` and ``acceptance`` are replicas (R networks), ``proposal`` one density; ``x_reco`` [N, D_reco], float64.
    Networks and ``x_reco`` are on one device, and there the weights are computed.
    """

    process: Process
    transfer: Replicas
    acceptance: Replicas
    proposal: ConditionalDensity
    x_reco: Tensor

    def replica(self, r: int) -> Integrand:
        """The integrand in one replica of the networks."""
        return replace(self, transfer=self.transfer.replica(r), acceptance=self.acceptance.replica(r))

    def __call__(self, events: Tensor, points: int, generators: list[torch.Generator]) -> Tensor:
        """Weights [R, E, points, K] of fresh points for the event indices ``events`` [E], one generator for each event."""
        shape = (points, self.proposal.noise_dim)
        noise = torch.stack([uniform(shape, g, self.x_reco) for g in generators])
        x_reco = self.x_reco[events.to(self.x_reco.device)][:, None].expand(-1, points, -1).flatten(0, 1)
        with torch.no_grad():
            x, log_q = self.proposal.from_noise(noise.flatten(0, 1), x_reco)
            s = self.process.components(torch.nan_to_num(x, nan=torch.inf))
            inside = s.abs().sum(-1) > 0
            rows = rows_at_once(_SLICE, x.device)
            slices = zip(*(tensor[inside].split(rows) for tensor in (x_reco, x, log_q)), strict=True)
            ratio = torch.cat([self._ratio(*rows) for rows in slices], dim=1)
            result = ratio.new_zeros(len(ratio), *s.shape)
            result[:, inside] = ratio[..., None] * s[inside]
        return result.unflatten(1, (len(events), points))

    def in_turns(self, events: Tensor, points: int, generators: list[torch.Generator]) -> Tensor:
        """Weights [1, E, points, K] as of a single replica: those of event n in replica n modulo R.

        What is averaged over events is then averaged over replicas too, at the cost of one.
        """
        turns = events % len(self.transfer)
        parts, order = [], []
        for r in turns.unique().tolist():
            places = (turns == r).nonzero().flatten()
            parts.append(self.replica(r)(events[places], points, [generators[place] for place in places.tolist()]))
            order.append(places)
        return torch.cat(parts, dim=1)[:, torch.cat(order).argsort()]

    def _ratio(self, x_reco: Tensor, x_hard: Tensor, log_q: Tensor) -> Tensor:
        """ε(x_hard) p(x_reco | x_hard) / q in all replicas, [R, ...]."""
        log_p = self.transfer("log_prob", x_reco, x_hard)
        return self.acceptance("probability", x_hard) * torch.exp(log_p - log_q)
