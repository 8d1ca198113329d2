"""A coupling flow whose condition is a set of objects: an encoder reads it once and tells every block the same summary."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bmem.events.observation import Layout
from bmem.networks.coupling import CouplingFlow
from bmem.networks.densities.set_coupling import SetCouplingSettings
from bmem.networks.encoder import SetSummary
from bmem.rng import generator


class SetCouplingFlow(CouplingFlow):
    """A normalised density of vectors on the unit cube given rows of a ``condition``; at first the uniform density.

    Args:
        dim: number of dimensions D.
        circular: for each dimension, whether it is a circle of circumference 1.
        condition: numbers, a set of objects whose order does not matter, or both.
        settings: size of the network.
    """

    def __init__(self, dim: int, circular: tuple[bool, ...], condition: Layout, settings: SetCouplingSettings) -> None:
        reader = SetSummary(condition, settings.width, settings.heads, settings.encoder_blocks)
        super().__init__(dim, condition.width, circular, settings=settings, reader=reader)
        self.layout, self.sizes = condition, {name: getattr(settings, name) for name in ("width", "heads", "encoder_blocks")}
        self.reset(generator(0, "SetCouplingFlow", *self.architecture().values()))

    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, JSON-able."""
        return {**super().architecture(), "condition": asdict(self.layout), **self.sizes}
