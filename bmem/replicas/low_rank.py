"""Gaussian posterior with correlations of low rank over the weights of any module, by variational inference with Pyro."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyro
import torch
from pyro.distributions import LowRankMultivariateNormal, Normal
from pyro.infer.autoguide import AutoLowRankMultivariateNormal, init_to_value
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.replicas.trust import warn_if_far, warn_if_not_flat, warn_if_wide
from bmem.replicas.weights import Layers, LogPosterior, Loss, call, flatten, random_weights, replicas, unflatten
from bmem.rng import derive_seed, generator, normal
from bmem.training.loop import BatchLoss, Progress, train
from bmem.training.rows import split
from bmem.training.settings import History, TrainingSettings

_SITE = "weights"


@contextmanager
def isolated(seed: int, device: torch.device) -> Iterator[None]:
    """Pyro as this package wants it: parameters stay in their modules, and its global random numbers come from ``seed``."""
    with (
        pyro.settings.context(module_local_params=True),
        torch.random.fork_rng([device] if device.type == "cuda" else []),
    ):
        torch.manual_seed(seed)
        yield


class LowRankLoss(nn.Module):
    """The negative ELBO per row of a module whose weights are one vector with a multivariate Gaussian.

    Args:
        loss: the module and its objective, a mean of -log p(row | weights).
        weights: the module's own parameters that are random.
        settings: of the posterior.
        rows: size of the training set.
        seed: of the draws; in a training step the number of the step goes in too, in evaluations it is always the same.
    """

    steps: Tensor

    def __init__(self, loss: Loss, weights: dict[str, nn.Parameter], settings: LowRank, rows: int, seed: int) -> None:
        super().__init__()
        self.loss, self.settings, self.rows, self.seed = loss, settings, rows, seed
        self.like = {name: value.detach().clone() for name, value in weights.items()}
        self.register_buffer("steps", torch.zeros((), dtype=torch.long, device=next(iter(self.like.values())).device))
        start = init_to_value(values={_SITE: flatten(self.like)})
        scale, rank = float(settings.initial_scale), settings.rank
        with pyro.settings.context(module_local_params=True):
            self.guide = AutoLowRankMultivariateNormal(self.model, init_loc_fn=start, init_scale=scale, rank=rank)

    def extra_repr(self) -> str:
        return repr(self.settings)

    def model(self, batch: tuple[Tensor, ...]) -> None:
        """The program of Pyro: draw all weights from the prior, weigh them with the likelihood of the training set."""
        start = flatten(self.like)
        prior = Normal(torch.zeros_like(start), self.settings.prior_scale).to_event(1)
        weights = unflatten(pyro.sample(_SITE, prior), self.like)
        pyro.factor("rows", -self.rows * self.loss.at(weights, batch))

    def prepare(self, batch: tuple[Tensor, ...]) -> None:
        """Let the guide see the model once, which makes its parameters."""
        self.eval()
        with isolated(derive_seed(self.seed, "low rank", "prepare"), self.steps.device), torch.no_grad():
            self.guide(batch)

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Minus the ELBO per row from one draw of the weights.

        The density of the draw is taken with parameters held fixed, which leaves the expectation of the gradient as it is
        and makes its noise vanish where the posterior is reached (Roeder, Wu, Duvenaud, arXiv:1703.09194).
        """
        if self.training:
            self.steps += 1
        step = int(self.steps) if self.training else "held out"
        with isolated(derive_seed(self.seed, "low rank", step), self.steps.device):
            posterior = self.guide.get_posterior()
            vector = posterior.rsample()
        fixed = LowRankMultivariateNormal(*(v.detach() for v in (posterior.loc, posterior.cov_factor, posterior.cov_diag)))
        prior = Normal(torch.zeros_like(vector), self.settings.prior_scale).to_event(1)
        likelihood = self.loss.at(unflatten(vector, self.like), batch)
        return likelihood + (fixed.log_prob(vector) - prior.log_prob(vector)) / self.rows

    def posterior(self) -> LowRankMultivariateNormal:
        """The multivariate Gaussian over the vector of weights."""
        with pyro.settings.context(module_local_params=True), torch.no_grad():
            return self.guide.get_posterior()


@dataclass
class LowRank:
    """A Gaussian with a covariance of diagonal plus low rank: the strongest correlations of the weights, unlike mean field.

    Start from a point estimate: from far away the optimiser learns the means, and hardly the correlations. One draw of the
    weights serves a whole batch, so its gradients are noisier than those of mean field.

    Attributes:
        rank: of the correlated part.
        prior_scale: standard deviation of the Gaussian prior of every weight.
        initial_scale: width of every weight at the beginning.
        layers: names of the parts or parameters that are random, ``"last"`` for the ``last_layer`` of the network; the
            others are left as they are. Default: all that require gradients.
    """

    rank: int = 8
    prior_scale: float = 1.0
    initial_scale: float = 0.01
    layers: Layers | None = None
    network: LowRankLoss | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("rank", "prior_scale", "initial_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"LowRank.{name} must be positive, not {getattr(self, name)}")

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
        """Maximise the ELBO from the weights the module has; ``module`` ends with the posterior means.

        All epochs are run and the last weights kept; the losses in the history are negative ELBOs per row. The objective
        must be a mean over rows of -log p(row | weights).

        Warns:
            TrustWarning: the ELBO is not flat at the end, widths run away, or (up to 1000 weights) the posterior is far.

        Raises:
            InputError: a name in ``layers`` that there is not, or a weight decay.
            TrainingError: as ``bmem.training.train`` does.
        """
        if settings.weight_decay:
            raise InputError("a posterior has a prior in the place of weight_decay; set it to 0 and choose prior_scale")
        weights = random_weights(module, self.layers)
        rows = settings.training_rows(len(data[0]))
        network = LowRankLoss(Loss(module, objective), weights, self, rows, seed)
        network.prepare(tuple(tensor[: settings.batch_size] for tensor in data))
        history = train(network, call, data, settings, seed, checkpoint=checkpoint, progress=progress, early_stopping=False)
        self.network = network
        posterior = network.posterior()
        for name, mean in unflatten(posterior.mean, network.like).items():
            weights[name].data.copy_(mean)
        warn_if_not_flat(history, rows, len(posterior.mean))
        warn_if_wide(unflatten(posterior.stddev, network.like), dict.fromkeys(weights, self.prior_scale))
        prior = Normal(torch.zeros_like(posterior.mean), self.prior_scale).to_event(1)
        target = LogPosterior(network.loss, network.like, prior, split(data, settings, seed)[0])
        warn_if_far(target, posterior, generator(seed, "low rank", "pareto k"))
        return history

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """Draw ``n`` networks.

        Raises:
            InputError: not fitted yet.
        """
        if self.network is None:
            raise InputError("a low-rank posterior must be fitted before it is sampled")
        posterior = self.network.posterior()
        size, rank = posterior.cov_factor.shape
        noise = normal((n, size + rank), rng, posterior.loc)
        own, shared = noise.split((size, rank), dim=1)
        vectors = posterior.loc + own * posterior.cov_diag.sqrt() + shared @ posterior.cov_factor.mT
        return replicas(self.network.loss.module, unflatten(vectors, self.network.like), n)
