"""The command ``bmem``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bmem import __version__, artifacts
from bmem.channels.thj.channel import ThjChannel
from bmem.config import Config, load
from bmem.console import spell_out
from bmem.errors import BmemError, InputError
from bmem.keys import as_toml
from bmem.stages import STAGES, Run
from bmem.stages.example import write_example
from bmem.stages.imports import import_file, parameter_options
from bmem.stages.plan import plan
from bmem.training import together
from bmem.workers import cluster

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The matrix element method with uncertainties that cover."
)
ConfigFile = Annotated[Path, typer.Argument(help="configuration in TOML", show_default=False)]
OutFolder = Annotated[Path, typer.Option("--out", help="folder of all artifacts; finished pieces in it are kept and used")]
Resume = Annotated[bool, typer.Option(help="go on from what is in the folder; without, refuse a folder with artifacts")]
Processes = Annotated[
    int | None, typer.Option("--workers", min=1, help="processes of this machine that share the work (Dask)")
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="address of a Dask scheduler whose workers share the work")
]


def _start(names: list[str], config: Path, out: Path, resume: bool, where: int | str | None) -> None:
    if together.launched() and names != ["train"]:
        raise InputError(f"torchrun is for 'bmem train', where processes share the batches, not for {names}; leave it out")
    with together.together():
        _work(names, config, out, resume, where)


def _work(names: list[str], config: Path, out: Path, resume: bool, where: int | str | None) -> None:
    settings = load(config)
    run = Run(settings, out, Console(soft_wrap=True, quiet=not together.leads()))
    if not resume:
        for name in names:
            run.refuse_earlier(name)
    _compare(run, names[-1])
    _remember(settings, out)
    with _sharing(run, where) as shared:
        _stages(shared, names)


@contextmanager
def _sharing(run: Run, where: int | str | None) -> Iterator[Run]:
    """The run with the workers of this machine or of a scheduler, if there are to be any."""
    if where is None:
        yield run
        return
    with cluster(where) as workers:
        yield replace(run, workers=workers)


def _compare(run: Run, last: str) -> None:
    """Hold what the stages up to ``last`` have left against the configuration, before anything is computed or written."""
    checking = replace(run, checking=True)
    for name in takewhile(lambda name: name != "report", STAGES):
        STAGES[name](checking)
        if name == last:
            break


def _remember(config: Config, out: Path) -> None:
    artifacts.write_json(out / "config.json", json.loads(config.model_dump_json()))


def _stages(run: Run, names: list[str]) -> None:
    for name in names:
        start = time.perf_counter()
        run.say(f"[bold]{name}[/]")
        STAGES[name](run)
        run.say(f"  [dim]{time.perf_counter() - start:.0f} s[/]")


@app.command("run")
def run_all(
    config: ConfigFile,
    out: OutFolder = Path("out"),
    resume: Resume = True,
    workers: Processes = None,
    scheduler: Scheduler = None,
) -> None:
    """Run all stages: simulate, train, integrate, fit, calibrate, report."""
    _start(list(STAGES), config, out, resume, scheduler or workers)


def _stage_command(name: str) -> Any:
    def command(
        config: ConfigFile,
        out: OutFolder = Path("out"),
        resume: Resume = True,
        workers: Processes = None,
        scheduler: Scheduler = None,
    ) -> None:
        _start([name], config, out, resume, scheduler or workers)

    command.__doc__ = f"Run the stage {name}; the stages before it must be done."
    return command


for _name in STAGES:
    app.command(_name)(_stage_command(_name))


@app.command("plan")
def plan_run(
    config: ConfigFile,
    out: OutFolder = Path("out"),
    workers: Annotated[int, typer.Option(min=1, help="processes with a core each, for which the time is told too")] = 1,
) -> None:
    """Measure a small piece of every stage; print time, memory and disk of the run, and the expected integration error."""
    console = Console(soft_wrap=True)
    console.print("measuring a run in small; this takes a minute or two", highlight=False)
    found = plan(Run(load(config), out, console))
    console.print(found.table(workers))
    console.print(found.error_line, highlight=False)


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
) -> None:
    """Read, check and keep the events of a file as Parquet."""
    channel = ThjChannel()
    files, given = parameter_options(arguments, channel.process.parameters)
    if len(files) != 1:
        raise InputError(f"one file at a time, not {len(files)}: {' '.join(files)}")
    import_file(Path(files[0]), out, channel, given, Console(soft_wrap=True))


@app.command("example")
def example(folder: Annotated[Path, typer.Argument(help="folder of the files", show_default=False)]) -> None:
    """Write example events as Parquet and ROOT, to try commands with."""
    for path in write_example(folder, ThjChannel()):
        print(path)


@app.command()
def keys() -> None:
    """Print every key of the configuration with its default and meaning."""
    Console(soft_wrap=True).print(as_toml(), markup=False, highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Entry point: errors that bmem raises on purpose end with their message, not with a traceback."""
    spell_out()
    try:
        app()
    except BmemError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        print(f"bmem: {type(error).__name__}: {error}{notes}", file=sys.stderr)
        raise SystemExit(1) from None
