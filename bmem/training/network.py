"""What every network knows of itself, so that trainings and posteriors over weights work with any of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmem.errors import InputError


class Network(nn.Module):
    """A module that can be trained, started anew, and given a posterior over its weights.

    A new one always has the same weights, whatever the global generators have done before; its methods survive
    ``torch.func.vmap`` over the weights (no branch on values that depend on them, no change in place of a buffer).
    """

    def fit_features(self, inputs: Tensor) -> None:
        """Take the scales of the inputs [N, F] into buffers, the same ones from the same inputs; default: there are none."""

    def reset(self, rng: torch.Generator) -> None:
        """Draw first weights, and forget all else that a training has set; scales of the inputs stay.

        Args:
            rng: on the CPU, so that a seed means the same network on every device.

        Raises:
            InputError: a part has weights of its own and no way to draw them.
        """
        _reset_parts(self, rng)

    @property
    def last_layer(self) -> tuple[str, ...]:
        """Names of the parts or parameters that make the last layer: by default those of all networks inside."""
        return _last_layers(self)


def reset(module: nn.Module, rng: torch.Generator) -> None:
    """``Network.reset`` of a network, and the same for any other module."""
    module.reset(rng) if isinstance(module, Network) else _reset_parts(module, rng)


def last_layer(module: nn.Module) -> tuple[str, ...]:
    """``Network.last_layer`` of a network, and of the networks inside of any other module."""
    return module.last_layer if isinstance(module, Network) else _last_layers(module)


def _reset_parts(module: nn.Module, rng: torch.Generator) -> None:
    own = next(module.parameters(recurse=False), None)
    draw = getattr(module, "reset_parameters", None)  # what torch calls it, from the global generator
    if draw is not None:
        with torch.random.fork_rng([own.device] if own is not None and own.is_cuda else []):
            torch.manual_seed(int(torch.randint(1 << 62, (), generator=rng, device=rng.device)))
            draw()
    elif own is not None:
        raise InputError(f"a {type(module).__name__} has weights of its own and cannot start anew: give it reset(rng)")
    for part in module.children():
        reset(part, rng)


def _last_layers(module: nn.Module) -> tuple[str, ...]:
    return tuple(f"{name}.{layer}" for name, part in module.named_children() for layer in last_layer(part))
