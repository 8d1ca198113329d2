"""Laplace approximation: a Gaussian around a trained network, whose precision is the curvature of the posterior there.

MacKay, Neural Computation 4 (1992) 448; Ritter, Botev, Barber, ICLR 2018. No training of its own beyond the point estimate.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from pyro.distributions import MultivariateNormal, Normal
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import grad, hessian, vmap

from bmem.errors import InputError, TrustWarning
from bmem.replicas.contract import Replicas
from bmem.replicas.trust import warn_if_far
from bmem.replicas.weights import (
    Layers,
    LogPosterior,
    Loss,
    PenalisedLoss,
    call,
    flatten,
    random_weights,
    replicas,
    unflatten,
)
from bmem.rng import generator, normal
from bmem.training.loop import BatchLoss, Progress, train
from bmem.training.rows import split
from bmem.training.settings import History, TrainingSettings

_ROWS = 256
_LARGEST_FULL = 3000


@dataclass(frozen=True)
class _Gaussian:
    """N(mean, precision⁻¹) of weights [W] in float64; ``precision`` is its diagonal [W] or the whole matrix [W, W]."""

    module: nn.Module
    names: tuple[str, ...]
    mean: Tensor
    precision: Tensor

    def distribution(self) -> Distribution:
        """The same over vectors [W]."""
        if self.precision.ndim == 1:
            return Normal(self.mean, self.precision.rsqrt()).to_event(1)
        return MultivariateNormal(self.mean, precision_matrix=self.precision)

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """[n, W]."""
        noise = normal((n, len(self.mean)), rng, self.mean)
        if self.precision.ndim == 1:
            return self.mean + noise * self.precision.rsqrt()
        factor = torch.linalg.cholesky(self.precision)
        return self.mean + torch.linalg.solve_triangular(factor.mT, noise.mT, upper=True).mT


@dataclass
class Laplace:
    """A Gaussian fitted to the curvature at the weights with the highest posterior.

    ``diagonal`` takes the sum of squared gradients of the rows (the empirical Fisher information, right where the network
    describes the data) and scales to any network; ``full`` takes the exact Hessian of the weights in ``layers``, with their
    correlations: choose it for the last layer.

    Attributes:
        prior_scale: standard deviation of the Gaussian prior of every random weight.
        layers: names of the parts or parameters that are random, ``"last"`` for the ``last_layer`` of the network; the
            others are as in the point estimate. Default: all that require gradients.
        structure: of the precision.
    """

    prior_scale: float = 1.0
    layers: Layers | None = None
    structure: Literal["diagonal", "full"] = "diagonal"
    posterior: _Gaussian | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.prior_scale > 0:
            raise InputError(f"Laplace.prior_scale must be positive, not {self.prior_scale}")
        if self.structure not in ("diagonal", "full"):
            raise InputError(f"Laplace.structure must be 'diagonal' or 'full', not {self.structure!r}")

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
        """Train ``module`` to the highest posterior (no early stopping), then measure the curvature there over ``data``.

        The rows held out of the training count in the curvature as a share of the training rows only: the posterior is that
        of the training set. The objective must be a mean over rows of -log p(row | weights).

        Warns:
            TrustWarning: the curvature is not positive in every direction: the training has not reached a maximum; or (up to
                1000 weights) the posterior is far away.

        Raises:
            InputError: a name in ``layers`` that there is not, a weight decay, or too many weights for a full matrix.
            TrainingError: as ``bmem.training.train`` does.
        """
        if settings.weight_decay:
            raise InputError("a posterior has a prior in the place of weight_decay; set it to 0 and choose prior_scale")
        weights = random_weights(module, self.layers)
        count = sum(value.numel() for value in weights.values())
        if self.structure == "full" and count > _LARGEST_FULL:
            raise InputError(f"{count} weights are too many for a full matrix (at most {_LARGEST_FULL}); name fewer layers")
        rows = settings.training_rows(len(data[0]))
        loss = Loss(module, objective)
        network = PenalisedLoss(loss, weights, self.prior_scale, rows)
        history = train(network, call, data, settings, seed, checkpoint=checkpoint, progress=progress, early_stopping=False)
        mean = flatten(weights).detach().double()
        curvature = _fisher if self.structure == "diagonal" else _hessian
        information = rows * curvature(loss, weights, data).double()
        self.posterior = _Gaussian(module, tuple(weights), mean, _with_prior(information, self.prior_scale**-2))
        like = {name: value.detach() for name, value in weights.items()}
        prior = Normal(torch.zeros_like(mean), self.prior_scale).to_event(1)
        target = LogPosterior(loss, like, prior, split(data, settings, seed)[0])
        warn_if_far(target, self.posterior.distribution(), generator(seed, "laplace", "pareto k"))
        return history

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """Draw ``n`` networks.

        Raises:
            InputError: not fitted yet.
        """
        if self.posterior is None:
            raise InputError("a Laplace approximation must be fitted before it is sampled")
        parameters = dict(self.posterior.module.named_parameters())
        like = {name: parameters[name] for name in self.posterior.names}
        drawn = unflatten(self.posterior.draw(n, rng), like)
        return replicas(self.posterior.module, {name: value.to(like[name].dtype) for name, value in drawn.items()}, n)


def _fisher(loss: Loss, weights: dict[str, nn.Parameter], data: tuple[Tensor, ...]) -> Tensor:
    """Mean over rows of the squared gradients [W] of -log p(row)."""
    like = {name: value.detach() for name, value in weights.items()}

    def row_gradient(*row: Tensor) -> Tensor:
        return flatten(grad(loss.at)(like, tuple(value.unsqueeze(0) for value in row)))

    batches = zip(*(tensor.split(_ROWS) for tensor in data), strict=True)
    return torch.stack([vmap(row_gradient)(*batch).square().sum(dim=0) for batch in batches]).sum(dim=0) / len(data[0])


def _hessian(loss: Loss, weights: dict[str, nn.Parameter], data: tuple[Tensor, ...]) -> Tensor:
    """Second derivatives [W, W] of the mean loss."""
    like = {name: value.detach() for name, value in weights.items()}

    def at(vector: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        return loss.at(unflatten(vector, like), batch)

    batches = zip(*(tensor.split(_ROWS) for tensor in data), strict=True)
    total = torch.stack([hessian(at)(flatten(like), batch) * len(batch[0]) for batch in batches]).sum(dim=0) / len(data[0])
    return (total + total.mT) / 2


def _with_prior(information: Tensor, prior_precision: float) -> Tensor:
    """Add the precision of the prior; directions in which the posterior would not fall off get that of the prior alone."""
    if information.ndim == 1:
        return information + prior_precision
    values, vectors = torch.linalg.eigh(information)
    if values[0] < -1e-6 * values[-1]:
        warnings.warn(
            f"the curvature is negative in {int((values < 0).sum())} of {len(values)} directions, so the training has not "
            "reached a maximum of the posterior: use more epochs or fewer layers",
            TrustWarning,
            3,
        )
    return (vectors * (values.clamp_min(0) + prior_precision)) @ vectors.mT
