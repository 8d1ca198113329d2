"""Artifacts of format version 1, as bmem wrote them when that was current, are still read, number for number."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rich.console import Console
from scripts import loaded

from bmem import artifacts
from bmem.config import load, parse
from bmem.errors import ArtifactError
from bmem.likelihood import cross_section
from bmem.stages import Run
from bmem.stages.integrate import _fiducial_origin
from bmem.stages.simulate import sample_product

FOLDER = Path(__file__).parent.parent / "data" / "artifacts_v1"
EXPECTED = json.loads((FOLDER / "contents.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def make() -> ModuleType:
    """The module that made them."""
    return loaded(FOLDER / "make.py")


@pytest.fixture(scope="module")
def run(make: ModuleType) -> Run:
    return Run(load(make.STUDY), FOLDER, Console())


def test_headers_are_read(make: ModuleType, run: Run) -> None:
    kinds = set()
    for path in make.kept(run):
        header = artifacts.verify(path, artifacts.read_header(path).kind)
        assert header.format_version == 1
        assert {"python", "torch", "numpy", "bmem"} <= set(header.versions)
        kinds.add(header.kind)
    assert len(kinds) == 5


def test_contents_are_read(make: ModuleType, run: Run) -> None:
    """What is stored comes back exactly; what the networks compute from their weights, within rounding."""
    found = make.contents(run)
    assert set(found) == set(EXPECTED)
    for name in ("hard", "accepted", "photons", "fiducial", "values"):
        np.testing.assert_array_equal(np.array(found[name]), np.array(EXPECTED[name]), err_msg=name)
    for name in ("probability", "drawn", "bootstrap"):
        np.testing.assert_allclose(np.array(found[name]), np.array(EXPECTED[name]), rtol=1e-4, err_msg=name)
    assert found["minima"] == EXPECTED["minima"]


def test_events_and_cross_sections_are_those_of_the_configuration(run: Run) -> None:
    """The settings of the channel are compared under the keys that they had in that format."""
    checking = replace(run, checking=True)
    checking.engine.ensure(sample_product(checking, run.config.sample[0]))
    assert run.engine.done(run.fiducial, cross_section.KIND, _fiducial_origin(run)[0])
    other = parse(tomllib.loads((FOLDER / "study.toml").read_text() + "[channel.selection]\njet_pt = 30.0\n"))
    with pytest.raises(ArtifactError, match=r"selection\.jet_pt: 25\.0 there, 30\.0 here"):
        checking.engine.ensure(sample_product(replace(run, config=other), run.config.sample[0]))
