"""The pages build without a warning, need no network to be read, and name words and objects that exist."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.slow
def test_the_pages_need_no_network(tmp_path: Path) -> None:
    """No script and no style of the pages comes from elsewhere; formulas are MathML."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT)
    page = (tmp_path / "guide" / "concepts.html").read_text(encoding="utf-8")
    assert page.count("<math") > 50
    assert "mathjax" not in page.lower()
    for path in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?://[^\"]+)", path.read_text(encoding="utf-8"))
        assert fetched == [], path
    assert "<svg" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_words_and_objects() -> None:
    """Each object of the page can be imported by the name that it is linked to; there are twenty."""
    text = (DOCS / "guide" / "objects.md").read_text(encoding="utf-8")
    links = re.findall(r"\{py:\w+\}`(?:[^`<]*<)?~?([\w.]+)>?`", text)
    assert len(links) == len(set(links)) == 20
    for link in links:
        module, name = link.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), name), link
    words = re.findall(r"^(\S.*)\n  \S", (DOCS / "guide" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"replica", "bank", "belt", "yardstick", "Pareto k"} <= set(words)
    assert words == sorted(words, key=str.casefold)


def test_every_formula_can_be_drawn() -> None:
    """By the converter that the pages use, which refuses what it does not know."""
    converter = pytest.importorskip("latex2mathml.converter", reason="the extra docs is not installed")
    for path in sorted(DOCS.rglob("*.md")):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for display, inline in re.findall(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+)\$", text, re.DOTALL):
            drawn = converter.convert(display or inline)
            assert r"\\" not in drawn.replace(r"\\\\", ""), (path, display or inline)
