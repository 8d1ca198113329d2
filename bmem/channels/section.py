"""The section ``[channel]`` of a configuration: the name of the channel, and beside it the channel's own settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    model_serializer,
    model_validator,
)

from bmem.channels import BUILT_IN, DEFAULT, load_channel, settings_of
from bmem.errors import ChannelError, ConfigError
from bmem.wording import meant, mistake, typed_key

if TYPE_CHECKING:
    from bmem.channels.contract import Channel


class ChannelSection(BaseModel):
    """The application: its name, and its own settings, which depend on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(DEFAULT, description=f'{", ".join(BUILT_IN)}, or your own as "package.module:object"')
    settings: Any = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, table: Any, info: ValidationInfo) -> Any:
        """What is beside ``name`` makes the settings; files among them are relative to the ``folder`` of the context."""
        if not isinstance(table, dict) or "settings" in table:
            return table
        name = table.get("name", DEFAULT)
        problems, settings = read_settings(table)
        if problems:
            raise ConfigError("\n  ".join(problems))
        folder = (info.context or {}).get("folder")
        return {"name": name, "settings": settings if folder is None else _beside(settings, folder)}

    @model_serializer(mode="plain")
    def _written(self) -> dict[str, Any]:
        return {"name": self.name, **plain_settings(self.settings)}

    def make(self) -> Channel:
        """The channel, one for equal sections.

        Raises:
            ChannelError: it cannot be made, or does not offer what a channel must.
        """
        return _made(self.model_dump_json())


def _beside(settings: Any, folder: Path) -> Any:
    """The same with the files among them relative to the ``folder`` of the configuration file."""
    values = {name: getattr(settings, name) for name in names_of(type(settings))}
    moved = {name: folder / value for name, value in values.items() if isinstance(value, Path)}
    if not moved:
        return settings
    return settings.model_copy(update=moved) if isinstance(settings, BaseModel) else replace(settings, **moved)


@lru_cache(maxsize=8)
def _made(text: str) -> Channel:
    section = ChannelSection(**json.loads(text))
    return load_channel(section.name, section.settings)


def read_settings(table: dict[str, Any]) -> tuple[list[str], Any]:
    """The problems of a table ``[channel]``, each with its dotted key, and the settings of the channel if there are none."""
    own = {key: value for key, value in table.items() if key != "name"}
    try:
        kind = settings_of(table.get("name", DEFAULT))
    except ChannelError as error:
        return [f"channel.name: {error}"], None
    known = names_of(kind)
    problems = [f"channel.{key}: is no key of this channel{meant(key, ['name', *known])}" for key in own if key not in known]
    own = {key: value for key, value in own.items() if key in known}
    try:
        # strict: otherwise true would be 1; as JSON, because strict Python wants tuples and enums
        read = table_of(kind).model_validate_json(json.dumps({"channel": own}, default=str), strict=True)
    except ValidationError as error:
        defaults = SimpleNamespace(channel=kind())
        return problems + mistakes(error, {"channel": table}, defaults), None
    return problems, read.channel  # type: ignore[attr-defined]


def mistakes(error: ValidationError, content: Any, settings: Any) -> list[str]:
    """What pydantic found in the ``content`` of a file, in words; ``settings`` are the defaults, which know the keys."""
    return [line for one in error.errors() for line in _lines(one, content, settings)]


def _lines(error: Any, content: Any, settings: Any) -> list[str]:
    found = mistake(error, _known(settings, error["loc"][:-1]))
    # what contradicts each other belongs to no key, and is told by one validator in lines
    return [f"{typed_key(error['loc'], content)}: {found}"] if error["loc"] else found.splitlines()


def _known(settings: Any, path: Sequence[str | int]) -> list[str]:
    """The keys of a table in (default) ``settings``; none where there is no default."""
    for name in path:
        settings = settings[0] if isinstance(name, int) and settings else getattr(settings, str(name), None)
    return names_of(type(settings)) if isinstance(settings, BaseModel) or is_dataclass(settings) else []


def names_of(kind: type) -> list[str]:
    """The fields of a settings class: a dataclass or a pydantic model."""
    return list(kind.model_fields) if issubclass(kind, BaseModel) else [entry.name for entry in fields(kind)]  # type: ignore[arg-type]


def plain_settings(settings: Any) -> dict[str, Any]:
    """Settings as JSON-able values."""
    if isinstance(settings, BaseModel):
        return settings.model_dump(mode="json")
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}


@lru_cache(maxsize=8)
def table_of(kind: type) -> type[BaseModel]:
    """A model with the settings as its only field ``channel``: in it, unknown keys of plain dataclasses are errors too."""
    return create_model("Table", __config__=ConfigDict(extra="forbid"), channel=(kind, ...))
