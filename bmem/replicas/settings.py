"""Which posterior over the weights of a measurement's networks is taken, and how many replicas are drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from bmem.errors import InputError
from bmem.replicas.contract import WeightPosterior
from bmem.replicas.ensemble import Ensemble
from bmem.replicas.laplace import Laplace
from bmem.replicas.low_rank import LowRank
from bmem.replicas.mean_field import MeanField
from bmem.replicas.point import PointEstimate
from bmem.training.settings import TrainingSettings


@dataclass(frozen=True)
class PosteriorSettings:
    """The network uncertainty: the posterior over the weights of transfer and acceptance.

    Attributes:
        method: point (no network uncertainty), mean_field, low_rank, laplace (of the last layers) or ensemble (networks
            trained from the beginning on resampled data). All but the ensemble start from the trained network.
        replicas: networks drawn from the posterior, in which everything is computed; of an ensemble the members.
        epochs: passes over the training set in which the posterior is found; an ensemble trains as its network does.
        learning_rate: largest learning rate of these passes.
        prior_scale: standard deviation of the Gaussian prior of every weight.
    """

    method: Literal["point", "mean_field", "low_rank", "laplace", "ensemble"] = "mean_field"
    replicas: int = 16
    epochs: int = 8
    learning_rate: float = 1e-3
    prior_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("replicas", "epochs", "learning_rate", "prior_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"posterior.{name} must be positive, not {getattr(self, name)}")
        if self.method == "ensemble" and self.replicas < 2:
            raise InputError("an ensemble needs posterior.replicas of at least 2; for one network choose the method 'point'")

    @property
    def drawn(self) -> int:
        """Replicas that there will be: a point estimate is one network."""
        return 1 if self.method == "point" else self.replicas

    @property
    def warm(self) -> bool:
        """Whether the posterior is found from a point estimate on."""
        return self.method not in ("point", "ensemble")

    def make(self, initialise: Callable[[nn.Module, torch.Generator], None]) -> WeightPosterior:
        """The posterior, not fitted yet; ``initialise`` draws the first weights of an ensemble's members."""
        makers: dict[str, Callable[[], WeightPosterior]] = {
            "point": PointEstimate,
            "mean_field": lambda: MeanField(prior_scale=self.prior_scale),
            "low_rank": lambda: LowRank(prior_scale=self.prior_scale),
            "laplace": lambda: Laplace(prior_scale=self.prior_scale, layers=("*last",)),
            "ensemble": lambda: Ensemble(self.replicas, initialise),
        }
        return makers[self.method]()

    def training(self, network: TrainingSettings) -> TrainingSettings:
        """How the posterior is found where the point estimate was trained as ``network`` says."""
        if not self.warm:
            return network
        return replace(network, epochs=self.epochs, learning_rate=self.learning_rate, weight_decay=0.0)
