"""Events in Parquet files: those that bmem writes, with a header beside them, and those that users bring.

Columns: ``bmem.events.columns``. Own files are guarded by the checksum of their header; in a user's file
(``import_parquet``) every value is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bmem import artifacts
from bmem.errors import ArtifactError, EventFileError, InputError
from bmem.events import observed
from bmem.events.columns import HARD_COLUMNS, Events, from_table, slices, to_table
from bmem.events.record import HardEvents, PairedEvents, RecoEvents

KIND = "events"
ROWS = 100_000
"""Events in a row group: what is held in memory besides the events themselves."""

Record = TypeVar("Record", HardEvents, PairedEvents, RecoEvents)
Settings = Mapping[str, Any]
Parents = Mapping[str, Path]


@dataclass(frozen=True)
class EventFile:
    """Events, ready to be saved as an artifact; its header tells ``more`` than the settings that decide them."""

    events: Events
    more: Settings

    def save(self, path: Path, settings: Settings, parents: Parents) -> artifacts.Header:
        return _write(path, self.events, {**settings, **self.more}, parents)


def write_pairs(
    path: Path, pairs: PairedEvents, settings: Settings | None = None, parents: Parents | None = None
) -> artifacts.Header:
    """Write hard events with what became of them, as an artifact."""
    return _write(path, pairs, settings, parents)


def write_hard(
    path: Path, hard: HardEvents, settings: Settings | None = None, parents: Parents | None = None
) -> artifacts.Header:
    """Write hard events alone, as an artifact."""
    return _write(path, hard, settings, parents)


def write_reco(
    path: Path, reco: RecoEvents, settings: Settings | None = None, parents: Parents | None = None
) -> artifacts.Header:
    """Write observed events, without truth, as an artifact."""
    return _write(path, reco, settings, parents)


def read_pairs(path: Path) -> PairedEvents:
    """Read what ``write_pairs`` wrote; ArtifactError as ``read_any``, and if the file holds something else."""
    return _read(path, PairedEvents)


def read_hard(path: Path) -> HardEvents:
    """Read what ``write_hard`` wrote; ArtifactError as ``read_any``, and if the file holds something else."""
    return _read(path, HardEvents)


def read_reco(path: Path) -> RecoEvents:
    """Read what ``write_reco`` wrote; ArtifactError as ``read_any``, and if the file holds something else."""
    return _read(path, RecoEvents)


def read_any(path: Path) -> Events:
    """Read an artifact of events: which record it is follows from its columns.

    Raises:
        ArtifactError: it is missing, damaged, foreign, or of a newer format.
    """
    artifacts.verify(path, KIND)
    try:
        return from_table(pq.read_table(path, partitioning=None))
    except (pa.ArrowException, OSError, InputError) as error:
        raise ArtifactError(f"{path}: not the layout of bmem's events ({error}); delete it and run again") from error


def import_parquet(path: Path) -> Events:
    """Read a Parquet file that bmem did not write.

    Observed events need ``photons`` (list of pt, eta, phi, isolated) and ``jets`` (list of pt, eta, phi, mass, btag), in
    GeV and radians. Hard events need ``hard``, ``theta``, ``weight``, and may have ``pdg``. Pairs need all of these and
    ``accepted``. Other columns are ignored (``left_out`` names them). The objects of an event come back ordered by pT.

    Raises:
        EventFileError: the file is not Parquet, damaged or empty, a column is missing or of the wrong type, or a value is
            not finite or out of range; the message names column and event.

    Warns:
        EventWarning: see ``bmem.events.observed.checked``.
    """
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise EventFileError(f"{path}: not a readable Parquet file ({error}); copy or write it again") from error
    if not table.num_rows:
        raise EventFileError(f"{path}: holds no events")
    names = set(table.column_names)
    wanted = {} if set(HARD_COLUMNS) <= names and not names & set(observed.FEATURES) else observed.FEATURES
    try:
        events = from_table(table, wanted)
    except InputError as error:
        raise EventFileError(f"{path}: {error}") from error
    return _checked(path, events)


def left_out(path: Path, events: Events) -> list[str]:
    """Columns, and features of collections ("jets.area"), of a user's file that are not in the ``events`` read from it."""
    there, kept = pq.read_schema(path), to_table(events).schema
    left = [name for name in there.names if name not in kept.names]
    for name in observed.FEATURES:
        if name in kept.names:
            own, read = there.field(name).type.value_type, kept.field(name).type.value_type
            left += [f"{name}.{field.name}" for field in own if read.get_field_index(field.name) < 0]
    return left


def _write(path: Path, events: Events, settings: Settings | None, parents: Parents | None) -> artifacts.Header:
    def writer(temporary: Path) -> None:
        pieces = slices(events, ROWS)
        schema = to_table(pieces[0]).schema
        with pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1, use_dictionary=False) as file:
            for piece in pieces:
                file.write_table(to_table(piece))

    return artifacts.write(path, KIND, writer, settings, parents)


def _read(path: Path, kind: type[Record]) -> Record:
    events = read_any(path)
    if not isinstance(events, kind):
        raise ArtifactError(f"{path}: holds {type(events).__name__}, but {kind.__name__} was asked for")
    return events


def _checked(path: Path, events: Events) -> Events:
    """``events`` if every value is sound."""
    if isinstance(events, RecoEvents):
        return observed.checked(str(path), events)
    hard = events if isinstance(events, HardEvents) else events.hard
    _check_finite(path, hard)
    if isinstance(events, HardEvents):
        observed.tell_repeated(str(path), hard.x, torch.arange(1, len(hard) + 1, device="cpu"))
        return events
    numbers = events.accepted.nonzero()[:, 0] + 1
    return PairedEvents(hard, events.accepted, observed.checked(str(path), events.reco, numbers))


def _check_finite(path: Path, hard: HardEvents) -> None:
    for name, values in {"hard": hard.x, "theta": hard.theta, "weight": hard.weight[:, None]}.items():
        sound = torch.isfinite(values).all(dim=1)
        if not sound.all():
            raise EventFileError(
                f"{path}: event {int((~sound).nonzero()[0]) + 1}: {name} is not finite; correct or drop the event"
            )
