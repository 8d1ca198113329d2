"""The master formula: importance weights of one event's integral over x_hard, for all components and replicas at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bmem.devices import rows_at_once
from bmem.likelihood.nuisances import NONE, Nuisances
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
    Networks and ``x_reco`` are on one device, and there the weights are computed. With ``nuisances`` there are M K
    components, those of the monomials, and after them the C K at the checks of the interpolation.
    """

    process: Process
    transfer: Replicas
    acceptance: Replicas
    proposal: ConditionalDensity
    x_reco: Tensor
    nuisances: Nuisances = NONE

    def replica(self, r: int) -> Integrand:
        """The integrand in one replica of the networks."""
        return replace(self, transfer=self.transfer.replica(r), acceptance=self.acceptance.replica(r))

    def __call__(self, events: Tensor, points: int, generators: list[torch.Generator]) -> Tensor:
        """Weights [R, E, points, K] of fresh points for the event indices ``events`` [E], one generator for each event."""
        shape = (points, self.proposal.noise_dim)
        noise = torch.stack([uniform(shape, g, self.x_reco) for g in generators])
        x_reco = self.x_reco[events.to(self.x_reco.device)][:, None]
        with torch.no_grad():
            x, log_q = (part.flatten(0, 1) for part in self.proposal.from_noise(noise, x_reco))
            x_reco = x_reco.expand(-1, points, -1).flatten(0, 1)
            s = self.process.components(torch.nan_to_num(x, nan=torch.inf))
            inside = s.abs().sum(-1) > 0
            rows = rows_at_once(_SLICE, x.device)
            slices = zip(*(tensor[inside].split(rows) for tensor in (x_reco, x, log_q, s)), strict=True)
            weights = torch.cat([self._weights(*rows) for rows in slices], dim=1)
            result = weights.new_zeros(len(weights), len(x), weights.shape[-1])
            result[:, inside] = weights
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

    def _weights(self, x_reco: Tensor, x_hard: Tensor, log_q: Tensor, s: Tensor) -> Tensor:
        """[R, n, components] at points inside of the phase space, where the components of the process are ``s`` [n, K]."""
        if not self.nuisances:
            return self._ratio(x_reco, x_hard, log_q)[..., None] * s
        nodes = len(self.nuisances.points)
        points = np.concatenate([self.nuisances.points, self.nuisances.checks])
        conditions, owner = self.nuisances.conditions(points)
        varied = [torch.cat([x_hard, row.to(x_hard).expand(len(x_hard), -1)], -1) for row in conditions]
        ratio = torch.stack([self._ratio(x_reco, condition, log_q) for condition in varied], -1)[..., owner]
        values = ratio[..., None] * self.nuisances.components(x_hard, s, points)
        monomials = values.new_tensor(self.nuisances.transform) @ values[..., :nodes, :]
        return torch.cat([monomials, values[..., nodes:, :]], -2).flatten(-2)

    def _ratio(self, x_reco: Tensor, condition: Tensor, log_q: Tensor) -> Tensor:
        """ε p(x_reco | x_hard) / q in all replicas, [R, ...]; the ``condition`` is x_hard and the ν of the detector."""
        log_p = self.transfer("log_prob", x_reco, condition)
        return self.acceptance("probability", condition) * torch.exp(log_p - log_q)
