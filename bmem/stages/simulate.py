"""Stage 1: the training pairs and the event samples to measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.markup import escape

from bmem import artifacts
from bmem.artifacts import Product, Work
from bmem.config import BANK, TRAINING, VALIDATION, SampleSection
from bmem.errors import ConfigError, EventFileError, InputError
from bmem.events import lhe, parquet
from bmem.events.columns import Events
from bmem.events.importing import read_events, telling
from bmem.events.parquet import EventFile
from bmem.events.record import HardEvents, PairedEvents, RecoEvents
from bmem.simulation.contract import is_slow
from bmem.simulation.hard_events import events_at, uniform_events, with_drawn_nuisances, with_nuisances_at
from bmem.simulation.pairs import Schedule, simulate
from bmem.stages.imports import hard_of
from bmem.stages.run import Run, detector_settings, plain
from bmem.workers import Workers, processes

UNREAD = "unread"
"""What the header of observed events calls the number of those in the file that were not read, for the sample asked so."""
GENERATED, RESPONSE = "generated event", "response"
"""Units of work: an event of the process, and the simulation of what the detector sees of one."""


def products(run: Run) -> list[Product[Events]]:
    """Every sample of the configuration (first, so that a wrong file shows at once), then the mixtures."""
    section, bank = run.config.simulation, run.config.belt.bank_events
    mixtures = [
        mixture_product(run, TRAINING, section.events, section.repeats),
        mixture_product(run, VALIDATION, section.validation_events, section.repeats),
        *[mixture_product(run, BANK, bank)] * bool(bank),
    ]
    return [*(sample_product(run, sample) for sample in run.config.sample), *mixtures]


def mixture_product(run: Run, name: str, events: int, repeats: int = 1) -> Product[Events]:
    """Pairs from a mixture uniform in the parameters: to train on, to validate with, and to draw toys from."""
    settings = dict(run.channel.provenance) | {"events": events, "repeats": repeats, "seed": run.config.seed}
    settings |= detector_settings(run)

    def make() -> EventFile:
        hard = uniform_events(run.process, events, run.config.seed, name).repeat(repeats)
        varied = with_drawn_nuisances(hard, run.nuisances.widths, run.config.seed, name)
        return EventFile(_respond(run, varied, name), {})

    return _product(run, name, settings, make, (Work(GENERATED, events), Work(RESPONSE, events * repeats)))


def sample_product(run: Run, sample: SampleSection) -> Product[Events]:
    """One sample: generated, showered from an LHE file, or observed."""
    own = plain(sample) | {"file": _source(run, sample)}
    settings = dict(run.channel.provenance) | {"sample": own, "seed": run.config.seed}
    settings |= detector_settings(run)

    def make() -> EventFile:
        events = _hard_events(run, sample)
        used = events if sample.events is None else events[: sample.events]
        if isinstance(used, HardEvents):
            varied = with_nuisances_at(used.repeat(sample.repeats), run.config.nuisances_of(sample))
            return EventFile(_respond(run, varied, sample.name), {})
        selection = run.channel.selection
        observed = selection.keep_objects(used[selection.accept(used)])
        run.say(f"  {sample.name}: {len(observed)} of {len(used)} observed events pass the selection")
        return EventFile(observed, {UNREAD: len(events) - len(used)})

    return _product(run, sample.name, settings, make, _work(sample))


def _product(
    run: Run, name: str, settings: dict[str, Any], make: Callable[[], EventFile], cost: tuple[Work, ...]
) -> Product[Events]:
    path, pieces = run.events(name), run.cache("simulate", name)
    return Product(name, path, parquet.KIND, settings, {}, make, parquet.read_any, cost, unfinished=pieces)


def _work(sample: SampleSection) -> tuple[Work, ...]:
    """Of a sample that bmem generates; how much is in a file, only the file knows."""
    if sample.file is not None:
        return ()
    events = sample.events or 0
    return (Work(GENERATED, events), Work(RESPONSE, events * sample.repeats))


def is_observed(run: Run, name: str) -> bool:
    """Whether the events of a sample were observed: their hard events are not known.

    Told by the events; where they are gone, by the kind of file that they came from.
    """
    path = run.events(name)
    if artifacts.exists(path):
        return "hard" not in pq.read_schema(path).names
    source = run.sample(name).file
    return source is not None and source.suffix in (".parquet", ".root")


def measured_events(run: Run, name: str) -> int | None:
    """How many events of a sample are measured, the first ones; None for all."""
    section = run.config.fit
    return None if section.events is None and is_observed(run, name) else section.size


def measured_samples(run: Run) -> list[SampleSection]:
    """The samples with at least one accepted event, or whose events are not there yet; nothing can be said of others."""
    return [sample for sample in run.config.sample if accepted_events(run, sample.name) != 0]


def tell_what_is_not_measured(run: Run) -> None:
    """Say which samples have no accepted event, or that there are no samples."""
    if not run.config.sample:
        missing = escape("there is no [[sample]] in the configuration: networks are trained, nothing is measured")
        run.say(f"  [yellow]{missing}[/]")
    for sample in run.config.sample:
        if accepted_events(run, sample.name) == 0:
            run.say(
                f"  [yellow]{sample.name}: no event passes the selection, the sample is not measured; give more events, or "
                "loosen the selection[/]"
            )


def accepted_events(run: Run, name: str) -> int | None:
    """Events of a sample that pass the selection; None if they are not there yet."""
    path = run.events(name)
    if not artifacts.exists(path):
        return None
    try:
        with pq.ParquetFile(path) as file:
            if "accepted" not in file.schema_arrow.names:
                return file.metadata.num_rows
            return pc.sum(file.read(["accepted"])["accepted"]).as_py() or 0
    except (pa.ArrowException, OSError):
        return None  # whoever reads the events says what is wrong with the file


def load_sample(run: Run, name: str) -> tuple[RecoEvents, HardEvents | None]:
    """The accepted events of a sample, and their hard events where they are known."""
    content = parquet.read_any(run.events(name))
    if isinstance(content, PairedEvents):
        return content.reco, content.accepted_hard
    if isinstance(content, HardEvents):
        raise InputError(f"{run.events(name)}: holds hard events without a response; run the stage simulate")
    return content, None


def _hard_events(run: Run, sample: SampleSection) -> HardEvents | RecoEvents:
    """Generated events, or all of a file."""
    truth = run.config.theta(sample)
    if sample.file is None:
        assert truth is not None  # the configuration says so
        return events_at(run.process, sample.events or 0, truth, run.config.seed, sample.name)
    with telling(lambda text: run.say(f"  {sample.name}: {escape(text)}")):
        content = read_events(sample.file, run.channel.lhe, truth)
    if isinstance(content, lhe.LHERecord):
        content = hard_of(sample.file, run.channel, content)
    if isinstance(content, PairedEvents):
        raise ConfigError(f"[[sample]] {sample.name}: {sample.file} holds simulated pairs; give hard or observed events")
    if isinstance(content, RecoEvents) and sample.repeats > 1:
        raise ConfigError(f"[[sample]] {sample.name}: repeats = {sample.repeats}, but {sample.file} holds observed events")
    if isinstance(content, HardEvents):
        _check_hard(sample, content)
    return content


def _check_hard(sample: SampleSection, hard: HardEvents) -> None:
    """A fit takes every event once, so weights would be lost; rare ones above 1 are what unweighting leaves.

    Raises:
        EventFileError: the events are weighted.
    """
    effective = float(hard.weight.sum() ** 2 / hard.weight.square().sum()) / len(hard)
    if (hard.weight <= 0).any() or effective < 0.99:
        raise EventFileError(
            f"{sample.file}: its events are weighted (effectively {100 * effective:.0f} % of them, smallest weight "
            f"{float(hard.weight.min()):.3g} of the mean); give unweighted events"
        )


def _source(run: Run, sample: SampleSection) -> dict[str, str | None]:
    """Name and checksum of the file of a sample, so that another file under the same name is noticed.

    The file is no longer needed once its events have been read.

    Raises:
        EventFileError: there is no such file.
    """
    if sample.file is None:
        return {"file": None, "sha256": None}
    if sample.file.is_file():
        return {"file": sample.file.name, "sha256": artifacts.checksum(sample.file)}
    if not artifacts.exists(run.events(sample.name)):
        raise EventFileError(f"{sample.file}: there is no such file; correct 'file' of [[sample]] {sample.name!r}")
    return {"file": sample.file.name}


def _respond(run: Run, hard: HardEvents, name: str) -> PairedEvents:
    """With the responses; those of a slow one are kept in blocks until all are there, so that a killed run goes on."""
    response, selection = run.response, run.channel.selection
    with _workers(run, len(hard)) as workers, run.progress(f"simulate {name}") as progress:
        kept = run.cache("simulate", name) if is_slow(response) else None
        schedule = Schedule(workers=workers, cache=kept)
        pairs = simulate(hard, response, selection, run.seed("response", name), schedule=schedule, progress=progress)
    accepted = int(pairs.accepted.sum())
    run.say(f"  {name}: {accepted} of {len(pairs)} events accepted ({100 * accepted / len(pairs):.1f} %)")
    return pairs


@contextmanager
def _workers(run: Run, events: int) -> Iterator[Workers | None]:
    """Those that were asked for; without any, a slow response has its own where there is more than one block of events."""
    section, asked = run.config.simulation, run.workers is not None and not run.workers.patience
    count = min(section.workers, math.ceil(events / Schedule().block))
    if not asked and is_slow(run.response) and count > 1:
        with processes(count) as workers:
            yield workers
    else:
        yield run.workers
