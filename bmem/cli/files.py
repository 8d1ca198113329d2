"""Commands on event files: ``import`` and ``example``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bmem.channels import DEFAULT
from bmem.cli.options import ChannelName, OutFolder, command_line
from bmem.errors import InputError

app = typer.Typer()


@app.command("import", context_settings={"ignore_unknown_options": True})
def import_events(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE [--PARAMETER VALUE]...",
            help="LHE (.lhe, .lhe.gz), Parquet or ROOT file; of LHE events the parameters that the header does not tell, "
            "by name and in the unit of the configuration",
            show_default=False,
        ),
    ],
    out: OutFolder = Path("out"),
    channel: ChannelName = DEFAULT,
) -> None:
    """Read, check and keep the events of a file as Parquet."""
    from rich.console import Console

    from bmem.artifacts import locked
    from bmem.channels import load_channel
    from bmem.stages.imports import import_file, parameter_options
    from bmem.terminal import logged

    loaded = load_channel(channel)
    names, given = parameter_options(arguments, loaded.parameters)
    if len(names) != 1:
        raise InputError(f"one file at a time, not {len(names)}: {' '.join(names)}")
    console = Console(soft_wrap=True)
    with locked(out, command_line(), console.print), logged(out):
        import_file(Path(names[0]), out, loaded, given, console)


@app.command("example")
def example(
    folder: Annotated[Path, typer.Argument(help="folder of the files", show_default=False)], channel: ChannelName = DEFAULT
) -> None:
    """Write example events as Parquet and ROOT, to try commands with."""
    from bmem.channels import load_channel
    from bmem.stages.example import write_example

    for path in write_example(folder, load_channel(channel)):
        print(path)
