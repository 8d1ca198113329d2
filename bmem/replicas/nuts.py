"""The posterior itself, by Hamiltonian Monte Carlo: the gold standard against which the approximations are held.

NUTS (Hoffman, Gelman, arXiv:1111.4246) in Pyro over all training rows at once: for networks of up to some hundred weights.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pyro.distributions import Normal
from pyro.infer import MCMC, NUTS
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.replicas.low_rank import isolated
from bmem.replicas.trust import warn_if_not_mixed
from bmem.replicas.weights import Layers, LogPosterior, Loss, flatten, random_weights, replicas, unflatten
from bmem.rng import derive_seed
from bmem.training.loop import BatchLoss, Progress, evaluate
from bmem.training.rows import split
from bmem.training.settings import History, TrainingSettings

_SITE = "weights"
_LARGEST = 2000


@dataclass
class Nuts:
    """Draws from the posterior by chains that start from the weights the module has, each a little way off.

    Attributes:
        prior_scale: standard deviation of the Gaussian prior of every weight.
        draws: kept from each chain.
        warm_up: steps of each chain in which its step size and its metric are found.
        chains: run one after the other; R-hat compares them.
        layers: names of the parts or parameters that are random, ``"last"`` for the ``last_layer`` of the network; the
            others are left as they are. Default: all that require gradients.
        samples: weights [chains, draws, W].
    """

    prior_scale: float = 1.0
    draws: int = 500
    warm_up: int = 500
    chains: int = 2
    layers: Layers | None = None
    samples: Tensor | None = field(default=None, init=False, repr=False)
    module: nn.Module | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.prior_scale > 0:
            raise InputError(f"Nuts.prior_scale must be positive, not {self.prior_scale}")
        for name, least in {"draws": 4, "warm_up": 1, "chains": 2}.items():
            if getattr(self, name) < least:
                raise InputError(f"Nuts.{name} must be at least {least}, not {getattr(self, name)}")

    def fit(
        self,
        module: nn.Module,
        objective: BatchLoss,
        data: tuple[Tensor, ...],
        settings: TrainingSettings,
        seed: int,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Draw from the posterior given the training rows; ``module`` ends with the mean of the weights.

        Of ``settings`` only the split into training and held-out rows matters. The history has one entry for each chain:
        the loss of its last weights. There are no checkpoints: chains are short or the network is too large.

        Warns:
            TrustWarning: the chains disagree (R-hat), are too correlated (effective size), or had steps that diverged.

        Raises:
            InputError: a name in ``layers`` that there is not, a weight decay, or too many weights.
        """
        if settings.weight_decay:
            raise InputError("a posterior has a prior in the place of weight_decay; set it to 0 and choose prior_scale")
        weights = random_weights(module, self.layers)
        like = {name: value.detach().clone() for name, value in weights.items()}
        start = flatten(like)
        if len(start) > _LARGEST:
            raise InputError(f"{len(start)} weights are too many for NUTS (at most {_LARGEST}); name fewer layers")
        rows, held_out = split(data, settings, seed)
        prior = Normal(torch.zeros_like(start), self.prior_scale).to_event(1)
        target = LogPosterior(Loss(module.eval(), objective), like, prior, rows)
        history, chains, divergences = History(), [], 0
        for chain in range(self.chains):
            begun = time.perf_counter()
            draws, lost = self._run(target, start, derive_seed(seed, "nuts", chain))
            chains.append(draws)
            divergences += lost
            self._set(weights, draws[-1])
            history.train_loss.append(evaluate(module, objective, rows, settings.batch_size))
            history.validation_loss.append(evaluate(module, objective, held_out, settings.batch_size))
            history.learning_rate.append(0.0)
            history.seconds.append(time.perf_counter() - begun)
            if progress:
                progress(chain + 1, self.chains)
        self.samples, self.module = torch.stack(chains), module
        self._set(weights, self.samples.mean(dim=(0, 1)))
        warn_if_not_mixed(self.samples.double().cpu().numpy(), divergences)
        return history

    def _run(self, target: LogPosterior, start: Tensor, seed: int) -> tuple[Tensor, int]:
        """Draws [draws, W] of one chain, and how many of its steps diverged."""
        with isolated(seed, start.device):
            away = start + 0.1 * self.prior_scale * torch.randn_like(start)
            chain = MCMC(
                NUTS(potential_fn=lambda at: -target(at[_SITE])),
                num_samples=self.draws,
                warmup_steps=self.warm_up,
                initial_params={_SITE: away},
                disable_progbar=True,
            )
            chain.run()
        return chain.get_samples()[_SITE].detach(), len(chain.diagnostics()["divergences"]["chain 0"])

    @staticmethod
    def _set(weights: dict[str, nn.Parameter], vector: Tensor) -> None:
        for name, value in unflatten(vector, weights).items():
            weights[name].data.copy_(value)

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """``n`` of the draws, without replacement.

        Raises:
            InputError: not fitted yet, or more networks asked for than there are draws.
        """
        if self.samples is None or self.module is None:
            raise InputError("NUTS must be fitted before it is sampled")
        every = self.samples.flatten(0, 1)
        if not 1 <= n <= len(every):
            raise InputError(f"{len(every)} draws cannot give {n} networks; raise Nuts.draws")
        chosen = every[torch.randperm(len(every), generator=rng, device=rng.device)[:n].to(every.device)]
        return replicas(self.module, unflatten(chosen, random_weights(self.module, self.layers)), n)
