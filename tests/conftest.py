"""Small random events with varying multiplicity."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch

from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, HardEvents, Objects, PairedEvents, RecoEvents
from bmem.rng import generator

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # there is a process for every core


def objects(n: int, most: int, names: tuple[str, ...], rng: torch.Generator) -> Objects:
    """``n`` lists of 0 to ``most`` plausible objects, ordered by pT."""
    mask = torch.arange(most) < torch.randint(0, most + 1, (n, 1), generator=rng)
    values = torch.rand(n, most, len(names), generator=rng, dtype=torch.float64)
    scale = {"pt": 200.0, "eta": 4.0, "phi": 3.0, "mass": 20.0}
    features = torch.stack([values[..., i] * scale.get(name, 1.0) for i, name in enumerate(names)], dim=-1)
    features[..., 0] = features[..., 0].sort(dim=1, descending=True).values + 1.0
    features[..., 3 if len(names) == 4 else 4] = (features[..., -1] > 0.5).double()
    return Objects(features * mask[..., None], mask, names)


def reco_events(n: int, seed: int = 1) -> RecoEvents:
    rng = generator(seed, "reco")
    return RecoEvents({"photons": objects(n, 3, PHOTON_FEATURES, rng), "jets": objects(n, 9, JET_FEATURES, rng)})


def hard_events(n: int, seed: int = 1) -> HardEvents:
    rng = generator(seed, "hard")
    x = torch.randn(n, 7, generator=rng, dtype=torch.float64)
    theta, weight = torch.rand(2, n, generator=rng, dtype=torch.float64)
    return HardEvents(x, theta[:, None], weight + 0.5, torch.randint(-6, 26, (n, 5), generator=rng))


@pytest.fixture
def pairs() -> Callable[[int], PairedEvents]:
    """Makes paired events of which about a third are accepted."""

    def make(n: int) -> PairedEvents:
        accepted = torch.rand(n, generator=generator(2, "accepted")) < 0.3
        return PairedEvents(hard_events(n), accepted, reco_events(int(accepted.sum())))

    return make


@pytest.fixture
def reco() -> RecoEvents:
    """50 observed events."""
    return reco_events(50)
