"""What an event of an LHE file must be, process by process, and where the header tells the parameters (SLHA blocks)."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmem.errors import InputError
from bmem.quantity import Quantity

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SLHAParameter:
    """A parameter in the SLHA ``block`` of a header under the number ``entry``; ``largest`` is a limit of its size.

    Numbers are stored as they are in the header; people read and give them as ``quantity`` prints them.
    """

    quantity: Quantity
    block: str
    entry: int = 1
    largest: float = math.inf

    def value(self, header: str) -> float:
        """The value in a ``header``.

        Raises:
            InputError: there is none, more than one, or none that can be; what is wrong and how to mend it.
        """
        shown, place = self.quantity.shown, f"SLHA block {self.block}, entry {self.entry}"
        texts = self._texts(header)
        if not texts:
            raise InputError(f"its header has no {shown} ({place}); {self.mend}")
        try:
            values = {float(text) for text in texts}
        except ValueError as error:
            raise InputError(f"{shown} in its header ({place}) is not a number: {', '.join(texts)}; {self.mend}") from error
        if len(values) > 1:
            raise InputError(f"its header has several {shown} ({', '.join(texts)}); split the file by them, or {self.mend}")
        return self._checked(values.pop(), f"{shown} = {texts[0]} in its header")

    def given(self, value: float) -> float:
        """``value`` if it is finite and not too large; InputError if not, in the unit in which people give it."""
        return self._checked(value, f"{self.quantity.shown} = {float(self.quantity.printed(value)):g}{self.quantity.suffix}")

    def _checked(self, value: float, what: str) -> float:
        if not (math.isfinite(value) and abs(value) <= self.largest):
            limit = f" within ±{float(self.quantity.printed(self.largest)):g}{self.quantity.suffix}"
            raise InputError(f"{what} is no number{limit if math.isfinite(self.largest) else ''}; {self.mend}")
        return value

    @property
    def mend(self) -> str:
        """How a person gives the value."""
        unit = {"deg": " in degrees", "": ""}.get(self.quantity.unit, f" in {self.quantity.unit}")
        name = self.quantity.name
        return f"give it{unit}: --{name} of bmem import, or {name} of the [[sample]] in the TOML"

    def line(self, value: float) -> str:
        """The block with ``value``, to write."""
        return f"Block {self.block}\n    {self.entry} {value:.16e} # {self.quantity.name}\n"

    def _texts(self, header: str) -> list[str]:
        body = rf"^[ \t]*block[ \t]+{re.escape(self.block)}\b.*\n((?:(?![ \t]*(?:block|decay)\b).*\n)*)"
        entry = re.compile(rf"^[ \t]*{self.entry}[ \t]+(\S+)", re.MULTILINE)
        blocks = re.findall(body, header, re.IGNORECASE | re.MULTILINE)
        return sorted({text for block in blocks for text in entry.findall(block)})


@dataclass(frozen=True)
class LHEContent(ABC):
    """What an event of one process must be; a process has a class of its own, in its channel.

    Attributes:
        title: the process, for messages.
        roles: names of its n particles: incoming along +z, incoming along -z, then the outgoing ones.
        masses: of each [n] in GeV.
        advice: what to generate instead, for messages.
        parameters: where the header tells the parameters θ of the process, in their order.
        extra: how many further outgoing particles an event may have (radiation), of any mass; they stay in their order.
        beams: PDG codes of the two beams.
    """

    title: str
    roles: tuple[str, ...]
    masses: tuple[float, ...]
    advice: str
    parameters: tuple[SLHAParameter, ...] = ()
    extra: int = 0
    beams: tuple[int, int] = (2212, 2212)

    @abstractmethod
    def outgoing(self, pdg: Codes) -> NDArray[np.intp]:
        """The place among the outgoing ones (0 for the first) of each code, of any shape; the largest for all others."""

    @abstractmethod
    def holds(self, pdg: Codes) -> Mask:
        """Whether events [N, n] with their particles in the order of ``roles`` are of this process: [N]."""

    @abstractmethod
    def colours(self, pdg: Codes) -> Codes:
        """Colour and anticolour lines [N, n, 2] of such events, to write them; 0 for none."""
