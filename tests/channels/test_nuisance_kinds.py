"""[[nuisance]]: kinds of the channels, what is made of them, and what is refused in the user's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from bmem.channels import load_channel
from bmem.channels.contract import Channel
from bmem.channels.nuisances import described, make_nuisances, varied_response
from bmem.channels.toy.channel import ToyChannel
from bmem.config import NuisanceSection, load, parse
from bmem.errors import ConfigError
from bmem.likelihood.nuisances import Nuisance, Nuisances
from bmem.process import THJ
from bmem.process.pdf import default_grid
from bmem.rng import generator

SCALE = {"name": "scale", "kind": "factorisation_scale"}
JES = {"name": "jes", "kind": "jet_energy_scale", "size": 0.03}


def content(*nuisances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"nuisance": list(nuisances), **more}


def test_theory_is_the_process_at_another_scale_and_with_other_densities() -> None:
    channel, grid = load_channel("thj"), str(default_grid())
    pdf = {"name": "pdf", "kind": "parton_densities", "up": grid}
    found = make_nuisances([NuisanceSection(**SCALE), NuisanceSection(**pdf)], channel)
    scale, same = found.entries
    assert scale.nodes == (-1.0, 1.0)
    assert same.nodes == (1.0,)
    x = channel.process.sample(50, torch.zeros(1, dtype=torch.float64), generator(1, "hard")).x
    assert scale.theory is not None
    assert same.theory is not None
    for node, factor in ((-1.0, 0.5), (1.0, 2.0)):
        other = THJ(scale=cast(THJ, channel.process).scale * factor).components(x)
        torch.testing.assert_close(scale.theory.components(x, node), other)
    torch.testing.assert_close(same.theory.components(x, 1.0), channel.process.components(x))
    assert found.effects == {}
    assert varied_response(channel, found) is channel.response


def test_artifacts_know_files_by_their_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "x.dat", tmp_path / "b" / "x.dat"
    for path in (first, second):
        path.parent.mkdir()
        path.write_text("same", encoding="utf-8")
    one, other = (described(NuisanceSection(name="p", kind="k", up=str(path))) for path in (first, second))
    assert one == other
    second.write_text("different", encoding="utf-8")
    assert described(NuisanceSection(name="p", kind="k", up=str(second))) != one


def test_files_are_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "grid.dat").write_text("no grid", encoding="utf-8")
    text = '[[nuisance]]\nname = "p"\nkind = "parton_densities"\nup = "grid.dat"\n'
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    config = load(tmp_path / "c.toml")
    assert config.nuisance[0].own["up"] == str(tmp_path / "grid.dat")
    with pytest.raises(ConfigError, match=r"\[\[nuisance\]\] p: .*grid\.dat"):
        make_nuisances(config.nuisance, config.channel.make())


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (content({"name": "x", "kind": "jet_enery_scale"}), "no kind 'jet_enery_scale'"),
        (content({**JES, "sise": 0.1}), "sise: is no key of jet_energy_scale"),
        (content({**JES, "size": -0.1}), "size = -0.1"),
        (content({"name": "p", "kind": "parton_densities"}), r"\[\[nuisance\]\] p: up"),
        (content(JES, JES), "names must differ"),
        (content({**JES, "name": "alpha"}), "another parameter has this name"),
        (content(JES, belt={"bank_events": 1000}), "belt.bank_events"),
        (content(JES, likelihood={"fiducial": "learned"}), "likelihood.fiducial"),
        (content(JES, sample=[{"name": "s", "alpha": 0.0, "events": 10, "jes": 5.0}]), "within ±3"),
        (content(SCALE, sample=[{"name": "s", "alpha": 0.0, "events": 10, "scale": 1.0}]), "nominal theory"),
        (content(JES, constraint=[{"parameter": "jes", "value": 0.0, "error": 1.0}]), "not free in this configuration"),
        (content({**JES, "error": -1.0}), "error"),
    ],
)
def test_what_is_refused(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(tables)


def test_unknown_grids_are_told_with_the_remedy() -> None:
    stated = [NuisanceSection(name="p", kind="parton_densities", up="NoSuchSet_0000.dat")]
    with pytest.raises(ConfigError, match=r"\[\[nuisance\]\] p: no PDF grid NoSuchSet_0000.dat"):
        make_nuisances(stated, load_channel("thj"))


def test_a_channel_must_simulate_what_its_detector_does() -> None:
    class Rigid(ToyChannel):
        varied_response = None  # type: ignore[assignment]

    with pytest.raises(ConfigError, match="no varied_response"):
        varied_response(cast(Channel, Rigid()), Nuisances((Nuisance("s", (1.0,), effect=1.0),)))
