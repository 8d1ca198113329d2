"""What a response must offer: it turns hard events into reconstructed ones, before any selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from bmem.errors import BmemWarning
from bmem.events.record import HardEvents, RecoEvents
from bmem.process.phase_space import PhaseSpace

THJ_PHASE_SPACE = PhaseSpace(sqrt_s=13_000.0, mt=172.5, mh=125.0)
"""Where the hard events of tHj live unless said otherwise."""


@runtime_checkable
class Response(Protocol):
    """p(x_reco | x_hard) as something to draw from.

    It must not depend on θ, must pickle (to run in several processes), and its ``repr`` must name all its settings, as a
    dataclass's does (an interrupted simulation goes on only with the response that began it).
    """

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        """Return one reconstructed event for each hard event, in the same order, all objects, before selection."""
        ...


@dataclass(frozen=True)
class SimulatedEvents(RecoEvents):
    """Reconstructed events of which some may have ``failed`` [N]: those are empty and must not count as accepted."""

    failed: Tensor


class FailedEventsWarning(BmemWarning):
    """Some events could not be simulated; they are counted as not accepted."""
