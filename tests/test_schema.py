"""The schema for editors has every key with its meaning, and lets through what the configuration does."""

from __future__ import annotations

from typing import Any

import pytest

from bmem import keys
from bmem.errors import ChannelError
from bmem.schema import json_schema


def table(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The definition of a section."""
    found = schema
    for name in filter(None, path.split(".")):
        found = found["properties"][name]
        found = found.get("items", found)
        if "$ref" in found:
            found = schema["$defs"][found["$ref"].rsplit("/", 1)[1]]
    return found


@pytest.mark.parametrize("channel", ["thj", "toy"])
def test_every_key_is_described(channel: str) -> None:
    schema = json_schema(channel)
    for section in keys.sections(channel):
        path = section.header.strip("[]")
        if path.endswith("network"):
            continue  # its keys depend on its kind
        properties = table(schema, path)["properties"]
        for key in section.keys:
            if key.name not in ("PARAMETER", "SETTING"):
                assert properties[key.name]["description"], f"{path}.{key.name}"


def test_unknown_keys_are_wrong_but_parameters_of_a_sample() -> None:
    schema = json_schema()
    closed = [table(schema, path) for path in ("", "fit", "channel", "channel.selection", "channel.pythia.detector")]
    assert all(found["additionalProperties"] is False for found in closed)
    assert table(schema, "sample")["additionalProperties"] is True
    assert table(schema, "channel")["properties"]["response"]["enum"] == ["parametric", "pythia"]


def test_a_channel_that_is_not_there() -> None:
    with pytest.raises(ChannelError, match="did you mean 'thj'"):
        json_schema("tth")
