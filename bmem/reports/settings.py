"""The configuration of a run as the report prints it: as TOML, without what had no part in the result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bmem.channels.section import plain_settings
from bmem.config import Config

_OF_A_BANK = ("toys", "truths", "simulations", "precisions")
"""Keys of ``[calibration]`` that only a bank reads."""
_OF_LEARNED = ("fiducial_events",)


def used_settings(config: Config) -> dict[str, Any]:
    """The sections and keys of a ``config`` that were used, by name.

    A table of the channel's own that the channel does not name in its provenance, and that says nothing but the defaults,
    was a possibility that was not chosen.
    """
    content: dict[str, Any] = json.loads(config.model_dump_json())
    if not config.figures.experiment:
        del content["figures"]
    if not config.belt.bank_events:
        del content["belt"]
        content["calibration"] = _without(content["calibration"], _OF_A_BANK)
    if config.likelihood.fiducial == "counted":
        content["likelihood"] = _without(content["likelihood"], _OF_LEARNED)
    content["channel"] = _without(content["channel"], tuple(_not_chosen(config)))
    said: dict[str, Any] = _said(content)
    return said


def _not_chosen(config: Config) -> Iterator[str]:
    channel, settings = config.channel.make(), config.channel.settings
    chosen, default = plain_settings(settings), plain_settings(type(settings)())
    for name, value in chosen.items():
        if isinstance(value, dict) and name not in channel.provenance and value == default[name]:
            yield name


def _without(section: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in keys}


def _said(value: Any) -> Any:
    """Without what was not set: None, and empty lists and tables."""
    if isinstance(value, dict):
        known = {key: _said(one) for key, one in value.items()}
        return {key: one for key, one in known.items() if one is not None and one not in ([], {})}
    return [_said(one) for one in value] if isinstance(value, list) else value


def as_toml(content: Mapping[str, Any]) -> str:
    """Nested tables of plain values as the text of a TOML file."""
    return "\n".join(_lines(content, "")).strip() + "\n"


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict) or _are_tables(value)}
    for key, value in table.items():
        if key not in inner:
            yield f"{key} = {_value(value)}"
    for key, value in inner.items():
        name = f"{path}.{key}".lstrip(".")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(value, list) or any(not isinstance(v, dict) for v in one.values()):
                yield from ("", f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            yield from _lines(one, name)


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
