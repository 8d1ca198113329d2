"""The pages name words and objects that exist, and their formulas need nothing but a browser.

Continuous integration builds them with warnings as errors, and sees to it that they fetch nothing.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


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


def test_every_formula_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its TeX is left over, and no letter is of a variant, which browsers do not draw."""
    monkeypatch.syspath_prepend(str(DOCS))
    pages = [*sorted(DOCS.rglob("*.md")), *sorted(DOCS.rglob("*.ipynb"))]
    found = 0
    for path in pages:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = text.replace("\\\\", "\\").replace('\\n"', "")
        text = re.sub(r"```.*?```|`[^`\n]*`|^ *\"[^\"]*print.*$", "", text, flags=re.DOTALL | re.MULTILINE)
        for block, inline in re.findall(r"\$\$(.+?)\$\$|(?<![\\$\w])\$([^$\n]+)\$(?!\w)", text, re.DOTALL):
            markup = importlib.import_module("mathml").drawn(block or inline, "block" if block else "inline")
            assert markup.startswith("<math"), (path, block or inline)
            assert re.findall(r"\\[a-z]+|mathvariant=\"(?!normal|bold)", markup) == [], (path, block or inline)
            found += 1
    assert found > 150
