"""Where the numbers of a page come from: who made it, when and where, and what its artifacts say of themselves."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bmem import __version__
from bmem.artifacts import Header
from bmem.artifacts.revision import source_revision


def made(now: datetime | None = None) -> str:
    """The date, version, revision and platform of a page that is written now, in one line."""
    when = (now or datetime.now(UTC)).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    source = f"bmem {__version__}" + (f" (revision {found})" if (found := source_revision()) else "")
    return f"{when} · {source} · Python {platform.python_version()} on {platform.platform(terse=True)}, {platform.machine()}"


def provenance_of(seed: int, headers: Mapping[str, Header]) -> dict[str, Any]:
    """Seed, software and checksums of artifacts, whose ``headers`` go by their names.

    The versions are those with which they were made, all of them where they differ.
    """
    checksums = {name: header.sha256[:16] for name, header in headers.items()}
    return {"seed": seed, **_versions(headers.values()), **checksums}


def _versions(headers: Iterable[Header]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for header in headers:
        for package, version in header.versions.items():
            known = found.setdefault(package, [])
            if version not in known:
                known.append(version)
    return {package: ", ".join(versions) for package, versions in found.items()}
