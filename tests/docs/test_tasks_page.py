"""The ten tasks of a new user, as the page has them: its files are written, its commands and its Python are executed."""

from __future__ import annotations

import importlib
import math
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmem import cli, errors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "tasks.md"
LHE = Path(__file__).parents[1] / "data" / "thj_alpha0_200.lhe.gz"
_BLOCK = re.compile(r"(?:^<!-- ([\w ]+): (\S+) -->\n)?^```(toml|bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Action = Callable[[str, str, str], None]
"""Takes how and where, of the comment above a block, and the block."""


class Reader:
    """Does what the page says, in the folder in which it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.kinds: dict[str, Action] = {"toml": self.keep, "bash": self.run, "python": self.execute}

    def keep(self, how: str, where: str, text: str) -> None:
        with Path(where).open({"file": "w", "add to": "a"}[how], encoding="utf-8") as file:
            file.write(text)

    def run(self, how: str, where: str, text: str) -> None:
        for line in text.splitlines():
            words = line.split()
            if words[0] != "bmem":
                subprocess.run(["bash", "-euc", line], check=True)
            elif how == "fails":
                with pytest.raises(getattr(errors, where)):
                    self.call(words)
            else:
                self.call(words)

    def call(self, words: list[str]) -> None:
        """In this process, which has everything imported."""
        self.monkeypatch.setattr("sys.argv", words)
        cli.app(words[1:], prog_name="bmem", standalone_mode=False)

    def execute(self, how: str, where: str, text: str) -> None:
        exec(compile(text, str(PAGE), "exec"), self.names)


def test_the_ten_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A constraint draws the estimate towards it; the ROOT file holds the events of the Parquet file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr("bmem.plotting.style.FORMATS", ("png",))
    shutil.copy(LHE, tmp_path / "events.lhe.gz")
    text, reader = PAGE.read_text(encoding="utf-8"), Reader(monkeypatch)
    for block in _BLOCK.finditer(text):
        reader.kinds[block[3]](block[1] or "", block[2] or "", block[4])
    assert [int(n) for n in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)] == list(range(1, 11))
    names, said = reader.names, capsys.readouterr().out
    assert said.count("of alpha45 =") >= 2
    assert names["result"].used == names["again"].used
    assert names["minuit"].valid
    away, drawn = (math.cos(x - math.radians(50)) for x in (names["again"].fit.theta[0], names["minuit"].values["alpha"]))
    assert drawn >= away - 1e-9
    assert sorted(path.name for path in (tmp_path / "out" / "fit").glob("*.arviz.nc")) == [
        f"{name}.arviz.nc" for name in ("alpha45", "lhe", "parquet", "root")
    ]
    draws = np.asarray(names["draws"]["posterior"]["alpha"])
    assert np.isfinite(draws).all()
    one, other = (names["bmem"].load(tmp_path / "out" / "events" / f"{name}.parquet") for name in ("parquet", "root"))
    np.testing.assert_allclose(one.collections["jets"].features, other.collections["jets"].features, rtol=1e-6)
    assert (tmp_path / "out" / "export" / "parquet.workspace.json").is_file()
    assert (tmp_path / "tighter" / "networks" / "transfer.safetensors").is_file()


def test_it_is_installed_as_said() -> None:
    """The command is there, and every extra is in the table of the page, which names no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, name = project["scripts"]["bmem"].split(":")
    assert getattr(importlib.import_module(module), name) is cli.main
    extras = project["optional-dependencies"]
    page = (PAGE.parent / "installation.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)) == set(extras) - {"bench"}
