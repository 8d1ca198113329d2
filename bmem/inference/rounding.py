"""Printed numbers, rounded after their errors as the Particle Data Group does (Review of Particle Physics, section 5.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bmem.inference.intervals import IntervalSet
from bmem.quantity import Quantity

MINUS = "\u2212"
_UNKNOWN = 3


def decimals(error: float) -> int:
    """Decimals of a number with this ``error``; negative for tens, hundreds, ...

    Of the first three digits of the error: two are kept below 355, one below 950, and beyond it is rounded up to 10 (two).

    >>> [decimals(error) for error in (0.827, 0.119, 0.0363, 9.6, 38.0)]
    [1, 2, 2, 0, -1]
    """
    if not (math.isfinite(error) and error > 0):
        return _UNKNOWN
    digits, _, exponent = f"{error:.2e}".partition("e")
    leading = round(100 * float(digits))
    return (0 if 355 <= leading < 950 else 1) - (leading >= 950) - int(exponent)


def number(value: float, places: int = _UNKNOWN) -> str:
    """``value`` with so many decimals, a true minus sign, and no minus before a zero; "–" if it is not finite."""
    if not math.isfinite(value):
        return "–"
    text = f"{round(value, places):.{max(places, 0)}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def errors(below: float, above: float, places: int) -> str:
    """``± 4.9``, or ``+4.9 −5.1`` where the sides differ in print."""
    low, high = number(below, places), number(above, places)
    return f"± {low}" if low == high else f"+{high} {MINUS}{low}"


def interval_text(region: IntervalSet, quantity: Quantity, places: int) -> str:
    """The pieces of ``region`` in printed units: ``[−49.0°, −39.1°] ∪ [39.1°, 49.0°]``."""
    if region.whole:
        return "everything"
    return " ∪ ".join(_piece(quantity.printed(piece).tolist(), quantity, places) for piece in region.intervals) or "nothing"


def _piece(ends: Sequence[float], quantity: Quantity, places: int) -> str:
    low, high = (number(end, places) + quantity.suffix for end in ends)
    return f"[{low}, {high}]"
