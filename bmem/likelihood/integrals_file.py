"""Finished blocks of integrals as files, until all of them are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.artifacts import Blocks, Form
from bmem.integration.importance import Block, EventIntegrals

KIND = "integration-block"


def integral_blocks(folder: Path, settings: Mapping[str, Any]) -> Blocks[EventIntegrals]:
    """Those in a ``folder`` that were made with these ``settings``: all that the integrals depend on."""
    return Blocks(folder, settings, Form(".npz", _write, _read), _name)


def _name(block: Block) -> str:
    return f"events-{block.start:08d}"


def _write(path: Path, integrals: EventIntegrals, settings: Mapping[str, Any]) -> artifacts.Header:
    arrays = {name: array for name, array in vars(integrals).items() if array is not None}
    return artifacts.write(path, KIND, lambda p: np.savez(p, **arrays), settings)


def _read(path: Path) -> EventIntegrals:
    artifacts.verify(path, KIND)
    with np.load(path, allow_pickle=False) as stored:
        return EventIntegrals(**{field.name: stored.get(field.name) for field in fields(EventIntegrals)})
