"""The JSON schema of the configuration: with it editors check a TOML file, complete its keys and show what they mean."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from bmem.channels import DEFAULT, settings_of
from bmem.channels.section import ChannelSection, table_of
from bmem.config import Config
from bmem.keys import sections

DIALECT = GenerateJsonSchema.schema_dialect


def json_schema(channel: str = DEFAULT) -> dict[str, Any]:
    """The schema, with the section ``[channel]`` of the named ``channel``.

    Raises:
        ChannelError: there is no such channel.
    """
    schema = Config.model_json_schema()
    definitions = schema["$defs"] | _channel(channel)
    for section in sections(channel):
        kind = ChannelSection if section.header == "[channel]" else section.kind
        _describe(definitions.get(kind.__name__, {}), {key.name: key.meaning for key in section.keys})
    return {"$schema": DIALECT, **schema, "title": "Configuration of bmem", "$defs": definitions}


def _channel(name: str) -> dict[str, Any]:
    """The definitions of a channel's settings; its own keys are beside its name in the section."""
    kind = settings_of(name)
    definitions: dict[str, Any] = table_of(kind).model_json_schema()["$defs"]
    own = definitions.pop(kind.__name__)
    own["properties"] = {"name": {"type": "string", "default": name}, **own["properties"]}
    return definitions | {ChannelSection.__name__: own}


def _describe(definition: dict[str, Any], meanings: dict[str, str]) -> None:
    """Give keys without a description that of ``bmem keys``."""
    for name, entry in definition.get("properties", {}).items():
        if name in meanings:
            entry.setdefault("description", meanings[name])
