"""The text of Les Houches event files (hep-ph/0609017, arXiv:1405.1067): from lines to numbers, in chunks of events.

Structure only, of any process: tags, counts, complete numbers. What they mean is checked in ``bmem.events.lhe_checks``.
pylhe is not used to read, because it accepts truncated files and wrong particle counts without a word.

Generators write freely around the numbers, so tags are known by their whole name (``<initrwgt>`` is not ``<init>``), only
where a line begins, and neither in comments (XML's and ``#``) nor in CDATA nor inside of <header>. After the particles an
event may hold whatever the generator likes, and after </LesHouchesEvents> there may be lines that are no tags (POWHEG).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from bmem.errors import EventFileError

CHUNK = 10_000
_HEAD_COLUMNS, _PARTICLE_COLUMNS = 6, 13
GZIP_MAGIC = b"\x1f\x8b"
AGAIN = "copy or generate the file again"
_TAG = re.compile(r"\s*<(/?[A-Za-z_][\w.-]*)(?=[\s/>])")
_BLOCKS = {"<!--": "-->", "<![CDATA[": "]]>"}
_FORTRAN = str.maketrans("dD", "ee")


@dataclass(frozen=True)
class Chunk:
    """Consecutive events; ``first`` is the number of the first one in its file, counted from 1.

    ``heads`` [n, 6] NUP IDPRUP XWGTUP SCALUP AQEDUP AQCDUP; ``particles`` [n, most, 13] IDUP ISTUP MOTHUP(2) ICOLUP(2)
    PUP(px, py, pz, E, m) VTIMUP SPINUP, zero beyond the NUP particles of an event.
    """

    first: int
    heads: NDArray[np.float64]
    particles: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Particles of each event [n]."""
        return self.heads[:, 0].astype(np.int64)


@dataclass(frozen=True)
class Preamble:
    """What stands before the events: the text before <init>, and the lines of numbers of the <init> block."""

    header: str
    init: tuple[str, ...]


class LHEReader:
    """Reads one file from beginning to end: first ``preamble``, then ``chunks``."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._lines = without_comments(stream)
        self.number = 0
        """Number of the event that was begun last, counted from 1."""

    def preamble(self) -> Preamble:
        """Everything up to </init>."""
        self._begin()
        header = self._until("init", "its header")
        init = [line.split("#", maxsplit=1)[0] for line in self._until("/init", "its <init> block")]
        return Preamble("".join(header), tuple(line for line in init if line.strip() and not line.lstrip().startswith("<")))

    def chunks(self) -> Iterator[Chunk]:
        """The events, at most ``CHUNK`` at a time."""
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
            if _tag(text) == "LesHouchesEvents":
                return
            if text and not text.startswith("<?xml"):
                kind = "an HTML page (a failed download?)" if "html" in text[:100].lower() else "not an LHE file"
                raise self._error(f"is {kind}: it does not begin with <LesHouchesEvents>; give a .lhe or .lhe.gz file")
        raise self._error(f"is empty; {AGAIN}")

    def _until(self, tag: str, where: str) -> list[str]:
        """The lines before the one that begins with ``tag``; what stands inside of <header> is text."""
        found: list[str] = []
        inside = False
        for line in self._lines:
            name = _tag(line)
            if name in ("header", "/header"):
                inside = name == "header" and "</header>" not in line
            elif name == tag and not inside:
                return found
            elif name == "event" and not inside:
                raise self._error(f"its events begin before {where} has ended (<{tag}> is missing); {AGAIN}")
            found.append(line)
        raise self._error(f"is truncated: it ends within {where}; {AGAIN}")

    def _events(self) -> Iterator[list[str]]:
        """The lines of numbers of each event."""
        for line in self._lines:
            name = _tag(line)
            if name == "event":
                self.number += 1
                yield self._rows()
            elif name == "/LesHouchesEvents":
                break
        else:
            raise self._error(f"is truncated: it ends after event {self.number} without </LesHouchesEvents>; {AGAIN}")
        if any(_tag(line) in ("LesHouchesEvents", "init", "event") for line in self._lines):
            raise self._error("goes on after </LesHouchesEvents>; files cannot be joined end to end, read them one by one")

    def _rows(self) -> list[str]:
        """The event line and the particle lines of the event that has just begun."""
        rows: list[str] = []
        optional = False
        for line in self._lines:
            text = line.strip()
            if text.startswith("<"):
                name = _tag(text)
                if name == "/event":
                    return self._counted(rows)
                if name in ("event", "/LesHouchesEvents"):
                    break
                optional = True  # weights and other blocks follow the particles
            elif text and not optional and text[0] != "#":
                rows.append(text)
        raise self._error(f"is truncated: it ends in the middle of event {self.number} (no </event>); {AGAIN}")

    def _counted(self, rows: list[str]) -> list[str]:
        """The rows that the event line announces; further ones are the generator's own unless they look like particles."""
        said = rows[0].split(maxsplit=1)[0] if rows else "no"
        count = int(said) if said.isdecimal() else -1
        found = max(len(rows) - 1, 0)
        if 0 < count < found:
            found = count + sum(_is_numbers(row, _PARTICLE_COLUMNS) for row in rows[count + 1 :])
        if count < 1 or found != count:
            raise self._error(f"event {self.number} says {said} particles and holds {found}; {AGAIN}")
        return rows[: count + 1]

    def _chunk(self, events: list[list[str]]) -> Chunk:
        first = self.number - len(events) + 1
        try:
            heads = _numbers((rows[0] for rows in events), _HEAD_COLUMNS)
            flat = _numbers((row for rows in events for row in rows[1:]), _PARTICLE_COLUMNS)
        except ValueError as error:
            raise self._malformed(first, events) from error
        counts = np.array([len(rows) - 1 for rows in events])
        there = np.arange(counts.max()) < counts[:, None]
        particles = np.zeros((*there.shape, _PARTICLE_COLUMNS))
        particles[there] = flat
        return Chunk(first, heads, particles)

    def _malformed(self, first: int, events: list[list[str]]) -> EventFileError:
        """The error of the first event with a line that is not the right number of numbers."""
        for number, rows in enumerate(events, first):
            for row, columns in zip(rows, [_HEAD_COLUMNS] + (len(rows) - 1) * [_PARTICLE_COLUMNS], strict=True):
                if not _is_numbers(row, columns):
                    return self._error(f"event {number} has a line that is not {columns} numbers: {row[:120]!r}; {AGAIN}")
        return self._error(f"events {first} to {self.number} hold malformed numbers; {AGAIN}")


def without_comments(lines: Iterable[str]) -> Iterator[str]:
    """``lines`` without XML comments, and with the tags in CDATA made harmless."""
    closing = ""
    for line in lines:
        if closing or ("<!" in line and not line.lstrip().startswith("#")):
            kept, closing = _stripped(line, closing)
            yield kept
        else:
            yield line


def _stripped(line: str, closing: str) -> tuple[str, str]:
    """The text of a line, and what ends the block that is open after it ("" if none is)."""
    kept = ""
    while line:
        if closing:
            inside, found, line = line.partition(closing)
            kept += inside.replace("<", "&lt;") if closing == "]]>" else ""
            closing = "" if found else closing
            continue
        place, opening = min((line.find(sign) % (len(line) + 1), sign) for sign in _BLOCKS)
        kept += line[:place]
        closing = _BLOCKS[opening] if place < len(line) else ""
        line = line[place + len(opening) :]
    return (kept if kept.endswith("\n") else kept + "\n"), closing


def _tag(line: str) -> str:
    """The name of the tag with which a line begins, "/name" of a closing one, "" without one."""
    found = _TAG.match(line)
    return "" if found is None else found[1]


def _numbers(rows: Iterable[str], columns: int) -> NDArray[np.float64]:
    """[rows, columns]; ValueError if they are not that many."""
    listed = list(rows)
    try:
        values = np.loadtxt(listed, ndmin=2)
    except ValueError:  # Fortran's 1.0D+02
        values = np.loadtxt([row.split("#", maxsplit=1)[0].translate(_FORTRAN) for row in listed], ndmin=2)
    if values.shape != (len(listed), columns):
        raise ValueError(f"expected {columns} columns")
    return values


def _is_numbers(row: str, columns: int) -> bool:
    fields = row.split("#", maxsplit=1)[0].translate(_FORTRAN).split()
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
