"""Arguments and options that several commands have."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from bmem.channels import BUILT_IN

ConfigFile = Annotated[Path, typer.Argument(help="configuration in TOML", show_default=False)]
OutFolder = Annotated[Path, typer.Option("--out", help="folder of all artifacts; finished pieces in it are kept and used")]
ChannelName = Annotated[
    str, typer.Option("--channel", help=f'application: {", ".join(BUILT_IN)}, or your own as "package.module:object"')
]
Resume = Annotated[bool, typer.Option(help="go on from what is in the folder; without, refuse a folder with artifacts")]
Processes = Annotated[
    int | None, typer.Option("--workers", min=1, help="processes of this machine that share the work (Dask)")
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="address of a Dask scheduler whose workers share the work")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="say warnings and the result alone; the log has the rest")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=lambda wanted: tell_all() if wanted else None,
        help="tell warnings of libraries about their future too, and where in the program an error was found",
    ),
]
_LOG = logging.getLogger("bmem")


def silence_libraries() -> None:
    """What will change in libraries (FutureWarning) is told to who writes programs, not to who runs this one.

    Whoever chooses warnings with ``python -W`` gets these. Processes that are started have the choice of this one.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
        os.environ["PYTHONWARNINGS"] = "ignore::FutureWarning"


def tell_all() -> None:
    """The opposite, for who asks for everything; errors then come with a traceback."""
    warnings.simplefilter("default", FutureWarning)
    os.environ.pop("PYTHONWARNINGS", None)
    _LOG.setLevel(logging.DEBUG)


def tells_all() -> bool:
    """Whether everything was asked for."""
    return _LOG.isEnabledFor(logging.DEBUG)


def command_line() -> str:
    """What the user called."""
    return " ".join(["bmem", *sys.argv[1:]])
