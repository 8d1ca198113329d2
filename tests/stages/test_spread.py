"""A run whose work is spread over processes leaves the numbers of one that is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_kill import CONFIG, PATIENCE, same_numbers

BANKED = """
[belt]
bank_events = 6000
toys = 1000
points = 9
[calibration]
subsamples = 3
size = 15
toys = 200
truths = [0, 90]
simulations = 40
"""


def bmem(out: Path, *options: str) -> None:
    """``python -m bmem run`` of the tiny configuration with a bank."""
    config = out.parent / "study.toml"
    text = CONFIG.read_text(encoding="utf-8")
    config.write_text(text[: text.index("[calibration]")] + BANKED, encoding="utf-8")
    command = [sys.executable, "-m", "bmem", "run", str(config), "--out", str(out), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_two_workers_leave_the_numbers_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    bmem(alone)
    bmem(shared, "--workers", "2")
    same_numbers(alone, shared)
    for name in ("calibration/period.json", "calibration/bank/sbc.json", "fit/belts/20_events.json"):
        assert (alone / name).read_bytes() == (shared / name).read_bytes()
