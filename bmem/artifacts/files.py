"""Artifacts on disk: atomic writes, a checksum, a format version, and the provenance of what was computed.

Every artifact ``NAME`` has a sidecar ``NAME.json`` that holds its header. The sidecar comes last and, where an artifact is
replaced, the old one goes first: an artifact is complete exactly if its sidecar is there, whenever the program was killed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bmem.artifacts.revision import source_revision
from bmem.errors import ArtifactError, BmemError

FORMAT_VERSION = 1
"""Version of the layout of all artifacts; files of an older version stay readable, of a newer one are refused."""

_PACKAGES = ("bmem", "torch", "numpy", "scipy", "iminuit", "pythia8mc")

# HDF5 and safetensors tell of a full disk (errno 27 file too large, 28 no space, 122 quota) in exceptions of their own
_FULL = re.compile(r"(?:errno|os error)\W*(?:27|28|122)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """What is known of an artifact: its ``kind`` ("events", "network", ...), checksum and provenance.

    ``settings`` is the part of the configuration that made it (with the seed), ``parents`` maps the names of the artifacts
    that went in to their checksums, ``versions`` names the software.
    """

    kind: str
    sha256: str
    settings: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it if the block succeeds and vanishes if it does not.

    Raises:
        ArtifactError: the disk is full or the folder cannot be written; ``path`` is then what it was before.
    """
    with _temporary(Path(path)) as temporary:
        yield temporary
        _settle(temporary)
        os.replace(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` that is gone afterwards; a failure to write it becomes an ArtifactError."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
    except BmemError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not _FULL.search(str(error)):
            raise
        raise ArtifactError(
            f"{path}: cannot be written ({_reason(error)}); free space or choose another folder. "
            "What was there before is untouched, and the same command goes on from the last finished piece."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _settle(temporary: Path) -> None:
    """Bring a finished temporary file to the disk (where a full one shows at the latest) and give it the usual mode."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    os.chmod(temporary, 0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sidecar(path: Path) -> Path:
    """The path of the header of the artifact at ``path``."""
    return Path(path).with_name(Path(path).name + ".json")


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on, and the revision of bmem where it is known."""
    versions = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | ({"revision": found} if (found := source_revision()) else {})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(_as_json(content))


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def write(
    path: Path,
    kind: str,
    writer: Callable[[Path], None],
    settings: Mapping[str, Any] | None = None,
    parents: Mapping[str, Path] | None = None,
) -> Header:
    """Write an artifact through ``writer(temporary_path)`` and then its header; return the header.

    Both are complete on the disk before the first of them takes its place, and an older header goes before its data does:
    new data never stand beside an old header.

    Raises:
        ArtifactError: it cannot be written (a full disk, a folder without permission), or a parent has no header.
    """
    path, beside = Path(path), sidecar(path)
    told = json.loads(json.dumps(dict(settings or {})))
    origins = {name: read_header(parent).sha256 for name, parent in (parents or {}).items()}
    with _temporary(beside) as head, _temporary(path) as data:
        writer(data)
        header = Header(kind, checksum(data), told, origins, software_versions())
        head.write_text(_as_json(asdict(header)))
        _settle(data)
        _settle(head)
        beside.unlink(missing_ok=True)
        os.replace(data, path)
        os.replace(head, beside)
    return header


def exists(path: Path) -> bool:
    """Whether a complete artifact is at ``path``."""
    return Path(path).is_file() and sidecar(path).is_file()


def read_header(path: Path) -> Header:
    """Return the header of the artifact at ``path`` without reading the artifact.

    Raises:
        ArtifactError: there is no header, or it is damaged, foreign or of a newer format.
    """
    beside = sidecar(path)
    if not beside.is_file():
        raise ArtifactError(f"{path}: no header {beside.name} beside it; it is not a bmem artifact or was only half written")
    try:
        content = json.loads(beside.read_text())
        version = int(content["format_version"])
        # the version first: a newer header may have fields that this one cannot take
        header = Header(**content) if version <= FORMAT_VERSION else None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ArtifactError(f"{beside}: no readable bmem header ({error}); delete both files and run again") from error
    if header is None:
        raise ArtifactError(f"{path}: format version {version} is newer than bmem reads ({FORMAT_VERSION}); update bmem")
    return header


def verify(path: Path, kind: str) -> Header:
    """Return the header of an artifact after checking that it is there, of ``kind``, and undamaged.

    Raises:
        ArtifactError: it is missing, of another kind, of a newer format, or its checksum differs.
    """
    path = Path(path)
    if not path.is_file():
        raise ArtifactError(f"{path}: there is no such file; run the stage that makes it")
    header = read_header(path)
    if header.kind != kind:
        raise ArtifactError(f"{path}: holds {header.kind!r}, but {kind!r} was asked for")
    try:
        digest = checksum(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({_reason(error)}); check its permissions and the disk") from error
    if digest != header.sha256:
        raise ArtifactError(f"{path}: its checksum differs from its header, the file is damaged; delete it and run again")
    return header
