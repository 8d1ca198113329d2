"""The report of a whole run in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import WIDTHS, check, opened

from bmem.stages import Run


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_of_a_run_is_whole(finished: Run, width: int, tmp_path: Path) -> None:
    shown = opened(finished.out / "report.html", width, tmp_path)
    check(shown, width)
    assert shown.images > 10
    assert shown.formulas > 5
