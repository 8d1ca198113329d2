"""The posterior of any number of parameters by NUTS: for θ of more than one parameter, and as a check of the grid.

Angles move freely and are wrapped afterwards, bounded parameters move on a logistic scale, so that no step ends at a wall. A
chain does not cross from one well separated minimum to another: there the grid, or the profile likelihood, is the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

from bmem.inference.minima import fit, wrap
from bmem.inference.objective import Objective
from bmem.process.contract import Parameter
from bmem.replicas.nuts_density import SamplerSettings, sample_nuts
from bmem.replicas.trust import warn_if_not_mixed

Array = NDArray[np.float64]
DEFAULT_CHAINS = SamplerSettings()
_INSIDE = 1e-3


@dataclass(frozen=True)
class JointPrior:
    """A prior density of all parameters: its ``description`` for the reader and its differentiable ``log_density``.

    θ [P] → scalar; it needs no normalisation.
    """

    description: str
    log_density: Callable[[Tensor], Tensor]


def _constant(theta: Tensor) -> Tensor:
    return torch.zeros((), dtype=theta.dtype)


FLAT_IN_ALL = JointPrior("flat in every parameter over its range", _constant)


@dataclass(frozen=True)
class Chains:
    """Draws of θ, ``samples`` [chains, draws, P], angles within one period, under the ``prior`` named in words.

    ``log_posterior`` [chains, draws] is unnormalised; ``divergences`` counts steps that failed.
    """

    parameters: tuple[Parameter, ...]
    samples: Array
    log_posterior: Array
    prior: str
    divergences: int


class _Value(torch.autograd.Function):
    """log L(θ) with the exact gradient of the objective, which is numpy."""

    @staticmethod
    def forward(ctx: FunctionCtx, theta: Tensor, objective: Objective) -> Tensor:
        ctx.gradient = torch.as_tensor(-objective.gradient(theta.numpy()) / 2)  # type: ignore[attr-defined]
        return torch.as_tensor(-objective.value(theta.numpy()) / 2)

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream * ctx.gradient, None  # type: ignore[attr-defined]


def draw_chains(
    objective: Objective, seed: int, prior: JointPrior = FLAT_IN_ALL, settings: SamplerSettings = DEFAULT_CHAINS
) -> Chains:
    """Draw θ from the posterior; every chain starts a little way off the best fit.

    Args:
        objective: the likelihood, with its exact gradient.
        seed: of the chains.
        prior: the prior.
        settings: number and length of the chains.

    Warns:
        TrustWarning: the chains disagree (R-hat), are too correlated, or had steps that diverged.

    Raises:
        InputError: the prior excludes the best fit.
    """
    parameters = objective.parameters

    def log_density(z: Tensor) -> Tensor:
        theta, log_jacobian = _to_theta(z, parameters)
        return _Value.apply(theta, objective) + prior.log_density(theta) + log_jacobian

    samples, divergences = sample_nuts(log_density, _starts(objective, settings, seed), settings, seed)
    theta = wrap(_to_theta(samples, parameters)[0].numpy(), parameters)
    warn_if_not_mixed(_features(theta, parameters), divergences)
    log_prior = [[float(prior.log_density(draw)) for draw in chain] for chain in torch.from_numpy(theta)]
    return Chains(parameters, theta, np.array(log_prior) - objective.value(theta) / 2, prior.description, divergences)


def _to_theta(z: Tensor, parameters: tuple[Parameter, ...]) -> tuple[Tensor, Tensor]:
    """θ [..., P] from unbounded z [..., P], with log |dθ/dz| [...]."""
    columns, log_jacobian = [], torch.zeros(z.shape[:-1], dtype=z.dtype)
    for free, p in zip(z.unbind(-1), parameters, strict=True):
        if p.period is not None:
            columns.append(free)
            continue
        low, high = p.bounds
        log_jacobian = log_jacobian + torch.nn.functional.logsigmoid(free) + torch.nn.functional.logsigmoid(-free)
        columns.append(low + (high - low) * torch.sigmoid(free))
    return torch.stack(columns, -1), log_jacobian


def _starts(objective: Objective, settings: SamplerSettings, seed: int) -> Tensor:
    """Points z [chains, P] within about a standard deviation of the best fit."""
    best, rng = fit(objective).best, np.random.default_rng(seed)
    ranges = np.array([p.bounds[1] - p.bounds[0] for p in objective.parameters])
    width = np.minimum(np.nan_to_num(best.error, nan=np.inf), 0.1 * ranges)
    theta = np.asarray(best.theta) + width * rng.standard_normal((settings.chains, len(ranges)))
    for i, p in enumerate(objective.parameters):
        if p.period is None:
            share = np.clip((theta[:, i] - p.bounds[0]) / ranges[i], _INSIDE, 1 - _INSIDE)
            theta[:, i] = np.log(share / (1 - share))
    return torch.as_tensor(theta)


def _features(theta: Array, parameters: tuple[Parameter, ...]) -> Array:
    """What chains are compared by [chains, draws, F]: an angle by its sine and cosine, which know no cut."""
    columns: list[Array] = []
    for i, p in enumerate(parameters):
        turns = theta[..., i] * (1 if p.period is None else 2 * np.pi / p.period)
        columns += [turns] if p.period is None else [np.cos(turns), np.sin(turns)]
    return np.stack(columns, -1)
