"""Artifacts on disk: atomic writes, a checksum, a format version, and the provenance of what was computed.

Every artifact ``NAME`` has a sidecar ``NAME.json`` that holds its header. The sidecar is written last, so an artifact is
complete exactly if its sidecar is there, whenever the program was killed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bmem.errors import ArtifactError

FORMAT_VERSION = 1
"""Version of the layout of all artifacts; files of an older version stay readable, of a newer one are refused."""

_PACKAGES = ("bmem", "torch", "numpy", "scipy", "iminuit", "pythia8mc")


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
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder. "
            "What was there before is untouched, and the same command goes on from the last finished piece."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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
    """Versions of Python and of the packages that numbers depend on."""
    versions = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def write(
    path: Path,
    kind: str,
    writer: Callable[[Path], None],
    settings: Mapping[str, Any] | None = None,
    parents: Mapping[str, Path] | None = None,
) -> Header:
    """Write an artifact through ``writer(temporary_path)`` and then its header; return the header.

    Raises:
        ArtifactError: it cannot be written (a full disk, a folder without permission).
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        writer(temporary)
        digest = checksum(temporary)
    header = Header(
        kind=kind,
        sha256=digest,
        settings=json.loads(json.dumps(dict(settings or {}))),
        parents={name: read_header(parent).sha256 for name, parent in (parents or {}).items()},
        versions=software_versions(),
    )
    write_json(sidecar(path), asdict(header))
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
        header = Header(**json.loads(beside.read_text()))
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{beside}: not a readable bmem header ({error}); delete it with its artifact and run again") from error
    if header.format_version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format version {header.format_version} is newer than this bmem reads ({FORMAT_VERSION}); update bmem"
        )
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
    if checksum(path) != header.sha256:
        raise ArtifactError(f"{path}: its checksum differs from its header, the file is damaged; delete it and run again")
    return header
