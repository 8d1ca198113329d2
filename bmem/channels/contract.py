"""What bmem has to be told of an application: its channel, from the process to the names that people read.

A channel is made of its ``Settings``, the section ``[channel]`` of a configuration. A user's own is an object that the
configuration names, ``"package.module:object"``; nothing else in bmem changes for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.events.lhe_content import LHEContent
from bmem.events.record import RecoEvents
from bmem.inference.rate import RateFactor
from bmem.likelihood.coordinates import Residuals
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process.contract import Process
from bmem.quantity import Parameter, Quantity
from bmem.simulation.contract import Response
from bmem.simulation.pairs import Cuts


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
        parameters: those of the process.
        lhe: what its hard events are in LHE files; None if it reads none.
        process: basis, components, events, cross section, momenta.
        response: from hard events to reconstructed ones, before any selection.
        selection: which of them are accepted, and which of their objects are kept.
        transfer: coordinates of an observation given x_hard; every factor of the Jacobian and the symmetries are theirs.
            Those of a set of objects tell how it is laid out in ``target`` (``bmem.events.target.Target``).
        proposal: coordinates of x_hard given an observation.
        unconditional: coordinates of an observation given nothing, for densities of backgrounds learned from events.
        observables: the D numbers of an observation, in order; of a set of objects what ``readable`` makes of it.
        hard_quantities: the coordinates of x_hard, in order.
        backgrounds: stated densities, by the name that ``[[background]] density`` gives.
        bases: further bases b_k(θ) for the same components (free couplings, say), by name.
        provenance: settings by which artifacts know what made them, as plain values: ``process`` what the integrals depend
            on, ``selection`` the cuts, and any other (of the response, say).
        rate: factors of the number of events (a branching ratio that depends on θ), by the name of the basis, "process" for
            the process's own; a basis that is not named has none.

    It may also have ``nuisances``, kinds of nuisance parameters by the name that ``[[nuisance]] kind`` gives
    (``bmem.channels.nuisances.NuisanceKind``), and where some are of the detector ``varied_response(kinds)``, the response
    that applies them; ``shown``, the names of the observables that reports draw and predict (all if it has not);
    ``display(reco, row)``, every ``DisplayObject`` of an event; ``conditions``, under which events are taken, in TeX with
    its dollars, for figures; ``acceptance``, coordinates whose features of x_hard the acceptance reads (``transfer`` if it
    has not); and ``readable(x)``, the ``observables`` [..., D] of observations, NaN where an event has not one (the
    observations themselves if it has not).
    """

    Settings: ClassVar[type]
    title: str
    parameters: tuple[Parameter, ...]
    lhe: LHEContent | None
    process: Process
    response: Response
    selection: Cuts
    transfer: Residuals
    proposal: Residuals
    unconditional: Residuals | None
    observables: tuple[Quantity, ...]
    hard_quantities: tuple[Quantity, ...]
    backgrounds: Mapping[str, Background]
    bases: Mapping[str, PolynomialBasis]
    provenance: Mapping[str, Any]
    rate: Mapping[str, RateFactor]

    def observe(self, reco: RecoEvents) -> Tensor:
        """What the networks read of accepted events: [N, width] (float64); the ``observables``, or a set of objects.

        Raises:
            InputError: an event lacks what the observables are made of.
        """
        ...


def lacking(channel: object) -> list[str]:
    """What of the contract an object does not offer, by name."""
    names = [*Channel.__annotations__, "observe"]
    missing = [name for name in names if not hasattr(channel, name)]
    if "process" not in missing:
        process = channel.process  # type: ignore[attr-defined]
        methods = ("basis", "components", "cross_section", "sample")
        missing += [f"process.{name}" for name in ("parameters", *methods) if not hasattr(process, name)]
    return missing


@dataclass(frozen=True)
class DisplayObject:
    """An object of an event as it is displayed: ``name`` and ``symbol`` (TeX), transverse momentum in GeV, η and φ.

    A ``radius`` makes it a cone, without it is a line; objects that are ``marked`` have another colour.
    """

    name: str
    symbol: str
    pt: float
    eta: float
    phi: float
    radius: float = 0.0
    marked: bool = False


def display(channel: Channel, reco: RecoEvents, row: int) -> tuple[DisplayObject, ...]:
    """The objects of event ``row`` by the channel's own ``display``; none if it has not one.

    Raises:
        InputError: there is no such event.
    """
    if not 0 <= row < len(reco):
        raise InputError(f"there is no event {row} among {len(reco)}; count from 0")
    own = getattr(channel, "display", None)
    return () if own is None else tuple(own(reco, row))


def acceptance_coordinates(channel: Channel) -> Residuals:
    """Coordinates whose features of x_hard the acceptance reads."""
    return getattr(channel, "acceptance", channel.transfer)


def readable(channel: Channel, x: Tensor) -> Tensor:
    """The observables [..., D] of observations ``x`` [..., width], as people read them; NaN where an event has not one."""
    own = getattr(channel, "readable", None)
    return x if own is None else own(x)


def conditions(channel: Channel) -> str:
    """Under which its events are taken, in TeX with dollars; "" if it does not say so."""
    return str(getattr(channel, "conditions", ""))


def shown_observables(channel: Channel) -> list[tuple[int, Quantity]]:
    """Column and name of the observables that are drawn and predicted: those that the channel calls ``shown``, or all."""
    names = getattr(channel, "shown", tuple(quantity.name for quantity in channel.observables))
    return [(column, quantity) for column, quantity in enumerate(channel.observables) if quantity.name in names]
