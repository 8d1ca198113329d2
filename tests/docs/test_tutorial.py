"""The code in the documentation runs as it stands: all Python blocks of a page, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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
    executed = execute(DOCS / "tutorial.md")
    result = executed["result"]
    alpha, sigma = result.estimate.value, result.estimate.sources["statistical"]
    assert 2 < sigma < 15
    assert abs(abs(alpha) - 45) < 4 * sigma
    assert result.replicas == 4
    assert executed["minuit"].valid
    assert (tmp_path / "likelihood.png").is_file()


def test_own_process_agrees_with_quadrature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's channel and configuration, through the page's own chain and its comparison.

    The estimate from learned densities moves by less than half a statistical error from that with exact integrals. A
    deterministic run. The truth is within 4 standard deviations: false alarm 6e-5.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    page = DOCS / "guide" / "own_process.md"
    text = page.read_text(encoding="utf-8")
    definition = _BLOCK.findall(text)[0]
    assert definition.count("\n") <= 60
    (tmp_path / "asymmetry.py").write_text(definition, encoding="utf-8")
    (configuration,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "study.toml").write_text(configuration, encoding="utf-8")
    result = execute(page)
    learned, exact = (result[name].estimate for name in ("learned", "exact"))
    error = exact.sources["statistical"]
    assert abs(learned.value - exact.value) < 0.5 * error
    assert abs(exact.value - 0.3) < 4 * error
    np.testing.assert_allclose(result["coefficients"].fiducial[0, 0], result["fiducial"][0], rtol=0.03)


def test_the_chain_on_both_pages_is_short() -> None:
    """What a notebook needs, beside the channel of one's own: at most 40 lines on either page."""
    for page, skipped in (("tutorial.md", 0), ("guide/own_process.md", 1)):
        blocks = _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))[skipped:]
        assert sum(bool(line.strip()) for block in blocks for line in block.splitlines()) <= 40


def test_from_an_ntuple() -> None:
    result = execute(DOCS / "guide" / "my_events.md")
    assert len(result["events"]) == 300


def test_observed_events_are_written_and_read_as_described() -> None:
    result = execute(DOCS / "guide" / "own_events.md")
    assert len(result["selected"]) == 1
