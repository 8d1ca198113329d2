"""The stages of a measurement, each in a process of its own: wall time, processor time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

STAGES = ("simulate", "train", "integrate", "fit", "calibrate", "report")


def measure(config: Path, out: Path) -> tuple[str, dict[str, dict[str, float]]]:
    """The table as text, and the numbers.

    Raises:
        RuntimeError: a stage failed.
    """
    found = {stage: _stage(stage, config, out) for stage in STAGES}
    lines = ["| stage | wall time | processor time | peak memory |", "|---|---|---|---|"]
    lines += [f"| {n} | {r['wall']:.0f} s | {r['processor']:.0f} s | {r['memory']:.2f} GiB |" for n, r in found.items()]
    return "\n".join(lines) + "\n", found


def _stage(stage: str, config: Path, out: Path) -> dict[str, float]:
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "bmem", stage, str(config), "--out", str(out)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the stage {stage} failed, see above")
    return {
        "wall": time.perf_counter() - start,
        "processor": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 2**20,
    }
