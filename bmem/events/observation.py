"""An observation as one row of numbers: plain values, a set of objects with a mask, or both.

All that only moves observations about sees rows [N, width]; a network that reads sets takes them apart by their ``Layout``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.errors import InputError


@dataclass(frozen=True)
class Layout:
    """How a row is made up: ``values`` numbers D, then ``objects`` n with ``features`` F each, then n numbers of the mask.

    A number of the mask is 1 where there is an object and 0 where there is none; features of no object are 0.
    """

    values: int
    objects: int = 0
    features: int = 0

    def __post_init__(self) -> None:
        if min(self.values, self.objects, self.features) < 0 or bool(self.objects) != bool(self.features):
            raise InputError(f"a layout has sizes >= 0, and objects with features or neither, not {self}")

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.values + self.objects * (self.features + 1)

    def pack(self, values: Tensor, objects: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Rows [N, width] of values [N, D] and objects [N, m, F] where mask [N, m] is true; m may be other than n.

        Raises:
            InputError: other shapes, an event with an object beyond the n-th place, or objects of a layout without.
        """
        if values.ndim != 2 or values.shape[1] != self.values or (objects is None) != (mask is None):
            shape = tuple(values.shape)
            raise InputError(f"rows of {self} need [N, {self.values}] values, not {shape}, and objects with their mask")
        if objects is None or mask is None:
            objects, mask = values.new_zeros(len(values), 0, self.features), values.new_zeros(len(values), 0)
        if objects.shape != (*mask.shape, self.features) or len(mask) != len(values):
            raise InputError(
                f"rows of {self} need [N, m, {self.features}] objects and [N, m] mask, "
                f"not {tuple(objects.shape)} and {tuple(mask.shape)}"
            )
        there = mask.bool()
        beyond = there[:, self.objects :].any(-1)
        if beyond.any():
            event = int(beyond.nonzero()[0])
            raise InputError(
                f"event {event} has {int(there[event].sum())} objects, some of them beyond the {self.objects} places of the "
                "layout; make it larger, or select fewer objects"
            )
        kept = torch.where(there.unsqueeze(-1), objects, 0.0)[:, : self.objects]
        missing = self.objects - kept.shape[1]
        kept = torch.nn.functional.pad(kept.to(values.dtype), (0, 0, 0, missing))
        places = torch.nn.functional.pad(there[:, : self.objects].to(values.dtype), (0, missing))
        return torch.cat([values, kept.flatten(1), places], dim=1)

    def unpack(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values [..., D], objects [..., n, F] and mask [..., n] of rows [..., width].

        Raises:
            InputError: rows of another width.
        """
        if rows.shape[-1] != self.width:
            raise InputError(f"a row of {self} has {self.width} numbers, not {rows.shape[-1]}")
        values, objects, mask = rows.split((self.values, self.objects * self.features, self.objects), dim=-1)
        return values, objects.unflatten(-1, (self.objects, self.features)), mask
