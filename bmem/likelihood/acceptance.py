"""The learned acceptance ε(x_hard): the probability that a hard event ends among the selected ones."""

from __future__ import annotations

from torch import Tensor

from bmem.likelihood.coordinates import Residuals
from bmem.networks.contract import Classifier


class AcceptanceNetwork(Classifier):
    """A classifier of x_hard through the invariant features of its residual coordinates; trained on ALL simulated events."""

    def __init__(self, residuals: Residuals, classifier: Classifier) -> None:
        super().__init__()
        self.residuals = residuals
        self.classifier = classifier

    def fit_features(self, inputs: Tensor) -> None:
        """Take the scales of the features from points x_hard [N, D]."""
        self.classifier.fit_features(self.residuals.features(inputs))

    def logit(self, features: Tensor) -> Tensor:
        """Log-odds [...] of acceptance at points x_hard [..., D] (float64)."""
        dtype = next(self.classifier.parameters()).dtype
        return self.classifier.logit(self.residuals.features(features).to(dtype)).to(features.dtype)
