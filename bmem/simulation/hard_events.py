"""Hard events of a process under a name: the name and the seed alone decide their random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from bmem.events.record import HardEvents
from bmem.process.contract import Process
from bmem.rng import generator, uniform


def uniform_events(process: Process, n: int, seed: int, name: str) -> HardEvents:
    """``n`` events, each at parameters drawn uniformly over their ranges: to train on, and to draw toys from."""
    rng = generator(seed, name, "theta")
    low, high = torch.tensor([p.bounds for p in process.parameters], dtype=torch.float64, device=rng.device).T
    share = uniform((n, len(low)), rng, low)
    return process.sample(n, (high - low) * share + low, generator(seed, name, "hard"))


def events_at(process: Process, n: int, theta: Sequence[float], seed: int, name: str) -> HardEvents:
    """``n`` events of one truth ``theta`` [P], in stored units."""
    rng = generator(seed, "sample", name)
    return process.sample(n, torch.tensor(theta, dtype=torch.float64, device=rng.device), rng)


def with_drawn_nuisances(hard: HardEvents, widths: Mapping[str, float], seed: int, name: str) -> HardEvents:
    """The same with nuisance parameters, each uniform within its width on both sides of 0: to train on."""
    drawn = {}
    for nuisance, width in widths.items():
        share = uniform((len(hard),), generator(seed, name, "nuisance", nuisance), hard.x)
        drawn[nuisance] = width * (2 * share - 1)
    return replace(hard, nuisances=drawn)


def with_nuisances_at(hard: HardEvents, values: Mapping[str, float]) -> HardEvents:
    """The same with nuisance parameters of the same values in every event."""
    return replace(hard, nuisances={name: torch.full_like(hard.x[:, 0], value) for name, value in values.items()})
