"""The lock of a folder: one command at a time works in it.

The lock is a file that is made only where there is none (O_EXCL), and that tells whose it is. A process that was killed
leaves it behind: the next command on the same host finds its owner gone, says so and takes the lock over. The owner is known
by its number and the time when it started, as the system gives numbers again.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bmem.errors import ArtifactError, FolderLockedError

NAME = "bmem.lock"
_PATIENCE = 2.0
"""Seconds in which another command must have written the lock that it has made, or have taken over a stale one."""
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Owner:
    """The process that works in a folder.

    Attributes:
        pid: number of the process.
        host: name of its machine.
        started: when it started, in units of its system; "unknown" where that cannot be asked.
        command: what was called.
        space: where its number is valid on the host (containers count their own processes); empty where that is unknown.
    """

    pid: int
    host: str
    started: str
    command: str
    space: str = ""

    @classmethod
    def here(cls, command: str) -> Owner:
        """This process, at work on a ``command``."""
        pid = os.getpid()
        return cls(pid, socket.gethostname(), _started(pid) or _UNKNOWN, command, _space())

    @property
    def neighbour(self) -> bool:
        """Whether it can be seen from here if it lives."""
        return (self.host, self.space) == (socket.gethostname(), _space())

    @property
    def gone(self) -> bool:
        """Whether it is known to live no more; of other hosts this is never known."""
        if not self.neighbour:
            return False
        started = _started(self.pid)
        return started is None or (_UNKNOWN not in (started, self.started) and started != self.started)

    def __str__(self) -> str:
        return f"{self.command!r} (process {self.pid} on {self.host})"


@contextmanager
def locked(folder: Path, command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other commands out of a ``folder``, which is made if need be; ``say`` tells of a stale lock that was taken over.

    Raises:
        FolderLockedError: another command works there, or did so on another host.
        ArtifactError: the folder cannot be written.
    """
    path, owner = Path(folder) / NAME, Owner.here(command)
    _take(path, owner, say)
    try:
        yield
    finally:
        if _read(path) == owner:
            path.unlink(missing_ok=True)


def _take(path: Path, owner: Owner, say: Callable[[str], None]) -> None:
    while not _created(path, owner):
        other = _patiently(path)
        if other is None:
            continue
        if not other.gone:
            raise FolderLockedError(_refusal(path, other))
        # one successor at a time: two that found the same stale lock must not both have it
        successor = path.with_name(f"{NAME}.next")
        if not _created(successor, owner):
            _wait_for(successor)
            continue
        try:
            if _read(path) == other:
                os.replace(successor, path)
                say(f"[yellow]{path.parent}: {other} worked here and is gone; going on from what it has left[/]")
                return
        finally:
            if _read(successor) == owner:
                successor.unlink(missing_ok=True)


def _created(path: Path, owner: Owner) -> bool:
    """Make a lock where there is none; False where there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError as error:
        if not path.parent.is_dir():
            raise ArtifactError(f"{path.parent}: is a file; --out must be a folder") from error
        return False
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(owner), indent=1) + "\n")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ArtifactError(f"{path}: cannot be written ({error.strerror}); free space or choose another --out") from error
    return True


def _read(path: Path) -> Owner | None:
    """Who has a lock; None if there is none, or if it is not written yet."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _patiently(path: Path) -> Owner | None:
    """Who has a lock, once it is written; None if it is gone.

    Raises:
        FolderLockedError: it cannot be read.
    """
    end = time.monotonic() + _PATIENCE
    while path.exists():
        owner = _read(path)
        if owner is not None:
            return owner
        if time.monotonic() > end:
            raise FolderLockedError(f"{path}: a lock that cannot be read; if no command works here, delete the file")
        time.sleep(0.02)
    return None


def _wait_for(successor: Path) -> None:
    """Until another command has taken over, or failed to."""
    end = time.monotonic() + _PATIENCE
    while successor.exists():
        if time.monotonic() > end:
            raise FolderLockedError(f"{successor}: a take-over that did not end; if no command works there, delete the file")
        time.sleep(0.02)


def _refusal(path: Path, other: Owner) -> str:
    text = f"{path.parent}: {other} works in this folder; wait for it, or give this command another --out"
    if other.neighbour:
        return text
    return f"{text}. From {socket.gethostname()} nobody can tell whether it still runs: if it does not, delete {path}"


def _started(pid: int) -> str | None:
    """When a process of this host started; None if there is none (or only its body), "unknown" if that cannot be told."""
    if os.name != "posix":
        return _UNKNOWN  # Windows ends a process that is asked with os.kill
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it lives, and is somebody else's
    return _from_proc(pid) if sys.platform == "linux" else _from_ps(pid)


def _from_proc(pid: int) -> str | None:
    try:
        # the name of the program, in parentheses, may hold blanks: fields are counted behind it
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _UNKNOWN
    return None if fields[0] in "ZX" else fields[19]


def _from_ps(pid: int) -> str | None:
    try:
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return _UNKNOWN
    return done.stdout.strip() or _UNKNOWN


def _space() -> str:
    """The name space of process numbers (Linux)."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
