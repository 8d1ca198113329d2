"""One command at a time in a folder; what a dead one has left is told and taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bmem.artifacts import Owner, locked
from bmem.artifacts.lock import NAME
from bmem.errors import ArtifactError, FolderLockedError

HOLDER = """
import sys, time
from pathlib import Path
from bmem.artifacts import locked
with locked(Path(sys.argv[1]), "bmem run a.toml", print):
    print("locked", flush=True)
    time.sleep(300)
"""
ME = Owner.here("bmem run me.toml")


def left(folder: Path, owner: Owner) -> Path:
    """A lock as ``owner`` has left it."""
    path = folder / NAME
    path.write_text(json.dumps(asdict(owner)))
    return path


def silent(text: str) -> None:
    raise AssertionError(f"nothing is to be told, but: {text}")


def dead_process() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_is_there_only_while_it_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    for _ in range(2):
        with locked(folder, "bmem run a.toml", silent):
            assert json.loads((folder / NAME).read_text()) == asdict(Owner.here("bmem run a.toml"))
        assert list(folder.iterdir()) == []


def test_it_goes_when_the_command_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path, "bmem run a.toml", silent):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_is_refused_and_told_who_works_there(tmp_path: Path) -> None:
    with locked(tmp_path, "bmem run a.toml", silent):
        with pytest.raises(FolderLockedError, match=rf"'bmem run a\.toml' \(process {os.getpid()} on .*another --out"):
            locked(tmp_path, "bmem run b.toml", silent).__enter__()
        assert (tmp_path / NAME).exists()


def test_a_killed_process_is_told_and_taken_over(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(FolderLockedError, match=f"process {process.pid}"):
        locked(tmp_path, "bmem run b.toml", silent).__enter__()
    process.send_signal(signal.SIGKILL)
    process.wait()
    told: list[str] = []
    with locked(tmp_path, "bmem run b.toml", told.append):
        assert json.loads((tmp_path / NAME).read_text())["command"] == "bmem run b.toml"
    assert len(told) == 1
    assert f"'bmem run a.toml' (process {process.pid} on " in told[0]
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_was_given_again_is_not_its_owner(tmp_path: Path) -> None:
    left(tmp_path, replace(ME, started="12345"))
    told: list[str] = []
    with locked(tmp_path, "bmem run b.toml", told.append):
        pass
    assert len(told) == 1


def test_where_the_start_is_not_known_a_living_process_counts_as_the_owner(tmp_path: Path) -> None:
    left(tmp_path, replace(ME, started="unknown"))
    with pytest.raises(FolderLockedError, match="works in this folder"):
        locked(tmp_path, "bmem run b.toml", silent).__enter__()


@pytest.mark.parametrize("place", [{"host": "another.example"}, {"space": "pid:[1]"}], ids=["host", "container"])
def test_a_lock_from_elsewhere_is_never_taken_over(place: dict[str, str], tmp_path: Path) -> None:
    path = left(tmp_path, replace(ME, pid=dead_process(), **place))
    with pytest.raises(FolderLockedError, match=rf"nobody can tell whether it still runs.*delete {path}"):
        locked(tmp_path, "bmem run b.toml", silent).__enter__()
    path.unlink()
    with locked(tmp_path, "bmem run b.toml", silent):
        pass


def test_a_lock_that_cannot_be_read_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bmem.artifacts.lock._PATIENCE", 0.05)
    (tmp_path / NAME).write_text("{")
    with pytest.raises(FolderLockedError, match="delete the file"):
        locked(tmp_path, "bmem run b.toml", silent).__enter__()


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path: Path) -> None:
    """Twenty at once, again and again; two that work at the same time would meet in ``inside``."""
    inside, most, refused = [0], [0], [0]
    guard = threading.Lock()

    def command(number: int) -> None:
        try:
            with locked(tmp_path, f"bmem run {number}.toml", lambda _: None):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                done.wait(5)
                with guard:
                    inside[0] -= 1
        except FolderLockedError:
            with guard:
                refused[0] += 1
                if refused[0] == 19:
                    done.set()

    for _ in range(5):
        left(tmp_path, replace(ME, pid=dead_process()))
        done, refused[0] = threading.Event(), 0
        commands = [threading.Thread(target=command, args=(number,)) for number in range(20)]
        for thread in commands:
            thread.start()
        for thread in commands:
            thread.join()
        assert (most[0], inside[0], refused[0]) == (1, 0, 19)
        assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with pytest.raises(ArtifactError, match="is a file"):
        locked(tmp_path / "out", "bmem run a.toml", silent).__enter__()
    assert (tmp_path / "out").read_text() == "precious"
