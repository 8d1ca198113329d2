"""Read an event file of any supported format, told by its content first and by its name where that says nothing."""

from __future__ import annotations

from pathlib import Path

from bmem import artifacts
from bmem.errors import EventFileError
from bmem.events.columns import Events
from bmem.events.lhe import LHERecord, read_lhe
from bmem.events.lhe_format import GZIP_MAGIC
from bmem.events.parquet import import_parquet, read_any
from bmem.events.root import read_root

FORMATS = (".lhe", ".lhe.gz", ".parquet", ".root")


def read_events(path: Path, alpha: float | None = None) -> LHERecord | Events:
    """Return the events of a file: ``LHERecord`` from LHE, ``RecoEvents`` from ROOT, and from Parquet what it holds.

    Args:
        path: the file.
        alpha: in radians, for LHE files: replaces the header's value.

    Raises:
        EventFileError: the format is unknown, or the file is unusable (see ``read_lhe``, ``import_parquet``, ``read_root``).
        ArtifactError: a Parquet file with a bmem header beside it is damaged.
        MissingExtraError: a ROOT file, and uproot is not installed.
    """
    path = Path(path)
    kind = _format(path)
    if kind == ".parquet":
        return read_any(path) if artifacts.exists(path) else import_parquet(path)
    return read_root(path) if kind == ".root" else read_lhe(path, alpha)


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
