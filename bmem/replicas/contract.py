"""Contracts of the network uncertainty: a posterior over weights, and replicas drawn from it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bmem.devices import rows_at_once
from bmem.errors import InputError
from bmem.replicas.storage import load_weights, save_weights
from bmem.training.loop import BatchLoss, Progress
from bmem.training.settings import History, TrainingSettings

_ROWS_AT_ONCE = 4096
"""Rows times replicas evaluated at once: more of them do not fit into the processor's cache, fewer waste calls."""

_FEWEST_AT_ONCE = 8
"""Replicas below which a batched call gains nothing: so many rows keep the processor busy with one network."""


class _Method(nn.Module):
    """Gives any method of a module the name ``forward``, which is what ``functional_call`` calls."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *args: Any) -> Any:
        return getattr(self.module, self.method)(*args)


@dataclass(frozen=True)
class Replicas:
    """R networks of one architecture.

    Attributes:
        module: the architecture; its own weights are never used.
        weights: parameters and buffers by the names in the state dict, each stacked [R, ...], without gradients.
    """

    module: nn.Module
    weights: dict[str, Tensor]

    def __post_init__(self) -> None:
        expected = self.module.state_dict()
        name = type(self.module).__name__
        if not expected or self.weights.keys() != expected.keys():
            raise InputError(f"weights for a {name} lack or exceed {sorted(self.weights.keys() ^ expected.keys()) or 'all'}")
        counts = {len(value) for value in self.weights.values()}
        wrong = [key for key, value in self.weights.items() if value.shape[1:] != expected[key].shape]
        if wrong or len(counts) != 1:
            raise InputError(f"weights for a {name} are stacked [R, ...]; here R is {sorted(counts)}, other shapes: {wrong}")

    @classmethod
    def of(cls, *modules: nn.Module) -> Replicas:
        """Stack copies of the weights of modules of one architecture."""
        states = [module.state_dict() for module in modules]
        return cls(modules[0], {name: torch.stack([state[name].detach() for state in states]) for name in states[0]})

    def __len__(self) -> int:
        """The number R of networks."""
        return len(next(iter(self.weights.values())))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.weights.values())).device

    def to(self, device: torch.device | str) -> Replicas:
        """The same networks on a device; these stay where they are."""
        weights = {name: value.to(device) for name, value in self.weights.items()}
        return Replicas(copy.deepcopy(self.module).to(device), weights)

    def replica(self, r: int) -> Replicas:
        """One of the networks, with a replica axis of length 1."""
        return Replicas(self.module, {name: value[r : r + 1] for name, value in self.weights.items()})

    def __call__(self, method: str, *args: Tensor) -> Any:
        """Evaluate ``method`` of all R networks at the same arguments: every tensor it returns becomes [R, ...].

        ``replicas("log_prob", x, condition)`` is one batched call. A method that draws random numbers takes them as an
        argument (``from_noise``); one that needs gradients of the weights is not for replicas.
        """
        network = _Method(self.module, method)

        def single(weights: dict[str, Tensor]) -> Any:
            named = {f"module.{name}": value for name, value in weights.items()}
            return functional_call(network, named, args, tie_weights=False)

        weights = {name: self.weights[name] for name in _own_names(self.module) if name in self.weights}
        at_once = rows_at_once(_ROWS_AT_ONCE, self.device) // max(1, *(argument.shape[:-1].numel() for argument in args))
        if len(self) > 1 and at_once >= _FEWEST_AT_ONCE:
            return vmap(single, chunk_size=at_once)(weights)
        results = [single({name: value[r] for name, value in weights.items()}) for r in range(len(self))]
        return _stack(results)

    def save(self, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None) -> None:
        """Write the weights as an artifact (safetensors and header) with its provenance.

        Raises:
            ArtifactError: it cannot be written.
        """
        save_weights(path, self.module, self.weights, settings, parents)

    @classmethod
    def load(cls, path: Path, module: nn.Module) -> Replicas:
        """Read what ``save`` wrote, for a ``module`` of the same architecture.

        Raises:
            ArtifactError: missing, damaged or foreign, or of another architecture (the message names what differs).
        """
        return cls(module, load_weights(path, module))


def _stack(results: list[Any]) -> Any:
    """Stack what a method has returned of each network: a tensor, or a tuple of them."""
    if isinstance(results[0], Tensor):
        return torch.stack(results)
    return tuple(_stack(list(parts)) for parts in zip(*results, strict=True))


def _own_names(module: nn.Module) -> list[str]:
    """Names of parameters and buffers, one for each part: a part that is reached by two names is in the state dict twice.

    ``functional_call`` would leave the second of them behind in the module.
    """
    names = []
    for path, part in module.named_modules():
        own = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
        names += [f"{path}.{name}" if path else name for name, _ in own]
    return names


class WeightPosterior(Protocol):
    """A posterior over the weights of a network: first ``fit``, then ``sample``."""

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
        """Train on ``data``; the arguments are those of ``bmem.training.train``."""
        ...

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """Draw ``n`` networks."""
        ...
