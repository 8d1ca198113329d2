"""A proposal refined on pairs drawn from the learned densities, which are what it has to sample.

Simulated pairs are few, and they follow the true response, not the learned one. But pairs (x_hard, x_reco) with x_hard
among the accepted hard events and x_reco drawn from the learned transfer density have, given x_reco, exactly the density of
the integrand: Σ_k c_k s_k(x) ε(x) p(x_reco | x) up to a constant, averaged over the parameters as the hard events are. To
maximise the likelihood of such pairs minimises the forward Kullback-Leibler divergence of the integrand from the proposal
with weights that are all equal, and pairs cost only a call of a network (the sleep phase of Hinton et al., Science 268
(1995) 1158; neural posterior estimation, Papamakarios and Murray, arXiv:1605.06376). The integral is exact for any
proposal; only its error falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.integration.importance import IntegrationSettings, integrate
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.networks.contract import ConditionalDensity
from bmem.replicas.contract import Replicas
from bmem.training.loop import Progress, fit
from bmem.training.settings import History, TrainingSettings

Array = NDArray[np.float64]

_POINTS = 512
_CHUNK = 4096
"""Points drawn at once: what the network computes stays in the processor's cache."""


@dataclass(frozen=True)
class Refinement:
    """What a refinement did: its ``history``, and the effective fractions [E] of held-out events ``before`` and ``after``.

    The proposal is what it was before where ``after`` has the smaller mean, which ``kept`` tells.
    """

    history: History
    before: Array
    after: Array

    @property
    def kept(self) -> bool:
        """Whether the refined proposal is the better one."""
        return bool(self.after.mean() > self.before.mean())


def learned_pairs(transfer: Replicas, x_hard: Tensor, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw ``n`` pairs x_hard [n, D], x_reco [n, D_reco]; every replica responds to its share of them.

    ``x_hard`` [N, D] are accepted hard events of the mixture over the parameters, of which some are drawn, again and again.
    """
    drawn = x_hard[torch.randint(len(x_hard), (n,), generator=rng)]
    replicas = [transfer.replica(r) for r in range(len(transfer))]
    with torch.no_grad():
        x_reco = [
            replica("from_noise", _noise(replica, chunk, rng), chunk)[0][0]
            for replica, share in zip(replicas, drawn.tensor_split(len(replicas)), strict=True)
            for chunk in share.split(_CHUNK)
        ]
    return drawn, torch.cat(x_reco)


def effective_fractions(integrand: Integrand, seed: int, points: int = _POINTS) -> Array:
    """Effective sample over the number of points for every event [E] of ``integrand``, in its first replica."""
    settings = IntegrationSettings(min_points=points, max_points=points)
    reference = mixture_coefficients(integrand.process)
    return integrate(integrand.replica(0), len(integrand.x_reco), reference, settings, seed).effective_fraction


def refine(
    proposal: ConditionalDensity,
    pairs: tuple[Tensor, Tensor],
    training: TrainingSettings,
    judge: Callable[[], Array],
    seed: int,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Refinement:
    """Train ``proposal`` in place on ``pairs`` of ``learned_pairs``; where that made it worse, give it its weights back.

    ``judge`` returns the effective fractions [E] of held-out events with the proposal as it is.

    Raises:
        TrainingError: as ``bmem.training.fit``.
    """
    earlier = {name: value.clone() for name, value in proposal.state_dict().items()}
    before = judge()
    history = fit(proposal, negative_log_likelihood, pairs, training, seed, checkpoint=checkpoint, progress=progress)
    result = Refinement(history, before, judge())
    if not result.kept:
        proposal.load_state_dict(earlier)
    return result


def negative_log_likelihood(density: torch.nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Mean of -log p(target | condition) over a batch (target, condition): the objective of every learned density."""
    return -density.log_prob(*batch).mean()  # type: ignore[operator]


def _noise(replica: Replicas, condition: Tensor, rng: torch.Generator) -> Tensor:
    module = cast(ConditionalDensity, replica.module)
    return torch.rand(len(condition), module.noise_dim, generator=rng, dtype=torch.float64)
