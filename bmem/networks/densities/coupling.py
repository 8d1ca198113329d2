"""Settings of ``bmem.networks.coupling``; apart from it because defaults are to be read without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bmem.networks.settings import DensitySettings

if TYPE_CHECKING:
    from bmem.events.observation import Layout
    from bmem.networks.coupling import CouplingFlow


@dataclass(frozen=True)
class CouplingSettings(DensitySettings):
    """Size of a coupling flow, for vectors.

    Attributes:
        kind: the architecture: coupling, or one of your own, "package.module:Settings".
        blocks: number of coupling blocks.
        hidden: units per hidden layer of a block's network.
        layers: hidden layers of a block's network.
        bins: bins of the rational-quadratic splines.
    """

    kind: Literal["coupling"] = field(default="coupling", kw_only=True)
    blocks: int = 6
    hidden: int = 64
    layers: int = 3
    bins: int = 4

    def __post_init__(self) -> None:
        self._at_least_one("blocks", "hidden", "layers", "bins")

    def make(self, target: Layout, circular: tuple[bool, ...], condition: Layout) -> CouplingFlow:
        from bmem.networks.coupling import CouplingFlow

        return CouplingFlow(self.vector(target), self.vector(condition), circular, settings=self)
