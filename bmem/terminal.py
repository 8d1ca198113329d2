"""What a command says: on the terminal, in lines with the time where there is none, and in the log of its folder."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import progress as bar
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from bmem.errors import BmemWarning

Progress = Callable[[int, int], None]
"""Told how far a long work is: (done, total)."""
LOG = logging.getLogger("bmem")
LOG.addHandler(logging.NullHandler())
LOG.setLevel(logging.INFO)
LOG_FILE = "bmem.log"
_WARNING = "[yellow]"
"""How a line looks that warns: one that is brief says no others."""
_PATIENCE = 2.0
"""Seconds without a line of progress, at least, so that short work makes one line."""


class Terminal(Console):
    """Where a command speaks: every line has its time where there is no terminal; a ``brief`` one is told warnings alone."""

    def __init__(self, brief: bool = False, quiet: bool = False) -> None:
        super().__init__(soft_wrap=True, quiet=quiet)
        self.brief = brief


def say(console: Console, text: str) -> None:
    """Print a line with markup, and log it."""
    warns = _WARNING in text
    LOG.log(logging.WARNING if warns else logging.INFO, Text.from_markup(text).plain)
    if isinstance(console, Terminal):
        if console.brief and not warns:
            return
        text = text if console.is_terminal else f"{datetime.now():%H:%M:%S} {text}"
    console.print(text, highlight=False)


@contextmanager
def progress(console: Console, title: str) -> Iterator[Progress]:
    """A bar on a terminal, otherwise a line for every tenth; yields the function to call with (done, total)."""
    if not (console.is_interactive or console.is_jupyter) or getattr(console, "brief", False):
        yield _Tenths(title, lambda text: say(console, text))
        return
    columns = (bar.TextColumn("{task.description:<28}"), bar.BarColumn(), bar.MofNCompleteColumn())
    logged = _Tenths(title, LOG.info)
    with bar.Progress(*columns, bar.TimeElapsedColumn(), bar.TimeRemainingColumn(), console=console) as bars:
        task = bars.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)
            logged(done, total)

        yield report


class _Tenths:
    """Says how far a piece of work is, at most once for every tenth, and how long it has taken."""

    def __init__(self, title: str, tell: Callable[[str], None]) -> None:
        self.title, self.tell, self.start = title, tell, time.monotonic()
        self.last, self.told = self.start, 0

    def __call__(self, done: int, total: int) -> None:
        tenths, now = 10 * done // max(total, 1), time.monotonic()
        if tenths <= self.told or (tenths < 10 and now - self.last < _PATIENCE):
            return
        self.told, self.last = tenths, now
        self.tell(f"  {self.title}: {10 * tenths} % ({done} of {total}) after {duration(now - self.start)}")


def duration(seconds: float) -> str:
    """``5 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Append what is said to ``bmem.log`` of a ``folder``; a command that says nothing leaves no trace."""
    log = _Log(folder / LOG_FILE, encoding="utf-8", delay=True)
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    LOG.addHandler(log)
    try:
        yield
    except BaseException as error:
        if log.stream is not None:
            LOG.error("%s: %s", type(error).__name__, error)
        raise
    finally:
        LOG.removeHandler(log)
        log.close()


class _Log(logging.FileHandler):
    """A log that cannot be written (full disk) ends no run: what it is about says so itself."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def warned(console: Console) -> Iterator[None]:
    """Warnings of bmem are said like everything else, without the line of the program; those of libraries are logged too."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, BmemWarning):
            say(console, f"  {_WARNING}{escape(str(message))}[/]")
            return
        LOG.warning("%s: %s", category.__name__, message)
        shown(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown
