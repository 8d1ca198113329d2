"""Hard events of a process under a name: the name and the seed alone decide their random numbers."""

from __future__ import annotations

from collections.abc import Sequence

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
