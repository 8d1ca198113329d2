"""The commands that run stages, and the one that plans them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bmem import __version__
from bmem.cli.options import ConfigFile, Device, OutFolder, Processes, Quiet, Resume, Scheduler, Verbose, command_line
from bmem.errors import InputError

if TYPE_CHECKING:
    from bmem.config import Config
    from bmem.stages import Run

STAGES = ("simulate", "train", "integrate", "fit", "calibrate", "report")
"""Those of ``bmem.stages``, whose import takes seconds."""
_WITH_RESULT = ("fit", "calibrate", "report")
"""Where the last stage of a command is one of these, it ends with the result."""
app = typer.Typer()


@dataclass(frozen=True)
class _Order:
    """What was asked for: the stages by ``names``, with whose help (``where``), and whether to be ``brief``."""

    names: list[str]
    config: Config
    out: Path
    resume: bool
    where: int | str | None
    brief: bool

    def start(self) -> None:
        from bmem.training import processes

        if processes.launched() and self.names != ["train"]:
            raise InputError(
                f"torchrun is for 'bmem train', where processes share the batches, not for {self.names}; leave it out"
            )
        with processes.process_group():
            self._work()

    def _work(self) -> None:
        from bmem.stages import Run, refuse_earlier
        from bmem.stages.report import experiment_of
        from bmem.terminal import Terminal, warned
        from bmem.training import processes

        run = Run(self.config, self.out, Terminal(self.brief, quiet=not processes.leads()))
        if "report" in self.names:
            experiment_of(self.config)  # what the last stage needs shows now
        with _alone(run), warned(run.console):
            if not self.resume:
                refuse_earlier(run, self.names)
            _compare(run, self.names[-1])
            if processes.leads():
                _remember(self.config, self.out)
            with _sharing(run, self.where) as shared:
                _stages(shared, self.names)
            if self.names[-1] in _WITH_RESULT:
                _tell_result(run)


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """No other command works in the folder of the run, or writes its log; one of several processes does it for all."""
    from bmem.artifacts import locked
    from bmem.terminal import logged
    from bmem.training import processes

    if not processes.leads():
        processes.wait_for_all()
        yield
        return
    with locked(run.out, command_line(), run.say), logged(run.out):
        processes.wait_for_all()
        yield


def _tell_result(run: Run) -> None:
    """The result, whatever else is to be said; without a measurement there is none."""
    from bmem import artifacts
    from bmem.stages.report import summary_of
    from bmem.terminal import LOG

    if any(artifacts.exists(run.fit(sample.name)) for sample in run.config.sample):
        text = summary_of(run)
        LOG.info(text)
        run.console.print("\n" + text, markup=False, highlight=False)


@contextmanager
def _sharing(run: Run, where: int | str | None) -> Iterator[Run]:
    """The run with those who work for it: processes of this machine, or whatever was asked for."""
    from bmem.training import processes
    from bmem.workers import cluster, this_machine

    if where is None and (processes.launched() or run.device.type != "cpu"):
        yield run  # whose processors, or whose accelerator, are busy
        return
    with this_machine() if where is None else cluster(where) as workers:
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
    from bmem.terminal import LOG, duration

    LOG.info("%s (bmem %s)", command_line(), __version__)
    for name in names:
        start = time.perf_counter()
        run.say(f"[bold]{name}[/]")
        if name != names[0]:
            _compare(run, name)  # again: somebody may have replaced a parent since
        stages.STAGES[name](run)
        run.say(f"  [dim]{duration(time.perf_counter() - start)}[/]")


def _read(path: Path, device: str | None) -> Config:
    """The configuration, on another device if one is given; one that is not there shows now."""
    from bmem.config import load
    from bmem.devices import chosen

    config = load(path)
    config = config if device is None else config.model_copy(update={"device": device})
    chosen(config.device)
    return config


def _command(names: list[str], meaning: str) -> Callable[..., None]:
    def command(
        config: ConfigFile,
        out: OutFolder = Path("out"),
        *,
        resume: Resume = True,
        workers: Processes = None,
        scheduler: Scheduler = None,
        device: Device = None,
        quiet: Quiet = False,
        verbose: Verbose = False,
    ) -> None:
        _Order(names, _read(config, device), out, resume, scheduler or workers, quiet).start()

    command.__doc__ = meaning
    return command


app.command("run")(_command(list(STAGES), f"Run all stages: {', '.join(STAGES)}."))
for _name in STAGES:
    app.command(_name)(_command([_name], f"Run the stage {_name}; the stages before it must be done."))


@app.command("plan")
def plan_run(
    config: ConfigFile,
    out: OutFolder = Path("out"),
    workers: Annotated[int, typer.Option(min=1, help="processes with a core each, for which the time is told too")] = 1,
) -> None:
    """Measure a small piece of every stage; print time, memory and disk of the run, and the expected integration error."""
    from rich.console import Console

    from bmem.config import load
    from bmem.stages import Run
    from bmem.stages.plan import make_plan

    console = Console(soft_wrap=True)
    console.print("measuring a run in small; this takes a minute or two", highlight=False)
    found = make_plan(Run(load(config), out, console))
    console.print(found.table(workers))
    console.print(found.error_line, highlight=False)
