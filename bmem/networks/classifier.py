"""A classifier, and the test that its probabilities are those observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from bmem.errors import InputError
from bmem.networks.contract import Classifier
from bmem.networks.layers import MLP, Features

Array = NDArray[np.float64]


class MLPClassifier(Classifier):
    """A perceptron's log-odds; they are 0 at first.

    Args:
        inputs: number of features F.
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        periodic: for each feature, whether it is an angle in radians; default: none.
    """

    def __init__(self, inputs: int, hidden: int = 64, layers: int = 3, periodic: tuple[bool, ...] | None = None) -> None:
        super().__init__()
        self.periodic, self.hidden, self.layers = periodic or (False,) * inputs, hidden, layers
        if len(self.periodic) != inputs:
            raise InputError(f"a classifier of {inputs} features needs as many flags, not periodic={periodic}")
        self.features = Features(self.periodic)
        self.network = MLP(self.features.outputs, 1, hidden, layers)

    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, JSON-able."""
        return {"periodic": list(self.periodic), "hidden": self.hidden, "layers": self.layers}

    def fit_features(self, inputs: Tensor) -> None:
        """Standardise the features as in ``inputs`` [N, F]."""
        self.features.fit(inputs)

    def logit(self, features: Tensor) -> Tensor:
        """Log-odds: [..., F] → [...]."""
        return self.network(self.features(features)).squeeze(-1)


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed frequency in B bins of the prediction.

    Attributes:
        edges: of the bins in the predicted probability [B + 1].
        predicted: mean predicted probability [B].
        observed: fraction of positive outcomes [B].
        error: standard deviation of ``observed`` if the predictions are right [B].
        count: entries [B].
        chi2: Σ ((observed - predicted) / error)², with B degrees of freedom.
        p_value: probability of a larger chi2 if the predictions are right.
    """

    edges: Array
    predicted: Array
    observed: Array
    error: Array
    count: NDArray[np.int64]
    chi2: float
    p_value: float


def reliability(probability: ArrayLike, outcome: ArrayLike, bins: int = 10) -> Reliability:
    """Compare probabilities [N] with outcomes [N] (true or false) in at most ``bins`` equally populated bins.

    The outcomes must not have been trained on.

    Raises:
        InputError: unequal lengths, no entries, or probabilities outside (0, 1).
    """
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or len(p) < bins:
        raise InputError(f"reliability needs two lists of equal length >= {bins}, not of shapes {p.shape} and {y.shape}")
    if not np.all((p > 0) & (p < 1)):
        raise InputError(f"{np.sum(~((p > 0) & (p < 1)))} of {len(p)} probabilities are not inside (0, 1)")
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))
    index = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    total = [np.bincount(index, weights=weight) for weight in (np.ones_like(p), p, y, p * (1 - p))]
    count, predicted, observed, variance = (sums[total[0] > 0] for sums in total)
    chi2 = float(np.sum((observed - predicted) ** 2 / variance))
    return Reliability(
        edges=edges,
        predicted=predicted / count,
        observed=observed / count,
        error=np.sqrt(variance) / count,
        count=count.astype(np.int64),
        chi2=chi2,
        p_value=float(stats.chi2.sf(chi2, len(count))),
    )
