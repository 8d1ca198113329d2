"""Commands that only print: the result of a run, the keys of a configuration and their schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bmem.channels import DEFAULT
from bmem.cli.options import ChannelName
from bmem.errors import ArtifactError

app = typer.Typer()


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder of a run (its --out)", show_default=False)],
) -> None:
    """Print the result of a run: estimates, intervals, uncertainties by source, calibration, warnings."""
    from rich.console import Console

    from bmem.config import parse
    from bmem.stages import Run
    from bmem.stages.report import summary_of

    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: is no folder of a run: {path.name} cannot be read ({error})") from error
    print(summary_of(Run(parse(content, str(path)), folder, Console(quiet=True))))


@app.command()
def keys(channel: ChannelName = DEFAULT) -> None:
    """Print every key of the configuration with its default and meaning."""
    from bmem.keys import as_toml

    print(as_toml(channel))


@app.command()
def schema(channel: ChannelName = DEFAULT) -> None:
    """Print the JSON schema of the configuration, with which editors check and complete it."""
    from bmem.schema import json_schema

    print(json.dumps(json_schema(channel), indent=1, ensure_ascii=False))
