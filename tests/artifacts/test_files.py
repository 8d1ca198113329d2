"""Artifacts: complete or absent at every moment, never silently wrong, and nothing lost when a disk is full."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bmem import artifacts
from bmem.errors import ArtifactError


def save(path: Path, content: str = "old", **more: object) -> artifacts.Header:
    return artifacts.write(path, "note", lambda p: p.write_text(content) and None, **more)  # type: ignore[arg-type]


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_write_and_verify(tmp_path: Path) -> None:
    parent = tmp_path / "parent.txt"
    save(parent)
    path = tmp_path / "deep" / "note.txt"
    header = save(path, settings={"seed": 1, "cuts": (1, 2)}, parents={"hard": parent})
    assert artifacts.exists(path)
    assert artifacts.verify(path, "note") == header
    assert header.settings == {"seed": 1, "cuts": [1, 2]}
    assert header.parents == {"hard": artifacts.checksum(parent)}
    assert {"python", "torch", "numpy"} <= set(header.versions)
    assert listing(path.parent) == ["note.txt", "note.txt.json"]
    assert path.stat().st_mode & 0o777 == artifacts.sidecar(path).stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    with pytest.raises(ArtifactError, match=r"note.txt: there is no such file; run the stage"):
        artifacts.verify(path, "note")
    path.write_text("no header")
    assert not artifacts.exists(path)
    with pytest.raises(ArtifactError, match=r"no header note\.txt\.json beside it"):
        artifacts.verify(path, "note")
    save(path)
    with pytest.raises(ArtifactError, match="holds 'note', but 'events' was asked for"):
        artifacts.verify(path, "events")


@pytest.mark.parametrize("damage", [b"", b"ol", b"old!", b"olD"])
def test_damaged_bytes(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "note.txt"
    save(path)
    path.write_bytes(damage)
    with pytest.raises(ArtifactError, match="checksum differs from its header"):
        artifacts.verify(path, "note")


@pytest.mark.parametrize(
    "header",
    ["", "{", "[]", "null", '{"kind": "note"}', '{"format_version": "x"}', '{"format_version": 1, "odd": 1}', "\xff"],
)
def test_damaged_headers(tmp_path: Path, header: str) -> None:
    path = tmp_path / "note.txt"
    save(path)
    artifacts.sidecar(path).write_bytes(header.encode("latin-1"))
    with pytest.raises(ArtifactError, match="no readable bmem header"):
        artifacts.verify(path, "note")


def test_a_newer_format_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    """Used to call a newer header unreadable, and to advise deleting it, if it had a field that is not known yet."""
    path = tmp_path / "note.txt"
    save(path)
    content = json.loads(artifacts.sidecar(path).read_text())
    newer = content | {"format_version": artifacts.FORMAT_VERSION + 1, "signature": "unknown to this version"}
    artifacts.sidecar(path).write_text(json.dumps(newer))
    with pytest.raises(ArtifactError, match=r"format version 2 is newer than bmem reads \(1\); update bmem"):
        artifacts.verify(path, "note")


def test_a_failing_writer_leaves_the_old_artifact(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    save(path)

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyError("a mistake in the program")

    with pytest.raises(KeyError):
        artifacts.write(path, "note", fail)
    artifacts.verify(path, "note")
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["note.txt", "note.txt.json"]


def test_what_cannot_be_told_in_a_header_stops_before_writing(tmp_path: Path) -> None:
    """Used to replace the data first, and to fail at the header."""
    path = tmp_path / "note.txt"
    save(path)
    with pytest.raises(TypeError):
        save(path, "new", settings={"object": object()})
    with pytest.raises(ArtifactError, match=r"absent\.txt: no header"):
        save(path, "new", parents={"absent": tmp_path / "absent.txt"})
    assert path.read_text() == "old"
    artifacts.verify(path, "note")


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_full_disk_at_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "note.txt"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(ArtifactError, match=r"No space left on device\); free space"):
            save(path)
    assert listing(tmp_path) == []
    save(path)
    artifacts.verify(path, "note")


@pytest.mark.parametrize(
    "text", ["Error while serializing: I/O error: File too large (os error 27)", "failed (errno = 28, x)"]
)
def test_a_full_disk_in_the_words_of_a_library(tmp_path: Path, text: str) -> None:
    path = tmp_path / "note.txt"
    save(path)

    def fail(_: Path) -> None:
        raise RuntimeError(text)

    with pytest.raises(ArtifactError, match=r"note\.txt: cannot be written") as caught:
        artifacts.write(path, "note", fail)
    assert str(caught.value).count("cannot be written") == 1
    artifacts.verify(path, "note")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from bmem import artifacts
from bmem.errors import ArtifactError
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    artifacts.write(path, "note", lambda p: p.write_text(1_000_000 * "x") and None)
except ArtifactError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file size limits")
def test_a_file_that_hits_the_limit_of_the_system(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    save(path)
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    assert f"{path}: cannot be written (File too large)" in done.stdout
    assert path.read_text() == "old"
    artifacts.verify(path, "note")
    assert listing(tmp_path) == ["note.txt", "note.txt.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from bmem import artifacts
path, deadly = Path(sys.argv[1]), int(sys.argv[2])
steps = 0
def counted(call):
    def step(*arguments):
        global steps
        steps += 1
        if steps == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return step
for name in ("fsync", "chmod", "replace", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
artifacts.write(path, "note", lambda p: p.write_text("new") and None)
print(steps)
"""


@pytest.mark.parametrize("before", [True, False], ids=["over an old one", "new"])
def test_killed_at_any_step_it_is_whole_or_absent(tmp_path: Path, before: bool) -> None:
    """kill -9 before each system call. Used to leave new data beside the old header, which was then called damaged."""
    seen = set()
    for deadly in range(1, 20):
        path = tmp_path / str(deadly) / "note.txt"
        if before:
            save(path)
        command = [sys.executable, "-c", KILLED, str(path), str(deadly)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if artifacts.exists(path):
            artifacts.verify(path, "note")
            seen.add(path.read_text())
        else:
            seen.add("absent")
            save(path, "again")  # what the stage does then
            artifacts.verify(path, "note")
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
    else:
        pytest.fail("the write never came to its end")
    assert seen == ({"old", "absent", "new"} if before else {"absent", "new"})
