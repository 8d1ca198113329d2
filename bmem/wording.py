"""What is wrong with a configuration in words: the key as it is typed, what it was given, and what is allowed.

The libraries that read settings have their own names for types and limits; here these become those of a TOML file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MUST = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text in quotes",
    "path": "must be the path of a file, in quotes",
    "tuple": "must be a list, as in [1, 2]",
    "list": "must be a list, as in [1, 2]",
}
"""By the first word of pydantic's type of an error."""
_LIMITS = {"gt": "must be greater than", "ge": "must be at least", "lt": "must be less than", "le": "must be at most"}
_CLASS = re.compile(r"^\w+Settings(: |\.)")
"""How settings that are made in Python begin their errors; in a file the key tells the place."""
_TABLES = ("model_type", "model_attributes_type", "dataclass_type", "dataclass_exact_type", "dict_type")


def meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` if there is a similar word among the ``known`` ones, otherwise which there are."""
    known = list(known)
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known) or 'none'}"


def typed_key(path: Sequence[str | int], content: Any) -> str:
    """The place of a value as one finds it in the file: ``fit.events``, or ``[[sample]] 'a': events`` in an array of tables.

    Args:
        path: keys, and numbers of entries, from the top.
        content: the whole file.
    """
    name = ""
    for part in path:
        content = _inner(content, part)
        if isinstance(part, int) and isinstance(content, Mapping):
            name = array_entry(name, part, content.get("name")) + ": "
        elif isinstance(part, int):
            name = f"{name}[{part}]"
        else:
            name = f"{name}{'' if not name or name.endswith(': ') else '.'}{part}"
    return name.removesuffix(": ") or "(top level)"


def array_entry(section: str, index: int, name: Any = None) -> str:
    """One of several tables ``[[section]]``, by its name, or counted from 1 if it has none."""
    return f"[[{section}]] {name!r}" if isinstance(name, str) else f"[[{section}]] number {index + 1}"


def mistake(error: Mapping[str, Any], known: Iterable[str] = ()) -> str:
    """What an error of pydantic means, to follow the key; ``known`` are the keys that its table may have."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in UNKNOWN_KEY:
        return "is no key" + (meant(str(error["loc"][-1]), known) if known else " of this table")
    if kind in ("missing", "missing_argument"):
        return "is missing, and required"
    if kind in ("value_error", "assertion_error"):
        return _CLASS.sub("", str(context["error"]))
    return f"{_must(kind, context, error)}, not {_shown(error['input'])}"


def _must(kind: str, context: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    for name, words in _LIMITS.items():
        if name in context and kind.startswith(("greater", "less")):
            return f"{words} {context[name]:g}"
    if kind == "tuple_type" and isinstance(error["input"], Mapping):
        return f"is a list of tables: write [[{error['loc'][-1]}]] in double brackets"
    special = {
        "literal_error": lambda: f"must be {context['expected']}",
        "string_pattern_mismatch": lambda: f"may have no other characters than {context['pattern'].strip('^$+')}",
        "too_long": lambda: f"has at most {context['max_length']} entries",
        **dict.fromkeys(_TABLES, lambda: "is a table, with keys of its own"),
    }
    return special[kind]() if kind in special else _MUST.get(kind.split("_", 1)[0], str(error["msg"]))


def _shown(value: Any) -> str:
    """A value as one would type it in the file, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple) and len(value) > 5:
        return f"{len(value)} entries"
    return repr(value)


def _inner(content: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return content[part] if isinstance(content, Sequence) and part < len(content) else None
    return content.get(part) if isinstance(content, Mapping) else None
