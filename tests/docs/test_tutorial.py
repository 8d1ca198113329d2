"""The code in the documentation runs as it stands: all Python blocks of a page, in order, in one namespace."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from bmem.config import load
from bmem.stages import STAGES, Run

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def execute(page: Path) -> dict[str, Any]:
    """Run the blocks of ``page``; a traceback names the page and its line."""
    text, namespace = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
    for block in _BLOCK.finditer(text):
        above = text.count("\n", 0, block.start(1))
        exec(compile("\n" * above + block.group(1), str(page), "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def _own_folder_and_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_tutorial_measures_alpha(tmp_path: Path) -> None:
    """|α̂| lies within 4 statistical standard deviations of 45°: false alarm 6e-5 if the networks were perfect; seeded."""
    result = execute(DOCS / "tutorial.md")
    (alpha,), (sigma,) = result["result"].estimate.theta, result["result"].statistical
    assert math.radians(2) < sigma < math.radians(15)
    assert abs(abs(alpha) - math.radians(45)) < 4 * sigma
    assert {path.name for path in tmp_path.iterdir()} >= {"likelihood.pdf", "likelihood.png"}


def test_own_process_agrees_with_quadrature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's channel and configuration, from the events to the integrals, then the page's own comparison.

    The estimate from learned densities moves by less than half a statistical error from that with exact integrals. A
    deterministic run. The truth is within 4 standard deviations: false alarm 6e-5.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    page = DOCS / "guide" / "own_process.md"
    text = page.read_text(encoding="utf-8")
    definition, comparison = _BLOCK.findall(text)
    assert definition.count("\n") <= 60
    (tmp_path / "asymmetry.py").write_text(definition, encoding="utf-8")
    (configuration,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "study.toml").write_text(configuration, encoding="utf-8")
    run = Run(load(tmp_path / "study.toml"), tmp_path / "out", Console(file=io.StringIO()))
    for stage in ("simulate", "train", "integrate"):
        STAGES[stage](run)
    result: dict[str, Any] = {}
    exec(compile(comparison, str(page), "exec"), result)
    exact = result["best"]
    assert abs(result["learned"].theta[0] - exact.theta[0]) < 0.5 * exact.error[0]
    assert abs(exact.theta[0] - 0.3) < 4 * exact.error[0]
    np.testing.assert_allclose(result["coefficients"].fiducial[0, 0], result["exact_fiducial"][0], rtol=0.03)


def test_from_an_ntuple() -> None:
    result = execute(DOCS / "guide" / "my_events.md")
    assert len(result["events"]) == 300


def test_observed_events_are_written_and_read_as_described() -> None:
    result = execute(DOCS / "guide" / "own_events.md")
    assert len(result["selected"]) == 1
