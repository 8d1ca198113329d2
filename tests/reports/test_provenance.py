"""A page says when, where and by which source it was made, and with which software its artifacts were."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bmem import __version__
from bmem.artifacts import Header
from bmem.artifacts import revision as source
from bmem.reports import provenance as page


def test_the_line_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "source_revision", lambda: "abc123-dirty")
    line = page.made(datetime(2026, 5, 1, 9, 30, tzinfo=UTC))
    assert line.startswith(f"1 May 2026, 09:30 UTC · bmem {__version__} (revision abc123-dirty) · Python 3.")
    monkeypatch.setattr(page, "source_revision", lambda: "")
    assert "revision" not in page.made()


def test_versions_are_those_of_the_artifacts() -> None:
    """They used to be those of the machine that drew the page."""
    headers = {"a": Header("network", "1" * 64, versions={"torch": "2.13"}), "b": Header("fit", "2" * 64)}
    headers["c"] = Header("likelihood", "3" * 64, versions={"torch": "2.14", "bmem": "0.1"})
    found = page.provenance_of(7, headers)
    assert found == {"seed": 7, "torch": "2.13, 2.14", "bmem": "0.1", "a": "1" * 16, "b": "2" * 16, "c": "3" * 16}


def test_the_revision_is_that_of_the_own_clone_only(tmp_path: Path) -> None:
    """A virtual environment inside of another repository used to be a trap for such code."""
    commands = [["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x"]]
    package = tmp_path / "bmem"
    package.mkdir()
    (tmp_path / "theirs.txt").write_text("")
    for command in commands:
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    (package / "__init__.py").write_text("")
    assert source._of_clone(tmp_path) == ""
    for command in commands[1:]:
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    clean = source._of_clone(tmp_path)
    assert 7 <= len(clean) <= 12
    (package / "__init__.py").write_text("changed")
    assert source._of_clone(tmp_path) == f"{clean}-dirty"


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source._of_clone(tmp_path) == ""
