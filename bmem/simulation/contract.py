"""What a response must offer: it turns hard events into reconstructed ones, before any selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from bmem.errors import BmemWarning
from bmem.events.record import HardEvents, RecoEvents


@runtime_checkable
class Response(Protocol):
    """p(x_reco | x_hard) as something to draw from.

    It must not depend on θ, must pickle (to run in several processes), and its ``repr`` must name all its settings, as a
    dataclass's does (an interrupted simulation goes on only with the response that began it). One that takes a second for
    some hundred events says ``slow = True``: its events are kept in blocks and computed in several processes.
    """

    def __call__(self, hard: HardEvents, rng: torch.Generator) -> RecoEvents:
        """Return one reconstructed event for each hard event, in the same order, all objects, before selection."""
        ...


def is_slow(response: Response) -> bool:
    """Whether a response says that it is ``slow``."""
    return bool(getattr(response, "slow", False))


@dataclass(frozen=True)
class SimulatedEvents(RecoEvents):
    """Reconstructed events of which some may have ``failed`` [N]: those are empty and must not count as accepted."""

    failed: Tensor


class FailedEventsWarning(BmemWarning):
    """Some events could not be simulated; they are counted as not accepted."""
