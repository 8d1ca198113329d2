"""Hard events for the simulation tests: a smooth distribution over the phase space, and some of the matrix element."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bmem.channels.thj.lhe import ThjLHE
from bmem.channels.thj.response import THJ_PHASE_SPACE
from bmem.events.lhe import read_lhe
from bmem.events.record import HardEvents

DATA = Path(__file__).parent.parent / "data"


def make(n: int, seed: int = 1) -> HardEvents:
    """``n`` points with transverse momenta of some 80 GeV, a central top and Higgs, a forward jet; b u → t H d."""
    rng = torch.Generator().manual_seed(seed)
    g = torch.randn(n, 7, generator=rng, dtype=torch.float64)
    phi = 2 * torch.pi * torch.rand(n, 2, generator=rng, dtype=torch.float64) - torch.pi
    pt_h, pt_j = 90 * torch.exp(0.5 * g[:, 0]), 60 * torch.exp(0.5 * g[:, 1])
    x = torch.stack([pt_h, phi[:, 0], 0.8 * g[:, 2], pt_j, phi[:, 1], 1.5 * g[:, 3], 0.8 * g[:, 4]], dim=-1)
    pdg = torch.tensor([5, 2, 6, 25, 1]).repeat(n, 1)
    return HardEvents(x, torch.zeros(n, 1, dtype=torch.float64), torch.ones(n, dtype=torch.float64), pdg)


@pytest.fixture(scope="session")
def make_hard() -> Callable[..., HardEvents]:
    return make


@pytest.fixture(scope="session")
def real() -> HardEvents:
    """200 tHj events at α = 0 from MadGraph."""
    record = read_lhe(DATA / "thj_alpha0_200.lhe.gz", ThjLHE())
    x = THJ_PHASE_SPACE.from_momenta(record.momenta[:, 2:])[0]
    return HardEvents(x, torch.zeros(len(x), 1, dtype=torch.float64), record.weight, record.pdg)
