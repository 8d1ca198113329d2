"""Settings of a simulation that make no sense are refused where they are made."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from bmem.errors import ConfigError


def check_numbers(settings: Any, shares: Collection[str] = ()) -> None:
    """Check that every number among the fields of ``settings`` (a dataclass) is finite and >= 0, ``shares`` <= 1 too.

    Raises:
        ConfigError: naming the field.
    """
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        high = 1.0 if entry.name in shares else math.inf
        if isinstance(value, int | float) and not (0 <= value <= high and value < math.inf):
            wanted = "lie in [0, 1]" if entry.name in shares else "be a finite number >= 0"
            raise ConfigError(f"{type(settings).__name__}: {entry.name} = {value!r} must {wanted}")
