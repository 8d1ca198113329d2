"""The networks of a measurement: how each is built, what it trains on, what its training minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bmem.events.record import event_numbers
from bmem.likelihood.acceptance import AcceptanceNetwork
from bmem.likelihood.coordinates import Residuals, nothing
from bmem.likelihood.density import ResidualDensity, condition_layout
from bmem.likelihood.proposal import LearnedPairs
from bmem.networks.contract import cross_entropy, negative_log_likelihood
from bmem.networks.settings import ClassifierSettings, DensitySettings
from bmem.process.contract import Process
from bmem.replicas.contract import Replicas
from bmem.training import Network, Rows, Supply, TrainingSettings


@dataclass(frozen=True)
class Pairs:
    """x_hard [N, D] of all simulated events, which were ``accepted`` [N], and the observables [A, D_reco] of those.

    ``nuisances`` [N, J] of the detector are those of each event, if there are any.
    """

    x_hard: Tensor
    accepted: Tensor
    x_reco: Tensor
    nuisances: Tensor | None = None

    def to(self, device: torch.device | str) -> Pairs:
        """The same pairs on a device."""
        nuisances = None if self.nuisances is None else self.nuisances.to(device)
        return Pairs(self.x_hard.to(device), self.accepted.to(device), self.x_reco.to(device), nuisances)

    @cached_property
    def numbers(self) -> Tensor:
        """Which hard event each of the N simulated ones is, see ``bmem.events.record.event_numbers``."""
        return event_numbers(self.x_hard)

    @property
    def hard_events(self) -> int:
        """How many different ones there are."""
        return int(self.numbers.max()) + 1

    @property
    def accepted_pairs(self) -> tuple[Tensor, Tensor]:
        """(x_reco, x_hard) of the accepted events."""
        return self.x_reco, self.x_hard[self.accepted]

    @property
    def conditions(self) -> Tensor:
        """What transfer and acceptance are conditioned on: x_hard and after it the nuisances, [N, D + J]."""
        return self.x_hard if self.nuisances is None else torch.cat([self.x_hard, self.nuisances], -1)


@dataclass(frozen=True)
class Role(ABC):
    """A network of the measurement.

    Attributes:
        name: in files and on the screen.
        coordinates: in which it sees its target and condition.
        training: how it is trained.
    """

    has_posterior: ClassVar[bool] = True
    """Whether results depend on it, so that the uncertainty of its weights matters."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Names of the roles whose networks it is trained with."""

    name: str
    coordinates: Residuals
    training: TrainingSettings

    @abstractmethod
    def build(self) -> Network:
        """The network without its weights."""

    def numbers(self, data: Any) -> Tensor | None:
        """Which simulated event each row is, [N], where other roles are trained on the same events; None: on no others."""
        return None

    def objective(self, module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean loss over a batch of what ``prepare`` returns."""
        return negative_log_likelihood(module, batch)

    def rows(self, events: int) -> int:
        """What an epoch takes in proportion to, where so many events were simulated."""
        return events

    @abstractmethod
    def prepare(self, module: Any, data: Any, made: Mapping[str, Replicas]) -> Rows | Supply:
        """Fit the scales of the inputs of a ``module`` as ``build`` makes it; return what to train on.

        Args:
            module: as ``build`` makes it.
            data: ``Pairs``, or for a background its observations [N, D].
            made: networks of the roles that this one ``follows``, by name.
        """


@dataclass(frozen=True)
class Acceptance(Role):
    """ε(x_hard), trained on all simulated events."""

    network: ClassifierSettings

    def build(self) -> AcceptanceNetwork:
        return AcceptanceNetwork(self.coordinates, self.network.make(condition_layout(self.coordinates)))

    def objective(self, module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return cross_entropy(module, batch)

    def numbers(self, data: Pairs) -> Tensor:
        return data.numbers

    def prepare(self, module: AcceptanceNetwork, data: Pairs, made: Mapping[str, Replicas]) -> Rows:
        module.fit_features(data.conditions)
        return data.conditions, data.accepted.double()


@dataclass(frozen=True)
class _DensityRole(Role):
    network: DensitySettings

    def build(self) -> ResidualDensity:
        return ResidualDensity(self.coordinates, self.network)


@dataclass(frozen=True)
class Transfer(_DensityRole):
    """p(x_reco | x_hard), trained on the accepted pairs."""

    def numbers(self, data: Pairs) -> Tensor:
        return data.numbers[data.accepted]

    def prepare(self, module: ResidualDensity, data: Pairs, made: Mapping[str, Replicas]) -> Rows:
        pairs = data.x_reco, data.conditions[data.accepted]
        module.fit_scales(*pairs)
        return pairs


@dataclass(frozen=True)
class LearnedBackground(_DensityRole):
    """p(x_reco) of a background, trained on its events."""

    def prepare(self, module: ResidualDensity, data: Tensor, made: Mapping[str, Replicas]) -> Rows:
        module.fit_scales(data, nothing(data))
        return data, nothing(data)


@dataclass(frozen=True)
class Proposal(_DensityRole):
    """q(x_hard | x_reco), trained on pairs from the learned transfer; no result depends on it.

    Attributes:
        defensive: fraction of points from the broad component.
        pairs: drawn for every epoch.
        process: whose parameters the proposal serves.
    """

    has_posterior: ClassVar[bool] = False
    follows: ClassVar[tuple[str, ...]] = ("transfer",)

    defensive: float
    pairs: int
    process: Process

    def build(self) -> ResidualDensity:
        return ResidualDensity(self.coordinates, self.network, self.defensive)

    def rows(self, events: int) -> int:
        return self.pairs

    def prepare(self, module: ResidualDensity, data: Pairs, made: Mapping[str, Replicas]) -> Supply:
        x_reco, x_hard = data.accepted_pairs
        module.fit_scales(x_hard, x_reco)
        conditions = data.conditions[data.accepted]
        return Supply(LearnedPairs.balanced(self.process, made["transfer"], x_hard, conditions).draw, self.pairs)
