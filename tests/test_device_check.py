"""``studies/benchmarks/device_check.py`` on the CPU: everything agrees with itself, to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import bmem

SCRIPT = Path(__file__).parents[1] / "studies" / "benchmarks" / "device_check.py"


def checked(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(bmem.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(SCRIPT), "--events", "3000", "--points", "32", "--epochs", "1", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)


def test_the_cpu_agrees_with_itself() -> None:
    done = checked("--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0].strip("| ") for row in rows] == [
        "simulated events",
        "training, transfer",
        "training, acceptance",
        "training, proposal",
        "log densities",
        "integrals",
    ]
    assert {float(row[1]) for row in rows} == {0.0}


def test_a_device_that_is_not_there_is_told() -> None:
    done = checked("--device", "cuda:99")
    assert done.returncode == 1
    assert "DeviceError: device 'cuda:99' is not there" in done.stderr.replace("bmem.errors.", "")
