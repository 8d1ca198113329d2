"""Settings of ``bmem.networks.classifier``; apart from it because defaults are to be read without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bmem.networks.settings import ClassifierSettings

if TYPE_CHECKING:
    from bmem.events.observation import Layout
    from bmem.networks.classifier import MLPClassifier


@dataclass(frozen=True)
class PerceptronSettings(ClassifierSettings):
    """Size of a perceptron, for vectors.

    Attributes:
        kind: the architecture: perceptron, or one of your own, "package.module:Settings".
        hidden: units per hidden layer.
        layers: hidden layers.
    """

    kind: Literal["perceptron"] = field(default="perceptron", kw_only=True)
    hidden: int = 64
    layers: int = 3

    def __post_init__(self) -> None:
        self._at_least_one("hidden", "layers")

    def make(self, inputs: Layout) -> MLPClassifier:
        from bmem.networks.classifier import MLPClassifier

        return MLPClassifier(self.vector(inputs), self.hidden, self.layers)
