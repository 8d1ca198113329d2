"""The page on the commands names all of them, and what it prints and executes is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from bmem import cli
from bmem.config import load
from bmem.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "commands.md").read_text(encoding="utf-8")
CITATION = (Path(__file__).parents[2] / "docs" / "guide" / "citation.md").read_text(encoding="utf-8")


def test_every_command_is_named() -> None:
    names = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    table = PAGE.split("## The result", maxsplit=1)[0]
    assert [name for name in names if not re.search(rf"`(bmem )?{name}\b", table)] == []


def test_the_mistakes_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"<!-- executed: wrong -->\n```ini\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(found[1], encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(Path("study.toml"))
    assert f"bmem: ConfigError: {caught.value}\n" == found[2]


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    for block in re.findall(r"<!-- executed -->\n```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        script = block.replace("bmem ", f"{sys.executable} -m bmem ")
        subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True, capture_output=True)
    assert {"bmem.schema.json", "toy.schema.json", "defaults.toml", "example"} <= {path.name for path in tmp_path.iterdir()}
    load(tmp_path / "defaults.toml")


def test_the_citation_is_that_of_the_version() -> None:
    from bmem import __version__

    file = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version = {{{__version__}}}" in CITATION
    assert f"version: {__version__}" in file
    assert re.search(r"title   = \{(.*)\}", CITATION)[1] == re.search(r'title: "(.*)"', file)[1]
