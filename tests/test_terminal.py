"""What a command says: where there is no terminal in lines with their time, warnings always, and all of it in the log."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from bmem import terminal
from bmem.errors import TrustWarning
from bmem.terminal import LOG_FILE, Terminal, duration, logged, progress, say, warned


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its last entry is the time in seconds."""
    found = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: found[-1])
    return found


def test_a_tenth_is_a_line(clock: list[float]) -> None:
    """Fast work says its end alone, slow work every tenth once."""
    console = Console(file=io.StringIO())
    with progress(console, "integrate") as report:
        for done in range(1, 41):
            clock.append(10.0 * done)
            report(done, 40)
    lines = written(console).splitlines()
    assert [line.split("%")[0].split()[-1] for line in lines] == [str(10 * i) for i in range(1, 11)]
    assert lines[-1] == "  integrate: 100 % (40 of 40) after 6 min 40 s"
    console = Console(file=io.StringIO())
    with progress(console, "simulate") as report:
        for done in range(1, 41):
            report(done, 40)
    assert written(console) == "  simulate: 100 % (40 of 40) after 0 s\n"


def test_a_terminal_has_bars_and_the_log_has_lines(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=100)
    with logged(tmp_path), progress(console, "simulate") as report:
        report(5, 5)
    assert "━" in written(console)
    assert "simulate: 100 % (5 of 5)" in (tmp_path / LOG_FILE).read_text()


def test_lines_have_their_time_and_the_log_has_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with logged(tmp_path):
        say(Terminal(), "[bold]fit[/]")
        say(Terminal(brief=True), "  more")
        say(Terminal(brief=True), "  [yellow]no belt[/]")
        say(Terminal(quiet=True), "nothing")
    assert re.fullmatch(r"(\d\d:\d\d:\d\d) fit\n\d\d:\d\d:\d\d   no belt\n", capsys.readouterr().out)
    lines = (tmp_path / LOG_FILE).read_text(encoding="utf-8").splitlines()
    assert [line[20:] for line in lines] == ["INFO    fit", "INFO      more", "WARNING   no belt", "INFO    nothing"]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)


def test_warnings_are_said_without_the_line_of_the_program(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    with logged(tmp_path), warnings.catch_warnings(), warned(console):
        warnings.simplefilter("always")
        warnings.warn("few points [of many]", TrustWarning, stacklevel=1)
    assert written(console) == "  few points [of many]\n"
    assert "WARNING   few points [of many]" in (tmp_path / LOG_FILE).read_text()


def test_the_log_is_appended_and_has_the_error(tmp_path: Path) -> None:
    def fail() -> None:
        say(Console(quiet=True), "begins")
        raise ValueError("wrong")

    for _ in range(2):
        with pytest.raises(ValueError, match="wrong"), logged(tmp_path):
            fail()
    assert [line[20:] for line in (tmp_path / LOG_FILE).read_text().splitlines()] == [
        "INFO    begins",
        "ERROR   ValueError: wrong",
    ] * 2


def test_who_says_nothing_leaves_no_log(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), logged(tmp_path):
        raise ValueError("refused")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with logged(tmp_path / "nowhere"):
        say(Console(quiet=True), "goes on")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(4.6, "5 s"), (185, "3 min 5 s"), (7829, "2 h 10 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
