"""Which posterior over the weights of a measurement's networks is taken, and how many replicas are drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bmem.errors import InputError
from bmem.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor

    from bmem.replicas.contract import WeightPosterior
    from bmem.workers import Workers


@dataclass(frozen=True)
class PosteriorSettings:
    """The network uncertainty: the posterior over the weights of transfer and acceptance.

    Attributes:
        method: bootstrap (networks that go on from the trained one, each on its own resample of the pairs), ensemble (the
            same from the beginning), mean_field, low_rank, laplace (of the last layers), swag, or point (no network
            uncertainty). All but the ensemble start from the trained network.
        replicas: networks drawn from the posterior, in which everything is computed; of bootstrap and ensemble the members.
        epochs: passes over the training set in which the posterior is found, or each member goes on; an ensemble trains as
            its network does. Some hundred steps are enough for a bootstrap, mean_field and low_rank need thousands.
        learning_rate: largest learning rate of these passes; bootstrap and ensemble have that of the network's own training.
        prior_scale: standard deviation of the Gaussian prior of every weight; bootstrap and ensemble have none.
        temperature: of mean_field; below 1 the prior counts less, which keeps the accuracy of the point estimate.
    """

    method: Literal["bootstrap", "ensemble", "mean_field", "low_rank", "laplace", "swag", "point"] = "bootstrap"
    replicas: int = 16
    epochs: int = 1
    learning_rate: float = 1e-3
    prior_scale: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("replicas", "epochs", "learning_rate", "prior_scale", "temperature"):
            if not getattr(self, name) > 0:
                raise InputError(f"posterior.{name} must be positive, not {getattr(self, name)}")
        if self.resamples and self.replicas < 2:
            raise InputError(
                f"the method {self.method!r} needs posterior.replicas of at least 2; for one network choose 'point'"
            )

    @property
    def is_point(self) -> bool:
        """Whether there is no posterior, only a point estimate."""
        return self.method == "point"

    @property
    def drawn(self) -> int:
        """Replicas that there will be: a point estimate is one network."""
        return 1 if self.is_point else self.replicas

    @property
    def members(self) -> int:
        """Networks that are trained to find it."""
        return self.replicas if self.method in ("bootstrap", "ensemble") else 1

    @property
    def warm(self) -> bool:
        """Whether the posterior is found from a point estimate on."""
        return not self.is_point and self.method != "ensemble"

    @property
    def resamples(self) -> bool:
        """Whether every replica is trained on a resample of the simulated events."""
        return self.method in ("bootstrap", "ensemble")

    def make(self, workers: Workers | None = None, counts: Tensor | None = None) -> WeightPosterior:
        """The posterior, not fitted yet.

        Args:
            workers: train the members of an ensemble.
            counts: those of the resamples [replicas, N], if it has some.
        """
        from bmem import replicas

        makers: dict[str, Callable[[], WeightPosterior]] = {
            "point": replicas.PointEstimate,
            "bootstrap": lambda: replicas.Ensemble(self.replicas, anew=False, workers=workers, counts=counts),
            "mean_field": lambda: replicas.MeanField(prior_scale=self.prior_scale, temperature=self.temperature),
            "low_rank": lambda: replicas.LowRank(prior_scale=self.prior_scale),
            "laplace": lambda: replicas.Laplace(prior_scale=self.prior_scale, layers="last"),
            "swag": lambda: replicas.Swag(prior_scale=self.prior_scale),
            "ensemble": lambda: replicas.Ensemble(self.replicas, workers=workers, counts=counts),
        }
        return makers[self.method]()

    def training(self, network: TrainingSettings) -> TrainingSettings:
        """How the posterior is found where the point estimate was trained as ``network`` says."""
        if not self.warm:
            return network
        if self.method == "bootstrap":
            return replace(network, epochs=self.epochs)
        return replace(network, epochs=self.epochs, learning_rate=self.learning_rate, weight_decay=0.0)
