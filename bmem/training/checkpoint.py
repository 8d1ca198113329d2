"""The state of an interrupted training in one safetensors file: weights, optimiser and history; never pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bmem.artifacts import atomic_path
from bmem.errors import ArtifactError, TrainingError
from bmem.training.settings import History, TrainingSettings

_FORMAT = 1


def identity(module: nn.Module, settings: TrainingSettings, data: tuple[Tensor, ...], seed: int) -> dict[str, Any]:
    """What must agree for a training to be continued: network, settings, data and seed, JSON-able."""
    digest = hashlib.sha256()
    for tensor in data:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return {
        "format": _FORMAT,
        "network": {name: [str(value.dtype), *value.shape] for name, value in module.state_dict().items()},
        "description": module.extra_repr(),
        "settings": asdict(settings),
        "data": digest.hexdigest(),
        "seed": seed,
    }


def save(path: Path, own: dict[str, Any], tensors: dict[str, dict[str, Tensor]], history: History) -> None:
    """Write groups of named tensors with the identity ``own`` and the history, atomically.

    Raises:
        ArtifactError: the file cannot be written.
    """
    flat = {f"{group}/{name}": t.detach().contiguous() for group, named in tensors.items() for name, t in named.items()}
    metadata = {"identity": json.dumps(own), "history": json.dumps(asdict(history))}
    with atomic_path(path) as temporary:
        # Tied weights would share memory, which safetensors refuses.
        save_file({name: tensor.clone() for name, tensor in flat.items()}, temporary, metadata=metadata)


def load(path: Path, own: dict[str, Any]) -> tuple[dict[str, dict[str, Tensor]], History]:
    """Read what ``save`` wrote.

    Raises:
        ArtifactError: the file is damaged or not a checkpoint.
        TrainingError: it belongs to another network, other settings, data or seed.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            flat = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
        theirs, history = json.loads(metadata["identity"]), History(**json.loads(metadata["history"]))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: not a readable checkpoint ({error}); delete it to train from the start") from error
    differing = [key for key in own if theirs.get(key) != json.loads(json.dumps(own[key]))]
    if differing:
        details = ", ".join(_difference(key, own[key], theirs.get(key)) for key in differing)
        raise TrainingError(f"{path}: a checkpoint of another training ({details}); delete it or choose another folder")
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        group, rest = name.split("/", 1)
        groups.setdefault(group, {})[rest] = tensor
    return groups, history


def _difference(key: str, mine: Any, theirs: Any) -> str:
    if key == "data":
        return "other data"
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return f"{key}: here {mine}, there {theirs}"
    names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    shown = "; ".join(f"{name}: here {mine.get(name)}, there {theirs.get(name)}" for name in names[:3])
    return f"{key} {shown}" + ("; ..." if len(names) > 3 else "")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of the optimiser as named tensors, "number of the parameter.name"."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
