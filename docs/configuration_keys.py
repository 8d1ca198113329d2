"""The table of all configuration keys, made from the settings classes themselves so that it cannot be out of date."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from bmem.config import Config, SampleSection

PLACEHOLDER = "<!-- configuration keys -->"
"""The line of a page that `markdown` replaces."""


def markdown() -> str:
    """One heading and one table for each settings class, with every section of the file that it configures."""
    titles: dict[type, list[str]] = {}
    tables: dict[type, list[str]] = {}
    for title, section in _sections(Config(), ""):
        titles.setdefault(type(section), []).append(title)
        tables[type(section)] = [_introduction(type(section)), "", *_table(section)]
    return "\n".join(line for kind, names in titles.items() for line in (f"### {', '.join(names)}", "", *tables[kind], ""))


def _sections(section: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(title, instance) of a section and of all sections inside."""
    if list(_plain(section)):
        yield (f"`[{path}]`" if path else "Top level"), section
    for name in _names(section):
        value = getattr(section, name, None)
        inner = f"{path}.{name}".lstrip(".")
        if isinstance(section, Config) and name == "sample":
            yield "`[[sample]]`", SampleSection.model_construct()
        elif _is_section(value):
            yield from _sections(value, inner)


def _names(section: Any) -> list[str]:
    return list(type(section).model_fields) if isinstance(section, BaseModel) else [field.name for field in fields(section)]


def _is_section(value: Any) -> bool:
    return isinstance(value, BaseModel) or is_dataclass(value)


def _plain(section: Any) -> Iterator[str]:
    """Names of the keys that are no sections."""
    tables = {"sample"} if isinstance(section, Config) else set()
    return (name for name in _names(section) if name not in tables and not _is_section(getattr(section, name, None)))


def _table(section: Any) -> list[str]:
    meaning = _meanings(type(section))
    rows = [f"| `{name}` | {_default(section, name)} | {_cell(meaning.get(name, ''))} |" for name in _plain(section)]
    return ["| key | default | meaning |", "|---|---|---|", *rows]


def _default(section: Any, name: str) -> str:
    if isinstance(section, BaseModel) and type(section).model_fields[name].is_required():
        return "required"
    value = getattr(section, name)
    return "not set" if value is None else f"`{json.dumps(value)}`"


def _meanings(kind: type) -> dict[str, str]:
    """Descriptions of the fields, docstrings below them, and entries of the section Attributes of the class."""
    if issubclass(kind, BaseModel):
        return {name: field.description or "" for name, field in kind.model_fields.items()}
    found = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {5,}\S.*)*)", _attributes(kind), re.MULTILINE))
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = below.value.value
    return found


def _attributes(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]


def _introduction(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("Attributes:\n")[0].strip().replace("``", "`")


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())
