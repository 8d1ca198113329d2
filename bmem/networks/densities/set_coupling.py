"""Settings of ``bmem.networks.set_coupling``; apart from it because defaults are to be read without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bmem.networks.densities.coupling import CouplingSettings

if TYPE_CHECKING:
    from bmem.events.observation import Layout
    from bmem.networks.set_coupling import SetCouplingFlow


@dataclass(frozen=True)
class SetCouplingSettings(CouplingSettings):
    """Size of a coupling flow of vectors whose condition is a set of objects, which an encoder reads.

    Attributes:
        kind: the architecture: set_coupling, or one of your own, "package.module:Settings".
        blocks: number of coupling blocks.
        hidden: units per hidden layer of a block's network.
        layers: hidden layers of a block's network.
        bins: bins of the rational-quadratic splines.
        width: numbers in a token of the encoder, and in what it tells the blocks; a multiple of ``heads``.
        heads: heads of each attention of the encoder.
        encoder_blocks: blocks of the encoder.
    """

    kind: Literal["set_coupling"] = field(default="set_coupling", kw_only=True)  # type: ignore[assignment]
    width: int = 48
    heads: int = 4
    encoder_blocks: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("width", "heads", "encoder_blocks")
        self._split_by_heads(self.width, self.heads)

    def make(self, target: Layout, circular: tuple[bool, ...], condition: Layout) -> SetCouplingFlow:
        from bmem.networks.set_coupling import SetCouplingFlow

        return SetCouplingFlow(self.vector(target), circular, condition, self)
