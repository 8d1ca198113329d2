"""A terminal without Greek letters: every command says words instead of ending in a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EVENTS = Path(__file__).parent / "data" / "user_events" / "initrwgt_in_header.lhe"


@pytest.mark.parametrize("words", [["keys"], ["version"], ["--help"], ["import", "--help"]], ids=" ".join)
def test_ascii(words: list[str]) -> None:
    assert ascii_call(*words)[0] == 0


def test_greek_is_spelled_out(tmp_path: Path) -> None:
    status, out, error = ascii_call("import", str(EVENTS), "--out", str(tmp_path))
    assert (status, error) == (0, "")
    assert "2 events at alpha = 45 deg, all checked" in out
    status, _, error = ascii_call("import", str(EVENTS), "--out", str(tmp_path), "--alpha", "700")
    assert status == 1
    assert error.startswith("bmem: InputError: alpha = 700 deg is no number within +-360 deg")


def ascii_call(*words: str) -> tuple[int, str, str]:
    found = subprocess.run(
        [sys.executable, "-m", "bmem", *words],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        encoding="ascii",
    )
    return found.returncode, found.stdout, found.stderr
