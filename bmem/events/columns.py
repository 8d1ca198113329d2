"""Event records as Arrow columns and back.

``hard``, ``theta``, ``pdg``: a list of fixed length per event; ``weight``: a number; ``nuisances``: a struct of numbers by
name; ``accepted``: a truth value; every other column is a collection of reconstructed objects: a list of structs, as long as
the event has objects, null where an event was not accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.events.record import HardEvents, Objects, PairedEvents, RecoEvents

Events = HardEvents | RecoEvents | PairedEvents
HARD_COLUMNS = ("hard", "theta", "weight")
NUISANCES = "nuisances"
TRUTH_COLUMNS = (*HARD_COLUMNS, "pdg", NUISANCES, "accepted")


def to_table(events: Events) -> pa.Table:
    """The columns of ``events``, wherever they are. Objects move to the front of their event, their order is kept."""
    events = events.to("cpu")
    if isinstance(events, HardEvents):
        return pa.table(_hard_columns(events))
    if isinstance(events, RecoEvents):
        return pa.table({name: _list_column(objects) for name, objects in events.collections.items()})
    columns = _hard_columns(events.hard) | {"accepted": pa.array(events.accepted.numpy())}
    lists = {name: _list_column(objects, events.accepted) for name, objects in events.reco.collections.items()}
    return pa.table(columns | lists)


def from_table(table: pa.Table, features: Mapping[str, tuple[str, ...]] | None = None) -> Events:
    """The inverse of ``to_table``: the kind of record follows from the columns.

    Args:
        table: the columns.
        features: the collections to read, and the features of each in order; all of them if None.

    Raises:
        InputError: a column or a feature is missing, of the wrong type or ragged, or has nulls where there must be none.
    """
    found = set(table.column_names)
    accepted = _accepted(table) if "accepted" in found else None
    if features is None:
        features = {name: () for name in table.column_names if name not in TRUTH_COLUMNS}
    observed = table if accepted is None else table.filter(pa.array(accepted.numpy()))
    collections = {name: objects_of(name, _column(observed, name), wanted) for name, wanted in features.items()}
    if not found & set(TRUTH_COLUMNS):
        return RecoEvents(collections)
    hard = _hard(table)
    if accepted is None:
        if collections:
            raise InputError("column 'accepted' is missing: it tells which simulated events were reconstructed and selected")
        return hard
    return PairedEvents(hard, accepted, RecoEvents(collections))


def objects_of(name: str, column: pa.Array, features: tuple[str, ...] = ()) -> Objects:
    """A collection from lists of structs; ``features`` in this order, all of the struct's if empty.

    Raises:
        InputError: the column is of another type, lacks a feature, or has a null; ``name`` is named.
    """
    if not (_is_list(column.type) and pa.types.is_struct(column.type.value_type)):
        raise InputError(f"column {name!r} is {column.type}, expected a list of structs per event")
    struct = column.type.value_type
    features = features or tuple(field.name for field in struct)
    missing = [feature for feature in features if struct.get_field_index(feature) < 0]
    if missing:
        raise InputError(f"column {name!r} lacks {', '.join(missing)}; its structs must have {', '.join(features)}")
    _no_nulls(name, column)
    values = column.flatten()
    numbers = [_numbers(f"{name}.{feature}", values.field(feature)) for feature in features]
    counts = torch.from_numpy(pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64))
    longest = int(counts.max()) if len(counts) else 0
    mask = torch.arange(longest, device=counts.device) < counts[:, None]
    flat = torch.stack(numbers, dim=-1)
    padded = flat.new_zeros(*mask.shape, len(features))
    padded[mask] = flat
    return Objects(padded, mask, features)


def slices(events: Events, rows: int) -> list[Events]:
    """``events`` cut into pieces of at most ``rows``; one empty piece if there are none."""
    starts = list(range(0, max(len(events), 1), rows))
    if not isinstance(events, PairedEvents):
        return [events[start : start + rows] for start in starts]
    recorded = [int(events.accepted[:start].sum()) for start in [*starts, len(events)]]
    return [
        PairedEvents(events.hard[start : start + rows], events.accepted[start : start + rows], events.reco[first:last])
        for start, (first, last) in zip(starts, pairwise(recorded), strict=True)
    ]


def _hard_columns(hard: HardEvents) -> dict[str, pa.Array]:
    columns = {"hard": _fixed_column(hard.x), "theta": _fixed_column(hard.theta), "weight": pa.array(hard.weight.numpy())}
    if hard.nuisances:
        values = [pa.array(nu.contiguous().numpy()) for nu in hard.nuisances.values()]
        columns[NUISANCES] = pa.StructArray.from_arrays(values, list(hard.nuisances))
    return columns if hard.pdg is None else columns | {"pdg": _fixed_column(hard.pdg)}


def _fixed_column(values: Tensor) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.contiguous().numpy().reshape(-1)), values.shape[1])


def _list_column(objects: Objects, accepted: Tensor | None = None) -> pa.Array:
    """Lists of structs; ``accepted`` [N] spreads the objects of the accepted events over all N, with nulls between."""
    counts = objects.mask.sum(dim=1)
    rejected = None
    if accepted is not None:
        counts = torch.zeros_like(accepted, dtype=counts.dtype).masked_scatter(accepted, counts)
        rejected = pa.array(~accepted.numpy())
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0)).to(torch.int32)
    flat = objects.features[objects.mask]
    struct = pa.StructArray.from_arrays([pa.array(column.contiguous().numpy()) for column in flat.unbind(-1)], objects.names)
    return pa.ListArray.from_arrays(pa.array(offsets.numpy()), struct, mask=rejected)


def _hard(table: pa.Table) -> HardEvents:
    codes = _fixed("pdg", table).to(torch.int64) if "pdg" in table.column_names else None
    weight = _numbers("weight", _column(table, "weight"))
    hard, theta = _fixed("hard", table).double(), _fixed("theta", table).double()
    return HardEvents(hard, theta, weight.double(), codes, _nuisances(table))


def _nuisances(table: pa.Table) -> dict[str, Tensor]:
    """The ν [N] of each name; none where the events have none."""
    if NUISANCES not in table.column_names:
        return {}
    column = _column(table, NUISANCES)
    if not pa.types.is_struct(column.type):
        raise InputError(f"column {NUISANCES!r} is {column.type}, expected a struct of numbers per event")
    return {field.name: _numbers(f"{NUISANCES}.{field.name}", column.field(field.name)) for field in column.type}


def _accepted(table: pa.Table) -> Tensor:
    column = _column(table, "accepted")
    if not pa.types.is_boolean(column.type):
        raise InputError(f"column 'accepted' is {column.type}, expected true or false per event")
    _no_nulls("accepted", column)
    return torch.from_numpy(column.to_numpy(zero_copy_only=False).copy())


def _fixed(name: str, table: pa.Table) -> Tensor:
    """A column of lists of one length as a tensor [N, length]."""
    column = _column(table, name)
    if not _is_list(column.type):
        raise InputError(f"column {name!r} is {column.type}, expected a list of numbers per event")
    _no_nulls(name, column)
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    size = column.type.list_size if pa.types.is_fixed_size_list(column.type) else next(iter(lengths), 0)
    if any(length != size for length in lengths):
        raise InputError(
            f"column {name!r} has lists of {len(lengths)} different lengths, expected one length for all events"
        )
    return _numbers(name, column.flatten()).reshape(len(column), size)


def _column(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        raise InputError(f"column {name!r} is missing; there are: {', '.join(table.column_names) or 'none'}")
    column = table[name].combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _numbers(name: str, column: pa.Array) -> Tensor:
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise InputError(f"column {name!r} is {kind}, expected numbers")
    _no_nulls(name, column)
    numbers = column.to_numpy(zero_copy_only=False)
    return torch.from_numpy(numbers.astype(np.float64 if numbers.dtype == np.bool_ else numbers.dtype))


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _no_nulls(name: str, column: pa.Array) -> None:
    if column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise InputError(
            f"column {name!r} has {column.null_count} null value(s), the first in row {row + 1}; fill or drop them"
        )
