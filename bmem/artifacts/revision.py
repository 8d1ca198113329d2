"""The revision of bmem's source: of the clone that it runs in, or the one that pip was given."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from functools import lru_cache
from pathlib import Path

_SHOWN = 12
"""Letters of a revision."""


@lru_cache(maxsize=1)
def source_revision() -> str:
    """The revision in git, with "-dirty" where files were changed since; "" where there is none (a wheel, say)."""
    return _of_clone(Path(__file__).parents[2]) or _of_installation()


def _of_clone(folder: Path) -> str:
    # a virtual environment may lie in somebody's own repository: that is none of bmem
    if _git(folder, "ls-files", "--error-unmatch", "bmem/__init__.py") is None:
        return ""
    return _git(folder, "describe", "--always", "--dirty", "--exclude=*", f"--abbrev={_SHOWN}") or ""


def _git(folder: Path, *words: str) -> str | None:
    """What git says; None if it fails or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _of_installation() -> str:
    """As pip records it for an address in git."""
    try:
        text = importlib.metadata.distribution("bmem").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return ""
    commit = json.loads(text or "{}").get("vcs_info", {}).get("commit_id", "")
    return str(commit)[:_SHOWN]
