"""One trained network in a file, for networks without replicas such as the proposal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bmem.errors import ArtifactError
from bmem.replicas.contract import Replicas


def save_weights(
    path: Path, module: nn.Module, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
) -> None:
    """Write the weights of ``module`` as an artifact: replicas with R = 1.

    Raises:
        ArtifactError: it cannot be written.
    """
    Replicas.of(module).save(path, settings, parents)


def load_weights(path: Path, module: nn.Module) -> None:
    """Put the weights in the file into ``module``.

    Raises:
        ArtifactError: missing, damaged or foreign, of another architecture (the message names what differs), or of several
            replicas.
    """
    replicas = Replicas.load(path, module)
    if len(replicas) != 1:
        raise ArtifactError(f"{path}: holds {len(replicas)} replicas where one network is wanted; use Replicas.load")
    module.load_state_dict({name: value.squeeze(0) for name, value in replicas.weights.items()})
