"""Channels by name: what is missing or wrong is named; vectors of observables travel as events."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from bmem.channels import load_channel, settings_of
from bmem.channels.base import BaseChannel, WhatWasSeen, as_events, as_vector
from bmem.config import parse
from bmem.errors import ChannelError, ConfigError, EventFileError, InputError
from bmem.quantity import Quantity
from bmem.stages import Run
from bmem.stages.simulate import sample_product

MODULE = """
from dataclasses import dataclass
from bmem.channels.base import BaseChannel
from bmem.process import LinearGaussian

class NoResponse(BaseChannel):
    title = "incomplete"
    process = LinearGaussian()
    observables = ()

class NoBasis(NoResponse):
    response = print
    process = object()
    parameters = ()

@dataclass(frozen=True)
class Strict:
    width: float = 1.0

class WrongInit(BaseChannel):
    def __init__(self):
        pass

class Plain:
    pass

value = 3
"""
LHE = Path(__file__).parents[1] / "data" / "thj_alpha0_200.lhe.gz"
QUANTITIES = (Quantity("x", "x"), Quantity("y", "y"))


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module ``halfdone`` in the working folder."""
    (tmp_path / "halfdone.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import not_installed_anywhere\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("tjh", "did you mean 'thj'"),
        ("nowhere:Channel", "'nowhere' cannot be imported"),
        ("broken:Channel", "not_installed_anywhere"),
        ("halfdone:NoRespnse", "did you mean 'NoResponse'"),
        ("halfdone:NoResponse", "lacks response"),
        ("halfdone:NoBasis", r"lacks process\.parameters, process\.basis, process\.components"),
        ("halfdone:WrongInit", "cannot be made of its settings"),
        ("halfdone:Plain", "no class Settings"),
        ("halfdone:value", "no class Settings"),
    ],
)
def test_what_lacks_is_named(name: str, named: str) -> None:
    with pytest.raises(ChannelError, match=named):
        load_channel(name)


def test_a_wrong_channel_ends_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"lacks response"):
        parse({"channel": {"name": "halfdone:NoResponse"}, "sample": [{"name": "a", "events": 5, "theta": 0.1}]})


def test_settings_come_without_the_channel() -> None:
    assert settings_of("toy").__name__ == "ToySettings"
    assert settings_of("halfdone:NoResponse") is BaseChannel.Settings


def test_vectors_travel_as_events() -> None:
    x = torch.randn(6, 2, dtype=torch.float64)
    seen = torch.tensor([True, False, True, True, False, True])
    reco = as_events(x, QUANTITIES, seen)
    assert torch.equal(WhatWasSeen().accept(reco), seen)
    assert torch.equal(as_vector(reco[seen], QUANTITIES), x[seen])
    assert torch.equal(as_vector(reco[seen], QUANTITIES[::-1]), x[seen].flip(1))
    with pytest.raises(InputError, match="apply the selection"):
        as_vector(reco, QUANTITIES)
    with pytest.raises(InputError, match="observables z"):
        as_vector(reco, (Quantity("z", "z"),))


def test_an_event_file_needs_a_process_with_particles(tmp_path: Path) -> None:
    content = {"channel": {"name": "toy"}, "sample": [{"name": "a", "file": str(LHE)}]}
    run = Run(parse(content), tmp_path / "out", Console(file=io.StringIO()))
    with pytest.raises(EventFileError, match="this channel does not read LHE files; give Parquet or ROOT"):
        run.engine.ensure(sample_product(run, run.config.sample[0]))
