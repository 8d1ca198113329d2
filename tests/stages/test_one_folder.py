"""Two configurations in one --out: the second is refused, and the first is unharmed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bmem import artifacts
from bmem.artifacts.lock import NAME

CONFIG = Path(__file__).parents[1] / "data" / "two_seeds" / "small_run.toml"
PATIENCE = 600.0
"""Seconds after which a command counts as hung."""


def command(name: str, config: Path, out: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    call = [sys.executable, "-m", "bmem", name, str(config), "--out", str(out)]
    return subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def with_seed(folder: Path, seed: int) -> Path:
    path = folder / f"seed{seed}.toml"
    path.write_text(CONFIG.read_text(encoding="utf-8").replace("seed = 1\n", f"seed = {seed}\n"), encoding="utf-8")
    return path


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < end, f"{path} never appeared"
        time.sleep(0.01)


def seeds(out: Path) -> set[int]:
    """Those in the headers of all artifacts, and in the configuration that was kept."""
    files = [path.with_suffix("") for path in out.rglob("*.*.json")]
    settings = [artifacts.read_header(file).settings for file in files if file.is_file()]  # a history has no header
    return {found["seed"] for found in [*settings, json.loads((out / "config.json").read_text())] if "seed" in found}


def test_the_second_configuration_is_refused(tmp_path: Path) -> None:
    """The first stands still while the second tries, so that they surely meet."""
    out = tmp_path / "out"
    first = command("simulate", with_seed(tmp_path, 1), out)
    wait_for(out / NAME, first)
    first.send_signal(signal.SIGSTOP)
    try:
        second = command("simulate", with_seed(tmp_path, 2), out)
        _, error = second.communicate(timeout=PATIENCE)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert error.startswith("bmem: FolderLockedError: ")
    assert f"seed1.toml --out {out}' (process {first.pid} on " in error
    _, error = first.communicate(timeout=PATIENCE)
    assert (first.returncode, error) == (0, "")
    assert seeds(out) == {1}
    assert not (out / NAME).exists()


def test_a_killed_command_leaves_no_lock_that_holds(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = command("simulate", with_seed(tmp_path, 1), out)
    wait_for(out / NAME, first)
    first.kill()
    first.communicate()
    second = command("simulate", with_seed(tmp_path, 1), out)
    assert second.communicate(timeout=PATIENCE)[1] == ""
    assert second.returncode == 0
    assert not (out / NAME).exists()


@pytest.mark.slow
def test_two_whole_runs_at_once(tmp_path: Path) -> None:
    """They used to mix: networks of one seed were trained on the events of the other, and nobody was told."""
    out = tmp_path / "out"
    both = [command("run", with_seed(tmp_path, seed), out) for seed in (1, 2)]
    errors = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    winner = [process.returncode for process in both].index(0) + 1
    assert "FolderLockedError" in errors[2 - winner]
    assert seeds(out) == {winner}
    assert (out / "report.html").is_file()
