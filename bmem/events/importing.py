"""Read an event file of any supported format, told by its content first and by its name where that says nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bmem import artifacts
from bmem.errors import EventFileError, EventWarning
from bmem.events import parquet, root
from bmem.events.columns import Events
from bmem.events.lhe import LHERecord, Theta, read_lhe
from bmem.events.lhe_content import LHEContent
from bmem.events.lhe_format import GZIP_MAGIC

FORMATS = (".lhe", ".lhe.gz", ".parquet", ".root")


def read_events(path: Path, content: LHEContent | None = None, theta: Theta | None = None) -> LHERecord | Events:
    """Return the events of a file: ``LHERecord`` from LHE, ``RecoEvents`` from ROOT, and from Parquet what it holds.

    Args:
        path: the file.
        content: what the events of an LHE file must be; without, such files are refused.
        theta: parameters of LHE events (angles in radians), replaces the header's; other formats do not use it.

    Raises:
        EventFileError: the format is unknown, or the file is unusable (see ``read_lhe``, ``import_parquet``, ``read_root``).
        ArtifactError: a Parquet file with a bmem header beside it is damaged.
        MissingExtraError: a ROOT file, and uproot is not installed.

    Warns:
        EventWarning: values are read as others, or events occur more than once.
    """
    path = Path(path)
    kind = _format(path)
    if kind in (".lhe", ".lhe.gz"):
        if content is None:
            raise EventFileError(f"{path}: this channel does not read LHE files; give Parquet or ROOT")
        return read_lhe(path, content, theta)
    if kind == ".root":
        return root.read_root(path)
    return parquet.read_any(path) if artifacts.exists(path) else parquet.import_parquet(path)


def read_at_any_parameters(path: Path, content: LHEContent | None) -> LHERecord | Events:
    """The events of a file of which only the kind and the number are of interest: its header need not tell parameters."""
    return read_events(path, content, None if content is None else (0.0,) * len(content.parameters))


def left_out(path: Path, events: Events) -> list[str]:
    """What a Parquet or ROOT file holds and the ``events`` read from it do not: columns, features, branches, trees."""
    kind = _format(Path(path))
    if kind == ".root":
        return root.left_out(path)
    return parquet.left_out(path, events) if kind == ".parquet" else []


@contextmanager
def telling(say: Callable[[str], None]) -> Iterator[None]:
    """Give what is warned of events in the block to ``say``, one sentence each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EventWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, EventWarning):
            say(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _format(path: Path) -> str:
    """One of ``FORMATS``."""
    try:
        with path.open("rb") as stream:
            start = stream.read(1024)
    except OSError as error:
        raise EventFileError(
            f"{path}: cannot be read ({error.strerror or error}); check the name and permissions"
        ) from error
    signs = {b"PAR1": ".parquet", b"root": ".root", GZIP_MAGIC: ".lhe.gz"}
    for sign, kind in signs.items():
        if start.startswith(sign):
            return kind
    if b"<LesHouchesEvents" in start:
        return ".lhe"
    for kind in FORMATS:
        if path.name.lower().endswith(kind):
            return kind
    raise EventFileError(f"{path}: not an event file that bmem reads; supported formats: {', '.join(FORMATS)}")
