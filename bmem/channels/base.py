"""What is the same for most channels: no cuts, no backgrounds, no further bases, observables in the space of x_hard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmem.channels.contract import Background
from bmem.channels.section import plain_settings
from bmem.errors import InputError
from bmem.events.lhe_content import LHEContent
from bmem.events.record import Objects, RecoEvents
from bmem.inference.rate import RateFactor
from bmem.likelihood.coordinates import Difference, Residuals
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process.contract import Parameter, Process
from bmem.quantity import Quantity
from bmem.simulation.contract import Response

OBSERVED = "observed"
"""The collection of vectors of observables."""


@dataclass(frozen=True)
class NoSettings:
    """A channel without anything to choose."""


@dataclass(frozen=True)
class WhatWasSeen:
    """The selection of every event in which something was seen."""

    def accept(self, reco: RecoEvents) -> Tensor:
        """Whether an event has an object, [N] bool."""
        return torch.stack([objects.mask.any(1) for objects in reco.collections.values()]).any(0)

    def keep_objects(self, reco: RecoEvents) -> RecoEvents:
        """All of them."""
        return reco


def as_events(x: Tensor, quantities: tuple[Quantity, ...], seen: Tensor | None = None) -> RecoEvents:
    """Vectors of observables ``x`` [N, D] as events with one object, where they were ``seen`` [N] (all, by default).

    So files, selections and everything else that takes events takes them too; ``as_vector`` is the way back.
    """
    mask = torch.ones_like(x[:, :1], dtype=torch.bool) if seen is None else seen[:, None]
    features = torch.where(mask[..., None], x[:, None, :].double(), 0.0)
    return RecoEvents({OBSERVED: Objects(features, mask, tuple(q.name for q in quantities))})


def as_vector(reco: RecoEvents, quantities: tuple[Quantity, ...]) -> Tensor:
    """The observables [N, D] of events that ``as_events`` made.

    Raises:
        InputError: they are others, or an event has none.
    """
    objects = reco.collections.get(OBSERVED)
    if objects is None or set(objects.names) != {q.name for q in quantities}:
        raise InputError(f"the events do not have the observables {', '.join(q.name for q in quantities)}")
    if not objects.mask.shape[1] or not objects.mask[:, 0].all():
        raise InputError("an event has no observables; apply the selection first")
    return torch.stack([objects.feature(q.name)[:, 0] for q in quantities], -1).double()


class BaseChannel:
    """A channel whose observation is a vector; it gives ``title``, ``process``, ``response`` and ``observables``.

    ``observables`` are taken for ``hard_quantities`` too, and residuals are plain differences. All else can be replaced.
    """

    Settings: ClassVar[type] = NoSettings
    title: str
    process: Process
    response: Response
    observables: tuple[Quantity, ...]
    lhe: LHEContent | None = None
    selection = WhatWasSeen()
    backgrounds: Mapping[str, Background] = {}
    bases: Mapping[str, PolynomialBasis] = {}
    rate: Mapping[str, RateFactor] = {}

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.process.parameters

    @property
    def hard_quantities(self) -> tuple[Quantity, ...]:
        return self.observables

    @cached_property
    def transfer(self) -> Residuals:
        return Difference(len(self.observables))

    @cached_property
    def proposal(self) -> Residuals:
        return Difference(len(self.hard_quantities))

    @cached_property
    def unconditional(self) -> Residuals | None:
        return None

    @property
    def provenance(self) -> Mapping[str, Any]:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return {"process": {"name": name, **plain_settings(self.settings)}, "selection": {}}

    def observe(self, reco: RecoEvents) -> Tensor:
        """The observables [N, D] (float64) of accepted events."""
        return as_vector(reco, self.observables)
