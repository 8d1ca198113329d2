"""Settings of ``bmem.networks.regressor``; apart from it because defaults are to be read without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bmem.networks.settings import RegressorSettings

if TYPE_CHECKING:
    from bmem.events.observation import Layout
    from bmem.networks.regressor import SetRegressor


@dataclass(frozen=True)
class TransformerSettings(RegressorSettings):
    """Size of a transformer that reads vectors, sets of objects or both, and a perceptron that answers.

    Attributes:
        kind: the architecture: transformer, or one of your own, "package.module:Settings".
        width: numbers in a token, a multiple of ``heads``.
        heads: heads of each attention.
        blocks: blocks of the encoder.
        hidden: units per hidden layer of the perceptron.
        layers: hidden layers of the perceptron.
    """

    kind: Literal["transformer"] = field(default="transformer", kw_only=True)
    width: int = 48
    heads: int = 4
    blocks: int = 2
    hidden: int = 96
    layers: int = 2

    def __post_init__(self) -> None:
        self._at_least_one("width", "heads", "blocks", "hidden", "layers")
        self._split_by_heads(self.width, self.heads)

    def make(self, inputs: Layout, outputs: int) -> SetRegressor:
        from bmem.networks.regressor import SetRegressor

        return SetRegressor(inputs, outputs, self)
