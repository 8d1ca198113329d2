"""The configuration on the page can be run again, and says nothing of what was not used."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from bmem.config import parse
from bmem.reports.settings import as_toml, used_settings

SAMPLE = {"name": "a", "alpha": 45.0, "events": 100}


@pytest.mark.parametrize(
    "content",
    [
        {"sample": [SAMPLE]},
        {"sample": [SAMPLE], "belt": {"bank_events": 1000}, "calibration": {"truths": [0.0, 45.0]}},
        {"sample": [SAMPLE], "background": [{"name": "b", "density": "diphoton", "fraction": 0.2}]},
        {"sample": [SAMPLE], "likelihood": {"fiducial": "learned", "fiducial_events": 5}},
        {"channel": {"name": "toy"}, "sample": [{"name": "a", "theta": 0.5, "events": 100}]},
    ],
)
def test_the_text_is_the_configuration(content: dict[str, Any]) -> None:
    config = parse(content)
    assert parse(tomllib.loads(as_toml(used_settings(config)))) == config


def test_what_was_not_used_is_not_said() -> None:
    text = as_toml(used_settings(parse({"sample": [SAMPLE]})))
    assert not {"[belt]", "[channel.pythia]", "[[background]]", "[[constraint]]"} & set(text.splitlines())
    assert not any(word in text for word in ("fiducial_events", "toys", "null", "None"))
    assert "[channel.parametric]" in text.splitlines()


def test_nested_tables_and_arrays() -> None:
    content = {"a": 1, "t": {"x": [1.5, 2.0], "u": {"y": True}}, "s": [{"n": "ä", "deep": {"z": 1e-5}}, {"n": "b"}]}
    assert tomllib.loads(as_toml(content)) == content
