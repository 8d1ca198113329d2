"""Results as JSON: frozen dataclasses of numbers, arrays, tuples and other dataclasses; a round trip is exact."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from itertools import repeat
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

    Fields may be numbers, strings, ``Array``, ``IntArray``, ``BoolArray``, dataclasses, and tuples and mappings (with names
    as keys) of these, or None. JSON knows no infinities and no NaN: they are written as the strings "inf", "-inf" and "nan".
    """

    def to_dict(self) -> dict[str, Any]:
        """The fields as lists, numbers, strings and dictionaries, ready for ``json.dumps(..., allow_nan=False)``."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: keys are missing or unknown.
        """
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if names != set(content):
            difference = ", ".join(sorted(names ^ set(content)))
            raise ArtifactError(f"not a stored {cls.__name__}: keys missing or unknown: {difference}; compute it again")
        return cls(**_fields(content, cls))


def plain(value: Any) -> Any:
    """``value`` of a field as JSON knows it."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _fields(content: Mapping[str, Any], of: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(of)
    known = [field.name for field in fields(of) if field.name in content or field.default is MISSING]
    return {name: _typed(content[name], hints[name]) for name in known}


def _typed(value: Any, hint: Any) -> Any:
    if hint in _DTYPES:
        return np.asarray(value, dtype=_DTYPES[hint])
    if hint is float:
        return math.nan if value is None else float(value)
    if hasattr(hint, "from_dict"):
        return hint.from_dict(value)
    if is_dataclass(hint):
        return typing.cast(Any, hint)(**_fields(value, hint))
    return _nested(value, typing.get_origin(hint), typing.get_args(hint))


def _nested(value: Any, origin: Any, of: tuple[Any, ...]) -> Any:
    """A value whose hint is ``origin[of]``; of None the hint is none of these and the value a plain one."""
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _typed(value, next(hint for hint in of if hint is not type(None)))
    if origin is tuple:
        hints = repeat(of[0]) if of[-1] is Ellipsis else of
        return tuple(_typed(item, hint) for item, hint in zip(value, hints, strict=False))
    if origin is not None:
        return {name: _typed(item, of[1]) for name, item in value.items()}
    return value
