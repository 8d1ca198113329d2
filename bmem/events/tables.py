"""Observed events from what a notebook holds: awkward arrays and pandas frames."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import awkward as ak
import pyarrow as pa

from bmem.errors import InputError
from bmem.events import observed
from bmem.events.columns import from_table, objects_of
from bmem.events.record import RecoEvents

if TYPE_CHECKING:
    import pandas as pd


def from_awkward(events: ak.Array) -> RecoEvents:
    """Observed events of an array with the fields ``photons`` and ``jets``, lists of records as in ``FEATURES``.

    Raises:
        InputError: a field is missing or of another kind.
        EventFileError: a value is not finite or out of range, see ``bmem.events.observed.checked``.
    """
    columns = {name: _field(events, name) for name in observed.FEATURES}
    collections = {}
    for name, column in columns.items():
        arrow = ak.to_arrow(column, extensionarray=False)
        collections[name] = objects_of(name, arrow, observed.FEATURES[name])
    return observed.checked("from_awkward", RecoEvents(collections))


def from_pandas(events: pd.DataFrame | Mapping[str, pd.DataFrame]) -> RecoEvents:
    """Observed events of a nested frame, or of one flat frame for each collection.

    Args:
        events: nested: one row an event, the columns ``photons`` and ``jets`` with lists of dictionaries. Flat: by the name
            of the collection a frame with one row an object, whose first index level is the event; the events are those that
            any of the frames has, in rising order.

    Raises:
        InputError: a column is missing or of another kind.
        EventFileError: a value is not finite or out of range, see ``bmem.events.observed.checked``.
    """
    if isinstance(events, Mapping):
        return from_awkward(ak.zip({name: ak.Array(rows) for name, rows in _lists(events).items()}, depth_limit=1))
    for name in observed.FEATURES:
        _demand(name, list(events.columns))
    try:
        table = pa.table({name: pa.array(list(events[name])) for name in observed.FEATURES})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"from_pandas: not lists of dictionaries per event ({error})") from error
    found = from_table(table, observed.FEATURES)
    assert isinstance(found, RecoEvents)
    return observed.checked("from_pandas", found)


def _lists(frames: Mapping[str, pd.DataFrame]) -> dict[str, list[list[dict[str, Any]]]]:
    """The rows of each event and collection."""
    for name, features in observed.FEATURES.items():
        _demand(name, list(frames))
        for feature in features:
            _demand(feature, list(frames[name].columns), f" of {name}")
    numbers = sorted(set().union(*(frame.index.get_level_values(0) for frame in frames.values())))
    found = {}
    for name, features in observed.FEATURES.items():
        rows: dict[Any, list[dict[str, Any]]] = {number: [] for number in numbers}
        frame = frames[name]
        for number, row in zip(frame.index.get_level_values(0), frame[list(features)].to_dict("records"), strict=True):
            rows[number].append(row)
        found[name] = list(rows.values())
    return found


def _field(events: ak.Array, name: str) -> ak.Array:
    _demand(name, events.fields)
    return events[name]


def _demand(name: str, there: list[str], where: str = "") -> None:
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(map(str, there)) or 'none'}"
        raise InputError(f"column {name!r}{where} is missing; {hint}")
