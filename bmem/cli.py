"""The command ``bmem``: what takes long to import is imported by the commands that need it."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bmem import __version__
from bmem.console import spell_out
from bmem.errors import BmemError, InputError

if TYPE_CHECKING:
    from bmem.config import Config
    from bmem.stages import Run

STAGES = ("simulate", "train", "integrate", "fit", "calibrate", "report")
"""Those of ``bmem.stages``, whose import takes seconds."""
app = typer.Typer(no_args_is_help=True, add_completion=False)
ConfigFile = Annotated[Path, typer.Argument(help="configuration in TOML", show_default=False)]
OutFolder = Annotated[Path, typer.Option("--out", help="folder of all artifacts; finished pieces in it are kept and used")]
ChannelName = Annotated[str, typer.Option("--channel", help='application: thj, toy, or your own as "package.module:object"')]
Resume = Annotated[bool, typer.Option(help="go on from what is in the folder; without, refuse a folder with artifacts")]
Processes = Annotated[
    int | None, typer.Option("--workers", min=1, help="processes of this machine that share the work (Dask)")
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, auto, …: instead of that in the configuration", show_default=False)
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="address of a Dask scheduler whose workers share the work")
]


def _read(path: Path, device: str | None) -> Config:
    """The configuration, on another device if one is given; one that is not there shows now."""
    from bmem.config import load
    from bmem.devices import chosen

    config = load(path)
    config = config if device is None else config.model_copy(update={"device": device})
    chosen(config.device)
    return config


def _start(names: list[str], config: Config, out: Path, resume: bool, where: int | str | None) -> None:
    from bmem.training import together

    if together.launched() and names != ["train"]:
        raise InputError(f"torchrun is for 'bmem train', where processes share the batches, not for {names}; leave it out")
    with together.together():
        _work(names, config, out, resume, where)


def _work(names: list[str], config: Config, out: Path, resume: bool, where: int | str | None) -> None:
    from bmem.stages import Run, refuse_earlier
    from bmem.training import together

    run = Run(config, out, Console(soft_wrap=True, quiet=not together.leads()))
    with _alone(run):
        if not resume:
            refuse_earlier(run, names)
        _compare(run, names[-1])
        if together.leads():
            _remember(config, out)
        with _sharing(run, where) as shared:
            _stages(shared, names)


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """No other command works in the folder of the run; the processes of one command share the lock of the first."""
    from bmem.artifacts import locked
    from bmem.training import together

    with locked(run.out, _command(), run.say) if together.leads() else nullcontext():
        together.wait_for_all()
        yield


def _command() -> str:
    """What the user called."""
    return " ".join(["bmem", *sys.argv[1:]])


@contextmanager
def _sharing(run: Run, where: int | str | None) -> Iterator[Run]:
    """The run with the workers of this machine or of a scheduler, if there are to be any."""
    from bmem.workers import cluster

    if where is None:
        yield run
        return
    with cluster(where) as workers:
        yield replace(run, workers=workers)


def _compare(run: Run, last: str) -> None:
    """Hold what the stages up to ``last`` have left against the configuration; nothing is computed or written."""
    from bmem import stages

    checking = replace(run, checking=True)
    for name in takewhile(lambda name: name != "report", STAGES):
        stages.STAGES[name](checking)
        if name == last:
            break


def _remember(config: Config, out: Path) -> None:
    from bmem.artifacts import write_json

    write_json(out / "config.json", json.loads(config.model_dump_json()))


def _stages(run: Run, names: list[str]) -> None:
    from bmem import stages

    for name in names:
        start = time.perf_counter()
        run.say(f"[bold]{name}[/]")
        if name != names[0]:
            _compare(run, name)  # again: somebody may have replaced a parent since
        stages.STAGES[name](run)
        run.say(f"  [dim]{time.perf_counter() - start:.0f} s[/]")


@app.command("run")
def run_all(
    config: ConfigFile,
    *,
    out: OutFolder = Path("out"),
    resume: Resume = True,
    workers: Processes = None,
    scheduler: Scheduler = None,
    device: Device = None,
) -> None:
    """Run all stages: simulate, train, integrate, fit, calibrate, report."""
    _start(list(STAGES), _read(config, device), out, resume, scheduler or workers)


def _stage_command(name: str) -> Any:
    def command(
        config: ConfigFile,
        *,
        out: OutFolder = Path("out"),
        resume: Resume = True,
        workers: Processes = None,
        scheduler: Scheduler = None,
        device: Device = None,
    ) -> None:
        _start([name], _read(config, device), out, resume, scheduler or workers)

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
    from bmem.config import load
    from bmem.stages import Run
    from bmem.stages.plan import plan

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
    channel: ChannelName = "thj",
) -> None:
    """Read, check and keep the events of a file as Parquet."""
    from bmem.artifacts import locked
    from bmem.channels import load_channel
    from bmem.stages.imports import import_file, parameter_options

    loaded = load_channel(channel)
    files, given = parameter_options(arguments, loaded.parameters)
    if len(files) != 1:
        raise InputError(f"one file at a time, not {len(files)}: {' '.join(files)}")
    console = Console(soft_wrap=True)
    with locked(out, _command(), console.print):
        import_file(Path(files[0]), out, loaded, given, console)


@app.command("example")
def example(
    folder: Annotated[Path, typer.Argument(help="folder of the files", show_default=False)], channel: ChannelName = "thj"
) -> None:
    """Write example events as Parquet and ROOT, to try commands with."""
    from bmem.channels import load_channel
    from bmem.stages.example import write_example

    for path in write_example(folder, load_channel(channel)):
        print(path)


@app.command()
def keys() -> None:
    """Print every key of the configuration with its default and meaning."""
    from bmem.keys import as_toml

    Console(soft_wrap=True).print(as_toml(), markup=False, highlight=False)


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
    _silence_libraries()
    try:
        app()
    except BmemError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        print(f"bmem: {type(error).__name__}: {error}{notes}", file=sys.stderr)
        raise SystemExit(1) from None


def _silence_libraries() -> None:
    """What will change in libraries (FutureWarning) is told to who writes programs, not to who runs this one.

    Whoever chooses warnings with ``python -W`` gets these. Processes that are started have the choice of this one.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
        os.environ["PYTHONWARNINGS"] = "ignore::FutureWarning"
