"""NUTS for any differentiable log density of a few numbers; what the numbers mean is known further up.

Pyro's No-U-Turn sampler (Hoffman, Gelman, arXiv:1111.4246), one chain after the other, from given starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from pyro.infer import MCMC, NUTS
from torch import Tensor

from bmem.errors import InputError
from bmem.replicas.low_rank import isolated
from bmem.rng import derive_seed

_SITE = "z"


@dataclass(frozen=True)
class SamplerSettings:
    """``draws`` kept from each of the ``chains`` after ``warm_up`` steps that find its step size and metric."""

    chains: int = 4
    draws: int = 500
    warm_up: int = 300

    def __post_init__(self) -> None:
        for name, least in {"chains": 2, "draws": 4, "warm_up": 1}.items():
            if getattr(self, name) < least:
                raise InputError(f"SamplerSettings.{name} must be at least {least}, not {getattr(self, name)}")


def sample_nuts(
    log_density: Callable[[Tensor], Tensor], starts: Tensor, settings: SamplerSettings, seed: int
) -> tuple[Tensor, int]:
    """Draws [chains, draws, D] from ``log_density``, and how many of the steps diverged.

    Args:
        log_density: z [D] → scalar, differentiable, over all of R^D; it needs no normalisation.
        starts: where each chain begins [chains, D], in float64 for physics.
        settings: lengths of the chains.
        seed: of all chains.

    Raises:
        InputError: there are not as many starts as chains, or a start has no density.
    """
    if len(starts) != settings.chains:
        raise InputError(f"NUTS: {len(starts)} starts for {settings.chains} chains")
    if not all(bool(torch.isfinite(log_density(start))) for start in starts):
        raise InputError("NUTS: the density vanishes at a start; start where the likelihood and the prior are positive")
    draws, divergences = [], 0
    for number, start in enumerate(starts):
        with isolated(derive_seed(seed, "nuts", number), start.device):
            chain = MCMC(
                NUTS(potential_fn=lambda at: -log_density(at[_SITE])),
                num_samples=settings.draws,
                warmup_steps=settings.warm_up,
                initial_params={_SITE: start},
                disable_progbar=True,
            )
            chain.run()
        draws.append(chain.get_samples()[_SITE].detach())
        divergences += len(chain.diagnostics()["divergences"]["chain 0"])
    return torch.stack(draws), divergences
