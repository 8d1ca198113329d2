"""Commands that compute nothing: the result of a run, printed or for other programs; keys and schema of a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bmem.channels import DEFAULT
from bmem.cli.options import ChannelName
from bmem.errors import ArtifactError

if TYPE_CHECKING:
    from bmem.stages import Run

app = typer.Typer()
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="folder of a run (its --out)", show_default=False)]


@app.command()
def show(folder: RunFolder) -> None:
    """Print the result of a run: estimates, intervals, uncertainties by source, calibration, warnings."""
    from bmem.stages.report import summary_of

    print(summary_of(_run_in(folder)))


@app.command()
def export(
    folder: RunFolder,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="csv, latex, hepdata or workspace; may be repeated; without: all", show_default=False),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="folder of the files; without: DIR/export", show_default=False)
    ] = None,
) -> None:
    """Write the result of a run for other programs: tables, a submission to HEPData, the likelihood."""
    from bmem.measurement.exports import FORMATS
    from bmem.measurement.exports import export as write
    from bmem.stages.exports import finished_measurements

    results = finished_measurements(_run_in(folder))
    for path in write(results, to or folder / "export", formats or FORMATS):
        print(path)


def _run_in(folder: Path) -> Run:
    """The run that was made there, for reading alone."""
    from rich.console import Console

    from bmem.config import parse
    from bmem.stages import Run

    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: is no folder of a run: {path.name} cannot be read ({error})") from error
    return Run(parse(content, str(path)), folder, Console(quiet=True))


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
