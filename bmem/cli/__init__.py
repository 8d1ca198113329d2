"""The command ``bmem``: what takes long to import is imported by the commands that need it."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Annotated

import typer

from bmem import __version__
from bmem.cli import files, results, stages
from bmem.cli.options import silence_libraries, tells_all
from bmem.cli.stages import STAGES
from bmem.console import spell_out
from bmem.errors import BmemError

app = typer.Typer(no_args_is_help=True)
for _part in (stages, files, results):
    app.registered_commands += _part.app.registered_commands


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The matrix element method with uncertainties that cover."""


def main() -> None:
    """Entry point: errors that bmem raises on purpose end with their message, not with a traceback."""
    spell_out()
    silence_libraries()
    logging.getLogger("bmem").setLevel(logging.INFO)
    try:
        app(prog_name="bmem")
    except BmemError as error:
        if tells_all():
            traceback.print_exc()
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        print(f"bmem: {type(error).__name__}: {error}{notes}", file=sys.stderr)
        raise SystemExit(1) from None


__all__ = ["STAGES", "app", "main"]
