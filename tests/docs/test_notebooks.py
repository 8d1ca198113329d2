"""The notebooks of the pages run in a kernel of their own, and say what they show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import loaded

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The script with which they are made."""
    return loaded(NOTEBOOKS / "execute.py")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def said(notebook: Any) -> str:
    """All that the cells print."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


def test_own_events(runner: ModuleType) -> None:
    """|α̂| lies within 5 errors of 60° (false alarm 6e-7 if the networks were perfect; seeded)."""
    text = said(runner.executed(NOTEBOOKS / "own_events.ipynb"))
    found = re.search(r"\\hat\{\\alpha\} = (-?\d+)(?: \\pm (\d+)|\^\{\+(\d+)\}_\{-(\d+)\})", text)
    assert found is not None, text
    value, *errors = (float(number) for number in found.groups() if number)
    assert abs(abs(value) - 60) < 5 * max(errors)


def test_own_process(runner: ModuleType) -> None:
    """As its page says: learned densities move the estimate by less than half an error."""
    text = said(runner.executed(NOTEBOOKS / "own_process.ipynb"))
    found = re.search(r"move the estimate by ([+-][\d.]+) standard deviations", text)
    assert found is not None, text
    assert abs(float(found[1])) < 0.5


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_they_come_with_their_output(path: Path) -> None:
    """Every cell was executed in order, nothing of the machine is in them, and they are small."""
    text = path.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])
    assert re.findall(r"site-packages|/home/|/tmp/|/root/", text) == []
    assert len(text) < 300_000
