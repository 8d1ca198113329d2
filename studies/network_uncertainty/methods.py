"""The posteriors that are compared, each with the training in which it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from bmem.networks.coupling import CouplingFlow, CouplingSettings
from bmem.replicas import Ensemble, Laplace, LowRank, MeanField, Swag, WeightPosterior
from bmem.training import TrainingSettings

POINT = TrainingSettings(epochs=30, batch_size=256, learning_rate=5e-3)
"""Of the networks: early stopping ends it after some 20 epochs."""


def network(condition: Tensor) -> CouplingFlow:
    """The flow of this study: 3634 weights, about as many as there are training rows."""
    flow = CouplingFlow(2, 1, settings=CouplingSettings(blocks=2, hidden=64, layers=1, bins=8))
    flow.features.fit(condition)
    return flow


@dataclass(frozen=True)
class Method:
    """One way to claim an error.

    Attributes:
        make: the posterior, not fitted yet.
        training: in which it is found.
        replicas: networks drawn.
    """

    make: Callable[[], WeightPosterior]
    training: TrainingSettings
    replicas: int = 16


def _passes(epochs: int, learning_rate: float) -> TrainingSettings:
    return replace(POINT, epochs=epochs, learning_rate=learning_rate)


METHODS = {
    "mean field": Method(MeanField, _passes(12, 3e-3)),
    "mean field, temperature 0.3": Method(lambda: MeanField(temperature=0.3), _passes(12, 3e-3)),
    "mean field, temperature 0.1": Method(lambda: MeanField(temperature=0.1), _passes(12, 3e-3)),
    "mean field, prior 0.1": Method(lambda: MeanField(0.1), _passes(12, 3e-3)),
    "mean field, empirical Bayes": Method(lambda: MeanField(None), _passes(12, 3e-3)),
    "low rank": Method(LowRank, _passes(12, 1e-2)),
    "Laplace of last layers": Method(lambda: Laplace(layers="last"), _passes(4, 1e-3)),
    "SWAG": Method(Swag, _passes(10, 3e-3)),
    "bootstrap, 1 epoch": Method(lambda: Ensemble(8, anew=False), _passes(1, 5e-3), 8),
    "bootstrap, 4 epochs": Method(lambda: Ensemble(8, anew=False), _passes(4, 5e-3), 8),
    "ensemble": Method(lambda: Ensemble(6), POINT, 6),
    "ensemble, same rows": Method(lambda: Ensemble(6, bootstrap=False), POINT, 6),
}
"""The last two are trained from the beginning, the others go on from the trained network."""
