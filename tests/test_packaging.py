"""The recipes for containers and conda ask for what the package asks for, and name one address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bmem import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Names that differ on conda-forge."""


def required() -> set[str]:
    """The dependencies of the core as conda-forge has them: "numpy >=1.26"."""
    parts = [re.fullmatch(r"([\w-]+)(.*)", d) for d in PROJECT["dependencies"]]
    return {f"{ON_CONDA.get(p[1], p[1])} {p[2]}" for p in parts if p is not None}


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_conda_takes_the_same_versions() -> None:
    there = {d.replace("pytorch-cpu", "pytorch") for d in read("environment.yml")["dependencies"] if isinstance(d, str)}
    assert required() <= there
    pip = read("environment.yml")["dependencies"][-1]["pip"]
    assert set(PROJECT["optional-dependencies"]["pythia"]) <= set(pip)


def test_the_recipe_is_of_this_version() -> None:
    recipe = read("recipe/recipe.yaml")
    assert recipe["context"]["version"] == __version__
    assert required() == {d for d in recipe["requirements"]["run"] if not d.startswith("python ")}
    (script,) = recipe["build"]["python"]["entry_points"]
    assert script == f"bmem = {PROJECT['scripts']['bmem']}"
    assert PROJECT["requires-python"] == f">={recipe['context']['python_min']}"


def test_containers_copy_what_the_installation_needs() -> None:
    """The build reads the package, the readme and the licence."""
    for name in ("container/Dockerfile", "container/bmem.def"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for needed in ("pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "bmem"):
            assert re.search(rf"^(COPY )?.*\b{re.escape(needed)}\b", text, re.MULTILINE), (name, needed)
        assert 'pip install --no-cache-dir "/source[all]"' in text


def test_there_is_one_address() -> None:
    address = PROJECT["urls"]["Source"]
    for name in ("CITATION.cff", "docs/guide/citation.md", "docs/guide/installation.md", "recipe/recipe.yaml"):
        assert address in (ROOT / name).read_text(encoding="utf-8"), name
