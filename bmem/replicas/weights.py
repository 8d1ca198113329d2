"""The weights of a module that are random, by name, and the module's loss as a function of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.training.loop import BatchLoss
from bmem.training.network import last_layer

Layers = tuple[str, ...] | Literal["last"]
"""Names of parts or parameters of a network, or its last layer."""


def random_weights(module: nn.Module, layers: Layers | None = None) -> dict[str, nn.Parameter]:
    """The trainable parameters of the parts (or parameters) called ``layers``, by name; by default all there are.

    Raises:
        InputError: a name that no trainable parameter has, or a network that tells no last layer.
    """
    trainable = {name: value for name, value in module.named_parameters() if value.requires_grad}
    if layers is None:
        return trainable
    kind, names = type(module).__name__, last_layer(module) if layers == "last" else layers
    if not names:
        raise InputError(f"a {kind} tells no last layer; name the layers, out of {[*trainable]}")
    unknown = [layer for layer in names if not any(_belongs(name, layer) for name in trainable)]
    if unknown:
        raise InputError(f"no trainable weights called {unknown} in a {kind}; it has {[*trainable]}")
    return {name: value for name, value in trainable.items() if any(_belongs(name, layer) for layer in names)}


def _belongs(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def flatten(weights: Mapping[str, Tensor]) -> Tensor:
    """One vector [W] of all weights, in their order."""
    return torch.cat([value.reshape(-1) for value in weights.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut vectors [..., W] into tensors [..., *shape] of the names and shapes of ``like``."""
    parts = vector.split([value.numel() for value in like.values()], dim=-1)
    return {
        name: part.reshape(*vector.shape[:-1], *value.shape) for (name, value), part in zip(like.items(), parts, strict=True)
    }


class Loss(nn.Module):
    """The objective of a module as a function of some of its weights.

    Args:
        module: the network.
        objective: mean loss over a batch; for a posterior over weights it must be a mean of -log p(row | weights).
    """

    def __init__(self, module: nn.Module, objective: BatchLoss) -> None:
        super().__init__()
        self.module = module
        self.objective = objective

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean loss of the module as it is."""
        return self.objective(self.module, batch)

    def at(self, weights: Mapping[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
        """Mean loss with ``weights``, by their names in the module, in the place of its own."""
        return functional_call(self, {f"module.{name}": value for name, value in weights.items()}, (batch,))


@dataclass(frozen=True)
class LogPosterior:
    """log p(rows | weights) / temperature + log p(weights), up to a constant, of a vector of weights [W].

    Attributes:
        loss: mean of -log p(row | weights).
        like: the random weights, by name.
        prior: over the vector.
        rows: of the training set.
        temperature: below 1 for a posterior that trusts the rows more than Bayes' theorem does.
    """

    loss: Loss
    like: Mapping[str, Tensor]
    prior: Distribution
    rows: tuple[Tensor, ...]
    temperature: float = 1.0

    def __call__(self, vector: Tensor) -> Tensor:
        dtype = next(iter(self.like.values())).dtype
        mean = self.loss.at(unflatten(vector.to(dtype), self.like), self.rows)
        return self.prior.log_prob(vector) - len(self.rows[0]) / self.temperature * mean


class PenalisedLoss(nn.Module):
    """Mean of -log p(row | weights) - log prior(weights) / rows, up to a constant."""

    def __init__(self, loss: Loss, weights: dict[str, nn.Parameter], prior_scale: float, rows: int) -> None:
        super().__init__()
        self.loss, self.prior_scale, self.rows = loss, prior_scale, rows
        self.random = tuple(weights.values())

    def extra_repr(self) -> str:
        return f"prior_scale={self.prior_scale}"

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        square = torch.stack([value.square().sum() for value in self.random]).sum()
        return self.loss(batch) + square / (2 * self.prior_scale**2 * self.rows)


def call(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """The objective of a module that computes its own loss."""
    return module(batch)


def replicas(module: nn.Module, drawn: Mapping[str, Tensor], n: int) -> Replicas:
    """``n`` networks with the weights ``drawn`` [n, ...]; all others, and the buffers, are those of ``module``."""
    parameters = dict(module.named_parameters())
    # By identity, because weights that are reached by two names are in the state dict twice.
    by_identity = {id(parameters[name]): value.detach() for name, value in drawn.items()}
    stacked = {
        name: by_identity[id(value)].clone() if id(value) in by_identity else value.detach().expand(n, *value.shape).clone()
        for name, value in module.state_dict(keep_vars=True).items()
    }
    return Replicas(module, stacked)
