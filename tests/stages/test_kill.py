"""A run that is killed goes on to the very numbers of a run that is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bmem import artifacts
from bmem.likelihood.coefficients import Coefficients

CONFIG = Path(__file__).parent / "tiny.toml"
RUN = "import sys; from bmem.cli import main; sys.argv[0] = 'bmem'; main()"
PATIENCE = 300.0
"""Seconds after which a run counts as hung."""

KILL_AT = {
    "simulate": "events/alpha45.parquet.json",
    "train, first epoch": "cache/train/transfer/transfer.safetensors",
    "train, between networks": "networks/transfer.safetensors.json",
    "integrate, before the first block": "likelihood/fiducial.npz.json",
    "integrate, first block": "cache/integrate/alpha45/events-00000000.npz",
    "fit": "likelihood/alpha45.nc.json",
    "calibrate": "fit/alpha45.json.json",
    "report": "figures",
}
"""The file whose appearance triggers the kill; the stage named is then at work or about to begin."""


def start(out: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", RUN, "run", str(CONFIG), "--out", str(out)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(out: Path) -> None:
    process = start(out)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, error.decode()


def kill_when(process: subprocess.Popen[bytes], sign: Path) -> None:
    """Kill the process as soon as ``sign`` exists; it must still be at work then."""
    end = time.monotonic() + PATIENCE
    while not sign.exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, f"{sign} never appeared"
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    finish(out)
    return out


def same_numbers(one: Path, other: Path) -> None:
    """Coefficients, fit and calibration agree bit by bit."""
    for name in ("alpha45.nc", "alpha45.hard.nc"):
        a, b = (Coefficients.load(out / "likelihood" / name) for out in (one, other))
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.fiducial, b.fiducial)
        np.testing.assert_array_equal(a.covariance, b.covariance)
        assert (a.bootstrap is None) == (b.bootstrap is None)
        if a.bootstrap is not None:
            np.testing.assert_array_equal(a.bootstrap, b.bootstrap)
    for name in ("fit/alpha45.json", "calibration/alpha45.json"):
        assert json.loads((one / name).read_text()) == json.loads((other / name).read_text())


@pytest.mark.slow
@pytest.mark.parametrize("sign", KILL_AT.values(), ids=KILL_AT.keys())
def test_killed_and_resumed(sign: str, uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    kill_when(start(out), out / sign)
    assert not (out / "report.html").exists()
    finish(out)
    same_numbers(uninterrupted, out)
    assert (out / "report.html").is_file()


@pytest.mark.slow
def test_killed_again_and_again(uninterrupted: Path, tmp_path: Path) -> None:
    """The same folder survives a kill in every stage, one after the other."""
    out = tmp_path / "out"
    for sign in KILL_AT.values():
        if not (out / sign).exists():
            kill_when(start(out), out / sign)
    finish(out)
    same_numbers(uninterrupted, out)
    names = [path.relative_to(uninterrupted) for path in uninterrupted.rglob("*.json")]
    assert [str(name) for name in names if not (out / name).is_file()] == []
    for path in (out / "networks").glob("*.safetensors"):
        artifacts.verify(path, "network")
