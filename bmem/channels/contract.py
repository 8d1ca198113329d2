"""What bmem has to be told of an application: its channel, from the process to the names that people read.

A channel is made of its ``Settings``, the section ``[channel]`` of a configuration. A user's own is an object that the
configuration names, ``"package.module:object"``; nothing else in bmem changes for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from bmem.events.record import RecoEvents
from bmem.inference.rate import RateFactor
from bmem.likelihood.coordinates import Residuals
from bmem.process.contract import Process
from bmem.quantity import Quantity
from bmem.simulation.contract import Response
from bmem.simulation.simulate import Cuts


class Background(Protocol):
    """A density of observations that is stated, not learned."""

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` observations [n, D] (float64)."""
        ...

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) at observations [..., D] → [...]; -inf where no event can be."""
        ...


@runtime_checkable
class Channel(Protocol):
    """One application: all that bmem has to be told of it.

    Attributes:
        Settings: class of the settings of which the channel is made, all with defaults.
        title: the process in one line, for people.
        process: parameters, basis, components, events, cross section.
        response: from hard events to reconstructed ones, before any selection.
        selection: which of them are accepted, and which of their objects are kept.
        transfer: coordinates of an observation given x_hard; every factor of the Jacobian and the symmetries are theirs.
        proposal: coordinates of x_hard given an observation.
        unconditional: coordinates of an observation given nothing, for densities of backgrounds learned from events.
        observables: the D numbers of an observation, in order.
        hard_quantities: the coordinates of x_hard, in order.
        backgrounds: stated densities, by the name that ``[[background]] density`` gives.
        bases: further bases b_k(θ) for the same components (free couplings, say), by name.
        rate: factors of the number of events (a branching ratio that depends on θ), by the name of the basis, "process" for
            the process's own; a basis that is not named has none.
    """

    Settings: ClassVar[type]
    title: str
    process: Process
    response: Response
    selection: Cuts
    transfer: Residuals
    proposal: Residuals
    unconditional: Residuals | None
    observables: tuple[Quantity, ...]
    hard_quantities: tuple[Quantity, ...]
    backgrounds: Mapping[str, Background]
    bases: Mapping[str, Any]
    rate: Mapping[str, RateFactor]

    def observe(self, reco: RecoEvents) -> Tensor:
        """What the networks read of accepted events: [N, D] (float64).

        Raises:
            InputError: an event lacks what the observables are made of.
        """
        ...
