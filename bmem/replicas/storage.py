"""Weights on disk: safetensors with a header that tells the architecture; never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bmem import artifacts
from bmem.errors import ArtifactError

KIND = "network"


def architecture(module: nn.Module) -> dict[str, Any]:
    """Settings that weights must agree with, JSON-able: classes and ``architecture()`` of a module and of all its parts."""
    found: dict[str, Any] = {"class": type(module).__name__}
    for path, part in module.named_modules():
        describe = getattr(part, "architecture", None)
        if describe is not None:
            found[f"{path}.class".lstrip(".")] = type(part).__name__
            found |= {f"{path}.{key}".lstrip("."): value for key, value in describe().items()}
    return found


def save_weights(
    path: Path,
    module: nn.Module,
    weights: Mapping[str, Tensor],
    settings: Mapping[str, Any] | None = None,
    parents: Mapping[str, Path] | None = None,
) -> artifacts.Header:
    """Write ``weights`` [R, ...] of ``module`` as an artifact of kind "network".

    Raises:
        ArtifactError: it cannot be written.
    """
    # Clones, because safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    return artifacts.write(
        path,
        KIND,
        lambda temporary: save_file(tensors, temporary),
        {**(settings or {}), "architecture": architecture(module)},
        parents,
    )


def load_weights(path: Path, module: nn.Module) -> dict[str, Tensor]:
    """Read weights [R, ...] for a ``module`` of the same architecture, on its device.

    Raises:
        ArtifactError: missing, damaged or foreign, or of another architecture (the message names what differs).
    """
    theirs, mine = artifacts.verify(path, KIND).settings.get("architecture", {}), architecture(module)
    differing = sorted(key for key in theirs.keys() | mine.keys() if theirs.get(key) != mine.get(key))
    if differing:
        details = ", ".join(f"{key}: {theirs.get(key)} there, {mine.get(key)} here" for key in differing)
        raise ArtifactError(f"{path}: weights of another network ({details}); use those settings or train again")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path}: not readable as safetensors ({error}); delete it and run again") from error
    expected = module.state_dict()
    wrong = [
        name
        for name in sorted(tensors.keys() | expected.keys())
        if name not in tensors or name not in expected or tensors[name].shape[1:] != expected[name].shape
    ]
    if wrong:
        raise ArtifactError(f"{path}: the tensors {wrong[:5]} do not fit a {type(module).__name__}; train again")
    return {name: tensors[name].to(expected[name].device) for name in expected}
