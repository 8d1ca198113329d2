"""The engine makes what is missing, and only that; what another configuration made is never replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bmem import artifacts
from bmem.artifacts import Engine, JsonFile, Product, Work, read_json, work
from bmem.artifacts.product import refuse_earlier
from bmem.errors import ArtifactError


@dataclass
class Kitchen:
    """A folder with a product that follows from another; counts what it makes."""

    out: Path
    said: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return Engine(self.out, self.said.append)

    def product(self, name: str, settings: Mapping[str, Any] | None = None, *parents: str) -> Product[dict[str, Any]]:
        def make() -> JsonFile:
            self.made.append(name)
            return JsonFile("dish", {"name": name})

        paths = {parent: self.path(parent) for parent in parents}
        read, cost = partial(read_json, kind="dish"), (Work("pan", 2),)
        return Product(name, self.path(name), "dish", settings or {}, paths, make, read, cost)

    def path(self, name: str) -> Path:
        return self.out / f"{name}.json"


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def test_only_what_is_missing_is_made(kitchen: Kitchen) -> None:
    dough, cake = kitchen.product("dough", {"seed": 1}), kitchen.product("cake", {}, "dough")
    kitchen.engine.ensure(dough)
    kitchen.engine.ensure(dough, cake)
    assert kitchen.made == ["dough", "cake"]
    assert kitchen.said == ["  dough.json is there"]
    assert cake.load() == {"name": "cake"}
    assert artifacts.read_header(cake.path).parents == {"dough": artifacts.checksum(dough.path)}


def test_what_was_made_differently_is_refused_and_stays(kitchen: Kitchen) -> None:
    kitchen.engine.ensure(kitchen.product("cake", {"sugar": {"grams": 100}}))
    before = kitchen.path("cake").read_bytes()
    with pytest.raises(ArtifactError, match=r"cake\.json: .* other settings \(sugar\.grams: 100 there, 90 here\)"):
        kitchen.engine.ensure(kitchen.product("cake", {"sugar": {"grams": 90}}))
    assert kitchen.path("cake").read_bytes() == before


def test_parents_that_were_computed_anew_are_noticed(kitchen: Kitchen) -> None:
    kitchen.engine.ensure(kitchen.product("dough"), kitchen.product("cake", {}, "dough"))
    JsonFile("dish", {"name": "another dough"}).save(kitchen.path("dough"), {}, {})
    with pytest.raises(ArtifactError, match=r"cake\.json: was made from other artifacts \(dough\)"):
        kitchen.engine.ensure(kitchen.product("cake", {}, "dough"))


def test_nothing_is_saved_where_there_is_nothing(kitchen: Kitchen) -> None:
    kitchen.engine.ensure(replace(kitchen.product("cake"), make=lambda: None))
    assert list(kitchen.out.iterdir()) == []


def test_unfinished_pieces_go_with_the_end(kitchen: Kitchen) -> None:
    pieces = kitchen.out / "cache" / "cake"
    pieces.mkdir(parents=True)
    (pieces / "half").touch()
    kitchen.engine.ensure(replace(kitchen.product("cake"), unfinished=pieces))
    assert not pieces.exists()


def test_checking_compares_and_makes_nothing(kitchen: Kitchen) -> None:
    checking = replace(kitchen.engine, checking=True)
    checking.ensure(kitchen.product("cake"))
    assert kitchen.made == kitchen.said == []
    kitchen.engine.ensure(kitchen.product("cake", {"sugar": 1}))
    with pytest.raises(ArtifactError, match="other settings"):
        checking.ensure(kitchen.product("cake", {"sugar": 2}))


def test_a_parent_that_is_replaced_meanwhile_spoils_the_product(kitchen: Kitchen) -> None:
    """Two configurations in one folder: what came of the parents of both used to be kept."""
    kitchen.engine.ensure(kitchen.product("dough", {"seed": 1}))

    def make() -> JsonFile:
        JsonFile("dish", {"name": "of another cook"}).save(kitchen.path("dough"), {"seed": 2}, {})
        return JsonFile("dish", {})

    with pytest.raises(ArtifactError, match=r"cake\.json: what it follows from was replaced \(dough\).*--out of its own"):
        kitchen.engine.ensure(replace(kitchen.product("cake", {}, "dough"), make=make))
    assert not kitchen.path("cake").exists()


def test_a_product_that_another_wrote_meanwhile_stays(kitchen: Kitchen) -> None:
    def make() -> JsonFile:
        JsonFile("dish", {"name": "of another cook"}).save(kitchen.path("cake"), {"seed": 2}, {})
        return JsonFile("dish", {})

    with pytest.raises(ArtifactError, match="another was written while it was computed"):
        kitchen.engine.ensure(replace(kitchen.product("cake", {"seed": 1}), make=make))
    assert read_json(kitchen.path("cake"), "dish") == {"name": "of another cook"}


def test_work_is_added_up_by_unit(kitchen: Kitchen) -> None:
    other = replace(kitchen.product("soup"), cost=(Work("pot", 1), Work("pan", 1)))
    assert work([kitchen.product("cake"), other]) == {"pan": 3, "pot": 1}


def test_what_is_left_of_an_earlier_run_is_named(tmp_path: Path) -> None:
    refuse_earlier(tmp_path / "nowhere", tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").touch()
    with pytest.raises(ArtifactError, match=r"deep/file: is there from an earlier run, which --no-resume forbids"):
        refuse_earlier(tmp_path)


def test_what_was_not_made_is_none(kitchen: Kitchen) -> None:
    cake = kitchen.product("cake")
    assert cake.if_there() is None
    kitchen.engine.ensure(cake)
    assert cake.if_there() == {"name": "cake"}
