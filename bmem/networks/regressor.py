"""A function of a vector or a set of objects with several values, as a transformer learns it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from bmem.events.observation import Layout
from bmem.networks.contract import Regressor
from bmem.networks.encoder import SetSummary
from bmem.networks.layers import MLP
from bmem.networks.regressors.transformer import TransformerSettings
from bmem.rng import generator


class SetRegressor(Regressor):
    """The values of a perceptron that is told what an encoder makes of a row; they are 0 at first.

    Args:
        inputs: numbers, a set of objects whose order does not matter, or both.
        outputs: number of values.
        settings: size of the network.
    """

    def __init__(self, inputs: Layout, outputs: int, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings, self.inputs = settings, inputs
        self.summary = SetSummary(inputs, settings.width, settings.heads, settings.blocks)
        self.answer = MLP(settings.width, outputs, settings.hidden, settings.layers)
        self.reset(generator(0, "SetRegressor", outputs, *self.architecture().values()))

    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, JSON-able."""
        return {"inputs": asdict(self.inputs), **asdict(self.settings)}

    def fit_features(self, inputs: Tensor) -> None:
        """Standardise the inputs as in ``inputs`` [N, F]."""
        self.summary.fit(inputs)

    def predict(self, features: Tensor) -> Tensor:
        """[..., F] → [..., outputs]."""
        return self.answer(self.summary(features))
