"""``bmem import``: events of any supported file, checked, as an artifact."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from bmem import artifacts
from bmem.channels.contract import Channel
from bmem.errors import ArtifactError, EventFileError, InputError
from bmem.events import lhe, parquet
from bmem.events.importing import FORMATS, left_out, read_events, telling
from bmem.events.record import HardEvents, RecoEvents
from bmem.process.contract import Parameter, ParticleProcess
from bmem.terminal import say


def import_file(file: Path, out: Path, channel: Channel, given: Mapping[str, float], console: Console) -> Path:
    """Write the events of ``file`` to ``out/NAME.parquet`` and return that path.

    Args:
        file: LHE, Parquet or ROOT.
        out: the folder.
        channel: whose events they are.
        given: parameters of LHE events by name, in the unit in which they are printed.
        console: where it is said what was read, and what was left out.

    Raises:
        EventFileError: the file is unreadable, damaged or foreign, or an event in it is wrong; the message names it.
        InputError: parameters are given that the process does not have, or not all, or not for an LHE file.
        ArtifactError: at the path there is a file that was not made from this one.
    """
    file = Path(file)
    theta = _theta(given, channel.process.parameters)
    path = Path(out) / f"{_stem(file)}.parquet"
    with telling(lambda text: say(console, f"[yellow]{escape(text)}[/]")):
        events = read_events(file, channel.lhe, theta)
    if given and not isinstance(events, lhe.LHERecord):
        raise InputError(f"{file}: parameters can be given for LHE events alone; leave out --{', --'.join(given)}")
    left = [] if isinstance(events, lhe.LHERecord) else left_out(file, events)
    hard = hard_of(file, channel, events) if isinstance(events, lhe.LHERecord) else events
    settings = {"source": file.name, "sha256": artifacts.checksum(file), "theta": theta and list(theta)}
    _refuse_others(path, file, settings)
    _write(path, hard, settings)
    more = f"; left out: {', '.join(left[:20])}{f' and {len(left) - 20} more' if len(left) > 20 else ''}" if left else ""
    at = _at(events.theta or (), channel.process.parameters) if isinstance(events, lhe.LHERecord) else ""
    say(console, f"{path}: {len(events)} events{at}, all checked{escape(more)}")
    return path


def parameter_options(arguments: Sequence[str], parameters: Sequence[Parameter]) -> tuple[list[str], dict[str, float]]:
    """Take ``--NAME VALUE`` and ``--NAME=VALUE`` of ``parameters`` out of the ``arguments`` of a command.

    Raises:
        InputError: another option, or a value that is no number; what was typed is named.
    """
    rest, given = [], {}
    words = iter(arguments)
    for word in words:
        if not word.startswith("--"):
            rest.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        names = [parameter.name for parameter in parameters]
        if name not in names:
            near = difflib.get_close_matches(name, [*names, "out"], n=1)
            known = ", ".join(f"--{known}" for known in [*names, "out"])
            raise InputError(f"unknown option --{name}; " + (f"did you mean --{near[0]}?" if near else f"known: {known}"))
        value = value if equals else next(words, "")
        try:
            given[name] = float(value)
        except ValueError:
            raise InputError(f"--{name} {value}: not a number; give it as --{name} VALUE") from None
    return rest, given


def _theta(given: Mapping[str, float], parameters: Sequence[Parameter]) -> lhe.Theta | None:
    """All parameters as they are stored, in their order; None if none is given."""
    unknown, missing = set(given) - {p.name for p in parameters}, [p.name for p in parameters if p.name not in given]
    if unknown:
        raise InputError(f"the process has no parameter {', '.join(sorted(unknown))}")
    if given and missing:
        raise InputError(f"the parameters {', '.join(missing)} are missing: give all or none")
    return tuple(float(p.quantity.stored(given[p.name])) for p in parameters) if given else None


def _at(theta: lhe.Theta, parameters: Sequence[Parameter]) -> str:
    """The parameters as people read them, so that a wrong unit shows."""
    pairs = zip((p.quantity for p in parameters), theta, strict=True)
    return " at " + ", ".join(f"{q.shown} = {float(q.printed(value)):g}{q.suffix}" for q, value in pairs)


def _stem(file: Path) -> str:
    """The name without the suffix of a format, and with all other dots."""
    suffix = max((s for s in FORMATS if file.name.lower().endswith(s)), key=len, default="")
    return file.name[: len(file.name) - len(suffix)]


def hard_of(file: Path, channel: Channel, record: lhe.LHERecord) -> HardEvents:
    """The hard events of an event file.

    Raises:
        EventFileError: the process has no particles, or the events are not its own.
    """
    if not isinstance(channel.process, ParticleProcess):
        raise EventFileError(f"{file}: holds particles, but the events of {channel.title} have none")
    try:
        return channel.process.to_hard(record)
    except InputError as error:
        raise EventFileError(f"{file}: {error}") from error


def _refuse_others(path: Path, file: Path, settings: Mapping[str, Any]) -> None:
    """ArtifactError if there is anything at ``path``, or where its header goes, but an import of the same events."""
    beside = artifacts.sidecar(path)
    if not (path.exists() or beside.exists()):
        return
    if path.exists() and path.samefile(file):
        raise ArtifactError(f"{path}: is the file to import itself, which is never replaced; choose another --out")
    made = artifacts.exists(path) and artifacts.verify(path, parquet.KIND).settings
    if not made or "source" not in made:
        raise ArtifactError(f"{path}: is there, and 'bmem import' did not make it; choose another --out")
    if made != settings:
        raise ArtifactError(
            f"{path}: was imported from another file of that name, or with other parameters ({made['source']}, "
            f"{str(made.get('sha256'))[:12]}…); choose another --out, rename the file, or delete what is there"
        )


def _write(path: Path, events: Any, settings: Mapping[str, Any]) -> None:
    if isinstance(events, HardEvents):
        parquet.write_hard(path, events, settings)
    elif isinstance(events, RecoEvents):
        parquet.write_reco(path, events, settings)
    else:
        parquet.write_pairs(path, events, settings)
