"""What a proposal is trained on: pairs drawn from the learned densities, which are what it has to sample.

Simulated pairs are few, and they follow the true response, not the learned one. But pairs (x_hard, x_reco) with x_hard
among the accepted hard events and x_reco drawn from the learned transfer density have, given x_reco, exactly the density of
the integrand: Σ_k c_k s_k(x) ε(x) p(x_reco | x) up to a constant, where c is the mixture over the parameters that the hard
events follow. To maximise the likelihood of such pairs minimises the forward Kullback-Leibler divergence of the integrand
from the proposal with weights that are all equal, and pairs cost only a call of a network, so that none is used twice (the
sleep phase of Hinton et al., Science 268 (1995) 1158; neural posterior estimation, Papamakarios and Murray,
arXiv:1605.06376). The integral is exact for any proposal; only its error falls.

One proposal serves every θ. The mixture c is the one whose divergence from the density at the worst θ is smallest: the
prior that achieves the capacity of the channel from θ to x_hard (Gallager's redundancy-capacity theorem; the iteration is
that of Blahut, IEEE Trans. Inf. Theory 18 (1972) 460, and Arimoto, ibid. 14).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from bmem.devices import rows_at_once
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.networks.contract import ConditionalDensity
from bmem.process.contract import Process
from bmem.replicas.contract import Replicas
from bmem.rng import uniform

_CHUNK = 4096
"""Points drawn at once: what the network computes stays in the processor's cache."""
_ROUNDS = 200
_ROWS = 20_000
"""Hard events that are enough to find the mixture."""


@dataclass(frozen=True)
class LearnedPairs:
    """Pairs x_hard [n, D], x_reco [n, D_reco] without end; every replica of ``transfer`` responds to its share of them.

    Of the accepted hard events ``x_hard`` [N, D] each is drawn in proportion to its ``weight`` [N]; ``conditions`` [N, C] is
    what the transfer is conditioned on, x_hard and after it nuisance parameters, if there are any.
    """

    transfer: Replicas
    x_hard: Tensor
    weight: Tensor
    conditions: Tensor | None = None

    @classmethod
    def balanced(
        cls, process: Process, transfer: Replicas, x_hard: Tensor, conditions: Tensor | None = None
    ) -> LearnedPairs:
        """For hard events that were made uniform in θ: weighted so that the worst θ is served as well as can be."""
        return cls(transfer, x_hard, balancing_weights(process, x_hard), conditions)

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """``n`` fresh pairs, as a ``bmem.training.Supply`` wants them."""
        cumulative = self.weight.cumsum(0)
        position = uniform((n,), rng, cumulative) * cumulative[-1]
        chosen = torch.searchsorted(cumulative, position, right=True).clamp(max=len(cumulative) - 1)
        drawn = (self.x_hard if self.conditions is None else self.conditions)[chosen]
        replicas = [self.transfer.replica(r) for r in range(len(self.transfer))]
        with torch.no_grad():
            x_reco = [
                replica("from_noise", _noise(replica, chunk, rng), chunk)[0][0]
                for replica, share in zip(replicas, drawn.tensor_split(len(replicas)), strict=True)
                for chunk in share.split(rows_at_once(_CHUNK, share.device))
            ]
        return self.x_hard[chosen], torch.cat(x_reco)


def balancing_weights(process: Process, x_hard: Tensor) -> Tensor:
    """Weights [N] that turn accepted hard events [N, D], made uniform in θ, into those of the mixture for the worst θ."""
    components = process.components(x_hard)
    basis = process.basis(mixture_grid(process)).to(components)
    mixture = mixture_coefficients(process).to(components)
    relative = components / (components @ mixture)[:, None]  # s_k over the density of the events
    densities = relative[:_ROWS] @ basis.T
    scale = densities.mean(0)
    prior = capacity_prior(densities / scale)
    return (relative @ (basis.T @ (prior / scale))).clamp(min=0)


def capacity_prior(densities: Tensor) -> Tensor:
    """Prior [A] over A hypotheses whose mixture has the smallest largest divergence from one of them.

    ``densities`` [N, A] are those of the hypotheses at N points, over the density of the points, each of mean 1.
    """
    prior = densities.new_full(densities.shape[1:], 1 / densities.shape[1])
    for _ in range(_ROUNDS):
        mixture = densities @ prior
        divergence = torch.xlogy(densities, densities / mixture[:, None]).mean(0)
        prior = prior * torch.exp(divergence)
        prior /= prior.sum()
    return prior


def _noise(replica: Replicas, condition: Tensor, rng: torch.Generator) -> Tensor:
    module = cast(ConditionalDensity, replica.module)
    return uniform((len(condition), module.noise_dim), rng, condition)
