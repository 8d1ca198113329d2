"""The text of Les Houches event files (hep-ph/0609017, arXiv:1405.1067): from lines to numbers, in chunks of events.

Structure only: tags, counts, complete numbers. What the numbers mean is checked in ``bmem.events.lhe``. pylhe is not used to
read, because it accepts truncated files and wrong particle counts without a word.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from bmem.errors import EventFileError

CHUNK = 10_000
PARTICLES = 5
_HEAD_COLUMNS, _PARTICLE_COLUMNS = 6, 13
GZIP_MAGIC = b"\x1f\x8b"
AGAIN = "copy or generate the file again"


@dataclass(frozen=True)
class Chunk:
    """Consecutive events; ``first`` is the number of the first one in its file, counted from 1.

    ``heads`` [n, 6] NUP IDPRUP XWGTUP SCALUP AQEDUP AQCDUP; ``particles`` [n, 5, 13] IDUP ISTUP MOTHUP(2) ICOLUP(2)
    PUP(px, py, pz, E, m) VTIMUP SPINUP.
    """

    first: int
    heads: NDArray[np.float64]
    particles: NDArray[np.float64]


@dataclass(frozen=True)
class Preamble:
    """What stands before the events: the text of the header, and the lines of the <init> block."""

    header: str
    init: tuple[str, ...]


class LHEReader:
    """Reads one file from beginning to end: first ``preamble``, then ``chunks``."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._lines = iter(stream)
        self.number = 0
        """Number of the event that was begun last, counted from 1."""

    def preamble(self) -> Preamble:
        """Everything up to </init>."""
        self._begin()
        header = self._until("<init", "its header")
        init = self._until("</init", "its <init> block")
        return Preamble("".join(header), tuple(line for line in init if line.strip()))

    def chunks(self) -> Iterator[Chunk]:
        """The events, at most ``CHUNK`` at a time, each with exactly five particles."""
        events: list[list[str]] = []
        for rows in self._events():
            events.append(rows)
            if len(events) == CHUNK:
                yield self._chunk(events)
                events = []
        if events:
            yield self._chunk(events)

    def _error(self, what: str) -> EventFileError:
        return EventFileError(f"{self._path}: {what}")

    def _begin(self) -> None:
        """Go to the opening tag, past an XML declaration and blank lines."""
        for line in self._lines:
            text = line.strip().lstrip("\ufeff")
            if text.startswith("<LesHouchesEvents"):
                return
            if text and not text.startswith("<?xml"):
                kind = "an HTML page (a failed download?)" if "html" in text[:100].lower() else "not an LHE file"
                raise self._error(f"is {kind}: it does not begin with <LesHouchesEvents>; give a .lhe or .lhe.gz file")
        raise self._error(f"is empty; {AGAIN}")

    def _until(self, tag: str, where: str) -> list[str]:
        """The lines before the one that begins with ``tag``."""
        found: list[str] = []
        for line in self._lines:
            text = line.lstrip()
            if text.startswith(tag):
                return found
            if text.startswith("<event>"):
                raise self._error(f"its events begin before {where} has ended ({tag}> is missing); {AGAIN}")
            found.append(line)
        raise self._error(f"is truncated: it ends within {where}; {AGAIN}")

    def _events(self) -> Iterator[list[str]]:
        """The lines of numbers of each event."""
        for line in self._lines:
            text = line.lstrip()
            if text.startswith("<event>") or text.startswith("<event "):
                self.number += 1
                yield self._rows()
            elif text.startswith("</LesHouchesEvents"):
                break
        else:
            raise self._error(f"is truncated: it ends after event {self.number} without </LesHouchesEvents>; {AGAIN}")
        if any(line.strip() for line in self._lines):
            raise self._error("goes on after </LesHouchesEvents>; files cannot be joined end to end, read them one by one")

    def _rows(self) -> list[str]:
        """The event line and the particle lines of the event that has just begun."""
        rows: list[str] = []
        optional = False
        for line in self._lines:
            text = line.strip()
            if text.startswith("<"):
                if text.startswith("</event>"):
                    return self._counted(rows)
                if text.startswith("<event>"):
                    break
                optional = True  # weights and other blocks follow the particles
            elif text and not optional and text[0] != "#":
                rows.append(text)
        raise self._error(f"is truncated: it ends in the middle of event {self.number} (no </event>); {AGAIN}")

    def _counted(self, rows: list[str]) -> list[str]:
        said = rows[0].split(maxsplit=1)[0] if rows else "no"
        if said != str(len(rows) - 1):
            raise self._error(f"event {self.number} says {said} particles and holds {max(len(rows) - 1, 0)}; {AGAIN}")
        if len(rows) != PARTICLES + 1:
            codes = " ".join(row.split(maxsplit=1)[0] for row in rows[1:])
            raise self._error(
                f"event {self.number} holds {said} particles ({codes}), but tHj has {PARTICLES}: two incoming, a top, a "
                "Higgs boson, a light jet, all undecayed; generate p p > t h j without decays, they are bmem's work"
            )
        return rows

    def _chunk(self, events: list[list[str]]) -> Chunk:
        first = self.number - len(events) + 1
        try:
            heads = np.loadtxt([rows[0] for rows in events], ndmin=2)
            particles = np.loadtxt([row for rows in events for row in rows[1:]], ndmin=2)
            return Chunk(
                first, heads.reshape(-1, _HEAD_COLUMNS), particles.reshape(len(events), PARTICLES, _PARTICLE_COLUMNS)
            )
        except ValueError as error:
            raise self._malformed(first, events) from error

    def _malformed(self, first: int, events: list[list[str]]) -> EventFileError:
        """The error of the first event with a line that is not the right number of numbers."""
        for number, rows in enumerate(events, first):
            for row, columns in zip(rows, [_HEAD_COLUMNS] + PARTICLES * [_PARTICLE_COLUMNS], strict=True):
                if not _is_numbers(row, columns):
                    return self._error(f"event {number} has a line that is not {columns} numbers: {row[:120]!r}; {AGAIN}")
        return self._error(f"events {first} to {self.number} hold malformed numbers; {AGAIN}")


def _is_numbers(row: str, columns: int) -> bool:
    fields = row.split("#", maxsplit=1)[0].split()
    try:
        return len([float(field) for field in fields]) == columns
    except ValueError:
        return False


@contextmanager
def open_lhe(path: Path) -> Iterator[LHEReader]:
    """Open an LHE file, plain or gzip (told by its content, not its name).

    Raises:
        EventFileError: it cannot be opened, or (from the reading in the block) its gzip stream is damaged or ends early.
    """
    path = Path(path)
    reader = None
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
        opener = gzip.open if zipped else open
        with opener(path, "rt", encoding="utf-8", errors="replace") as stream:
            reader = LHEReader(path, stream)
            yield reader
    except EOFError as error:
        raise EventFileError(
            f"{path}: its gzip stream ends early{_after(reader)}: the file is truncated; {AGAIN}"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise EventFileError(f"{path}: its gzip stream is damaged{_after(reader)} ({error}); {AGAIN}") from error
    except OSError as error:
        raise EventFileError(
            f"{path}: cannot be read ({error.strerror or error}); check the name and permissions"
        ) from error


def _after(reader: LHEReader | None) -> str:
    return "" if reader is None else f" after event {reader.number}"
