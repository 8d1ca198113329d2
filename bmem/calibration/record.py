"""Results as JSON: frozen dataclasses of numbers, arrays and nested tuples that survive a round trip exactly."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bmem.errors import ArtifactError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_DTYPES: dict[Any, Any] = {Array: np.float64, IntArray: np.int64, BoolArray: np.bool_}


class JsonRecord:
    """Gives a frozen dataclass ``to_dict`` and ``from_dict``.

    Fields may be numbers, strings, ``Array``, ``IntArray``, ``BoolArray`` and nested tuples of numbers. JSON knows no
    infinities and no NaN: they are written as the strings "inf", "-inf" and "nan".
    """

    def to_dict(self) -> dict[str, Any]:
        """The fields as lists, numbers and strings, ready for ``json.dumps(..., allow_nan=False)``."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: keys are missing or unknown.
        """
        hints = typing.get_type_hints(cls)
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if names != set(content):
            difference = ", ".join(sorted(names ^ set(content)))
            raise ArtifactError(f"not a stored {cls.__name__}: keys missing or unknown: {difference}; compute it again")
        return cls(**{name: _typed(content[name], hints[name]) for name in names})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _typed(value: Any, hint: Any) -> Any:
    if hint in _DTYPES:
        return np.asarray(value, dtype=_DTYPES[hint])
    if hint is float:
        return float(value)
    return _nested_tuple(value)


def _nested_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_nested_tuple(item) for item in value)
    return float(value) if value in ("inf", "-inf", "nan") else value
