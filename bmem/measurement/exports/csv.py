"""Tables as CSV: estimates, intervals, and the curve of every sample."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bmem.artifacts import atomic_path
from bmem.measurement.exports.rows import Results, estimates, regions, sources
from bmem.measurement.record import Measurement


def write(results: Results, folder: Path) -> list[Path]:
    """``estimates.csv``, ``intervals.csv``, and ``NAME.likelihood.csv`` of every sample; what is unknown is empty."""
    names = sources(results)
    head = ["sample", "parameter", "unit", "value", *(f"error_{_key(source)}" for source in names), "error_total", "events"]
    rows: list[Sequence[Any]] = []
    for sample, found, e in estimates(results):
        errors = [e.sources.get(source, math.nan) for source in names] + [e.total]
        value = math.nan if e.is_flat else e.value
        rows.append([sample, e.parameter.name, e.quantity.unit, *map(_number, [value, *errors]), found.used])
    pieces = [
        [r.sample, r.estimate.parameter.name, r.estimate.quantity.unit, r.method, r.level, _number(low), _number(high)]
        for r in regions(results)
        for low, high in r.pieces
    ]
    written = [
        _table(folder / "estimates.csv", head, rows),
        _table(
            folder / "intervals.csv", ["sample", "parameter", "unit", "method", "level", "lower", "upper"], pieces
        ),
    ]
    return written + [_curve(folder / f"{name}.likelihood.csv", found) for name, found in results.items()]


def _curve(path: Path, found: Measurement) -> Path:
    """-2Δ log L against the parameter of interest in its printed unit, the others profiled."""
    quantity = found.estimate.quantity
    name = quantity.name + (f"_{quantity.unit}" if quantity.unit else "")
    points = zip(quantity.printed(found.curve.theta).tolist(), found.curve.delta.tolist(), strict=True)
    return _table(path, [name, "minus_2_delta_log_likelihood"], points)


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def _number(x: float) -> float | str:
    return x if math.isfinite(x) else ""


def _key(source: str) -> str:
    return source.replace(" ", "_")
