"""Numbers and names as the tables of a report write them."""

from __future__ import annotations

import math

from bmem.inference.rounding import decimals, number
from bmem.quantity import Quantity


def with_unit(text: str, quantity: Quantity) -> str:
    """The head of a column: ``shift [°]``."""
    unit = quantity.suffix.strip()
    return f"{text} [{unit}]" if unit else text


def hat(quantity: Quantity) -> str:
    """The name of its estimate."""
    return f"{quantity.shown}\u0302" if len(quantity.shown) == 1 else quantity.shown


def in_tex(quantity: Quantity) -> str:
    """What a text of the page calls it: its own name for people, or its symbol as a formula."""
    return quantity.text or f"${quantity.symbol}$"


def value_with_error(value: float, error: float) -> str:
    """``12.3 ± 0.4``, rounded after the error."""
    if not (math.isfinite(value) and math.isfinite(error)):
        return number(value)
    places = decimals(error)
    return f"{number(value, places)} ± {number(error, places)}"


def printed(quantity: Quantity, stored: float, digits: int = 4) -> str:
    """A stored value with its unit, to so many digits."""
    text = f"{float(quantity.printed(stored)):.{digits}g}"
    return text.replace("-", "\u2212") + quantity.suffix


def percent(share: float, digits: int = 1) -> str:
    """A share or a level in per cent."""
    return f"{100 * share:.{digits}f} %"
