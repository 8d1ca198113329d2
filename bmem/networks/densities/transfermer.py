"""Settings of ``bmem.networks.transfermer``; apart from it because defaults are to be read without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bmem.networks.settings import DensitySettings

if TYPE_CHECKING:
    from bmem.events.observation import Layout
    from bmem.networks.transfermer import Transfermer


@dataclass(frozen=True)
class TransfermerSettings(DensitySettings):
    """Size of a transformer that gives the density of sets of objects (arXiv:2310.07752), or of vectors.

    Attributes:
        kind: the architecture: transfermer, or one of your own, "package.module:Settings".
        width: numbers in a token, a multiple of ``heads``.
        heads: heads of each attention.
        blocks: blocks of the encoder, and as many of the decoder.
        hidden: units per hidden layer of the networks behind the splines.
        layers: hidden layers of these networks.
        bins: bins of the rational-quadratic splines.
    """

    kind: Literal["transfermer"] = field(default="transfermer", kw_only=True)
    width: int = 64
    heads: int = 4
    blocks: int = 2
    hidden: int = 64
    layers: int = 2
    bins: int = 8

    def __post_init__(self) -> None:
        self._at_least_one("width", "heads", "blocks", "hidden", "layers", "bins")
        self._split_by_heads(self.width, self.heads)

    def make(self, target: Layout, circular: tuple[bool, ...], condition: Layout) -> Transfermer:
        """As any density; ``circular`` tells of the values, then of the features of one object."""
        from bmem.networks.transfermer import Transfermer

        return Transfermer(target, circular, condition, self)
