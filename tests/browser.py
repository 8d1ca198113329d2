"""A real browser without a screen: how a page comes out at a width. Without one, tests are skipped with a warning."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

WIDTHS = (1280, 768, 390)
"""Pixels of a screen, a tablet and a phone."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # there is no network
    "--dump-dom",
)
_FRAME = '<html><body><iframe style="border: 0; width: {}px; height: 2000px" srcdoc="{}"></iframe></body></html>'
"""A window is never narrower than 500 pixels, a frame is."""
_MEASURE = """
<script>
addEventListener("load", () => {
  const boxes = (what) => [...document.querySelectorAll(what)].map((one) => [one, one.getBoundingClientRect()]);
  const name = (one) => (one.className.baseVal ?? one.className) + " " + one.tagName + ": " + one.textContent.slice(0, 60);
  const found = {
    width: innerWidth,
    page: document.documentElement.scrollWidth,
    outside: boxes("body *").filter(([one, box]) => box.right > innerWidth + 1 && !one.closest(".scroll, pre"))
      .map(([one]) => name(one)),
    cut: boxes(".scroll").filter(([one]) => one.scrollWidth > one.clientWidth
      && getComputedStyle(one).overflowX != "auto").map(([one]) => name(one)),
    missing: [...document.images].filter((one) => !one.complete || !one.naturalWidth).map((one) => one.alt),
    images: document.images.length,
    empty: boxes("svg.formula").filter(([, box]) => box.width < 2 || box.height < 2).length,
    formulas: boxes("svg.formula").length,
    loaded: performance.getEntriesByType("resource").map((one) => one.name).filter((one) => !one.startsWith("data:")),
  };
  const told = parent.document.createElement("pre");
  told.id = "measured";
  told.textContent = JSON.stringify(found);
  parent.document.body.append(told);
});
</script>
"""


@dataclass(frozen=True)
class Shown:
    """A page at a ``width``: how wide the ``page`` became, what lies ``outside`` or is ``cut``, how many ``images`` there
    are and which are ``missing``, how many ``formulas`` and ``empty`` ones, and what was ``loaded`` from elsewhere."""

    width: int
    page: int
    outside: list[str]
    cut: list[str]
    missing: list[str]
    images: int
    empty: int
    formulas: int
    loaded: list[str]


def opened(page: Path, width: int, folder: Path) -> Shown:
    """Open a copy of ``page`` that measures itself; the copy and what the browser writes go into ``folder``."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        reason = f"no browser ({', '.join(NAMES)}): the report was NOT opened in one"
        warnings.warn(reason, stacklevel=2)
        pytest.skip(reason)
    text = page.read_text(encoding="utf-8").replace("</body>", _MEASURE + "</body>")
    frame = folder / "frame.html"
    frame.write_text(_FRAME.format(width, html.escape(text)), encoding="utf-8")
    where = [f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2000", frame.as_uri()]
    done = subprocess.run([browser, *_FLAGS, *where], capture_output=True, text=True, timeout=180, check=True)
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return Shown(**json.loads(html.unescape(found[1])))


def check(shown: Shown, width: int) -> None:
    """Nothing leaves the window but what scrolls inside of it, everything is there, and nothing came from elsewhere."""
    assert shown.width == width
    assert shown.outside == []
    assert shown.cut == []
    assert shown.page <= width
    assert shown.missing == []
    assert shown.empty == 0
    assert shown.loaded == []
