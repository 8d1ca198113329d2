"""Every key of the configuration with its default and meaning, taken from the settings classes themselves."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any

from pydantic import BaseModel

from bmem.channels import DEFAULT, settings_of
from bmem.channels.section import ChannelSection, names_of
from bmem.config import Config
from bmem.config.sections import ARRAYS

_CHANNEL = ChannelSection.model_fields["name"].description or ""


@dataclass(frozen=True)
class Key:
    """A ``name`` with its ``default`` as TOML text (None: not set) and its ``meaning`` in one line."""

    name: str
    default: str | None
    required: bool
    meaning: str


_FURTHER = {
    "sample": Key("PARAMETER", None, False, "true value of a parameter of the channel: by its name, in its printed unit"),
    "nuisance": Key("SETTING", None, False, "a setting of the kind, by its name"),
}
"""Keys of other names that a section may have."""


@dataclass(frozen=True)
class KeySection:
    """The ``keys`` of a section; its ``header`` is ``[path]``, ``[[path]]`` or, at the top, empty.

    A section that is ``repeated``, or inside of one that is, has no place in a file that says nothing but the defaults.
    """

    header: str
    kind: type
    introduction: str
    keys: tuple[Key, ...]
    repeated: bool = False


def sections(channel: str = DEFAULT) -> Iterator[KeySection]:
    """All sections with keys of their own, in the order of the file, for the ``channel`` of a name.

    Raises:
        ChannelError: there is no such channel.
    """
    settings_of(channel)
    return _sections(Config(channel=ChannelSection(name=channel)), "")


def as_toml(channel: str = DEFAULT) -> str:
    """All keys as a configuration file that says nothing but the defaults; what has no default is commented out.

    Raises:
        ChannelError: there is no such channel.
    """
    return "\n".join(line for section in sections(channel) for line in _lines(section)).strip()


def _lines(section: KeySection) -> list[str]:
    off = "# " if section.repeated else ""
    lines = ["", off + section.header] if section.header else []
    for key in section.keys:
        value = f"{off}{key.name} = {key.default}" if key.default is not None else f"# {key.name} ="
        lines.append(f"{value}  # {key.meaning}" + (" (required)" if key.required else ""))
    return lines


def _sections(settings: Any, path: str) -> Iterator[KeySection]:
    """The section of ``settings`` (an instance) and all sections inside."""
    kind = type(settings.settings if isinstance(settings, ChannelSection) else settings)
    meanings = _meanings(kind) | ({"name": _CHANNEL} if isinstance(settings, ChannelSection) else {})
    plain = [name for name in _names(settings) if not _is_table(settings, name)]
    if plain:
        keys = tuple(Key(n, _default(settings, n), _required(kind, n), _line(meanings.get(n, ""))) for n in plain)
        keys += (_FURTHER[path],) if path in _FURTHER else ()
        first = path.split(".", maxsplit=1)[0]
        header = f"[[{path}]]" if path in ARRAYS else f"[{path}]" if path else ""
        yield KeySection(header, kind, _introduction(kind), keys, first in ARRAYS)
    for name in _names(settings):
        if _is_table(settings, name):
            inner = ARRAYS[name] if isinstance(settings, Config) and name in ARRAYS else _value(settings, name)
            yield from _sections(inner, f"{path}.{name}".lstrip("."))


def _names(settings: Any) -> list[str]:
    return ["name", *names_of(type(settings.settings))] if isinstance(settings, ChannelSection) else names_of(type(settings))


def _value(settings: Any, name: str) -> Any:
    """A value of a section; those of a channel's own settings are in the section of the channel."""
    own = isinstance(settings, ChannelSection) and name != "name"
    return getattr(settings.settings if own else settings, name, None)


def _is_table(settings: Any, name: str) -> bool:
    value = _value(settings, name)
    return isinstance(value, BaseModel) or is_dataclass(value) or (isinstance(settings, Config) and name in ARRAYS)


def _required(kind: type, name: str) -> bool:
    return issubclass(kind, BaseModel) and name in kind.model_fields and kind.model_fields[name].is_required()


def _default(settings: Any, name: str) -> str | None:
    value = None if _required(type(settings), name) else _value(settings, name)
    return None if value is None else json.dumps(value)


def _meanings(kind: type) -> dict[str, str]:
    """Descriptions of the fields, docstrings below them, and entries of the section Attributes of the class."""
    if issubclass(kind, BaseModel):
        return {name: field.description or "" for name, field in kind.model_fields.items()}
    found = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {5,}\S.*)*)", _docstring(kind)[1], re.MULTILINE))
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = str(below.value.value)
    return found


def _docstring(kind: type) -> tuple[str, str]:
    """(text before the section Attributes, that section)."""
    before, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    return before.strip(), attributes


def _introduction(kind: type) -> str:
    return _docstring(kind)[0].replace("``", "`")


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
