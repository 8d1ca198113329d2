"""``bmem import``: events of any supported file, checked, as an artifact."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console

from bmem.events import lhe, parquet
from bmem.events.importing import read_events
from bmem.events.record import HardEvents, RecoEvents
from bmem.process import THJ


def import_file(file: Path, out: Path, alpha: float | None, console: Console) -> Path:
    """Write the events of ``file`` to ``out/NAME.parquet`` and return that path; α in degrees.

    Raises:
        EventFileError: the file is unreadable, damaged or foreign, or an event in it is wrong; the message names it.
    """
    events = read_events(file, alpha=None if alpha is None else math.radians(alpha))
    if isinstance(events, lhe.LHERecord):
        events = THJ(events.sqrt_s).to_hard(events)
    path = Path(out) / f"{Path(file).name.split('.')[0]}.parquet"
    settings = {"source": Path(file).name}
    if isinstance(events, HardEvents):
        parquet.write_hard(path, events, settings)
    elif isinstance(events, RecoEvents):
        parquet.write_reco(path, events, settings)
    else:
        parquet.write_pairs(path, events, settings)
    console.print(f"{path}: {len(events)} events, all checked", highlight=False)
    return path
