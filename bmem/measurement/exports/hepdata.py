"""A submission to HEPData: the tables of the results and of every likelihood (the layout of version 1.1.0 of its schema)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmem import __version__
from bmem.artifacts import atomic_path
from bmem.errors import MissingExtraError
from bmem.measurement.estimate import Estimate
from bmem.measurement.exports.rows import Region, Results, estimates, regions
from bmem.measurement.record import Measurement
from bmem.quantity import Quantity

FOLDER = "hepdata"
_CURVE = r"$-2\Delta\log L$"


def write(results: Results, folder: Path) -> list[Path]:
    """``hepdata/submission.yaml`` and the tables that it names: pack the folder and upload it.

    Raises:
        MissingExtraError: there is no package that writes YAML.
    """
    tables = {
        "estimates": ("Estimates with standard deviations by source.", _estimates(results)),
        "intervals": ("Intervals by method and level; a region of several pieces has several rows.", _intervals(results)),
    }
    for name, found in results.items():
        text = f"Twice the negative logarithm of the likelihood of {name} above its minimum, other parameters profiled."
        tables[f"likelihood {name}"] = (text, _likelihood(found))
    observables = sorted({e.parameter.name for _, _, e in estimates(results)})
    documents: list[Mapping[str, Any]] = [{"comment": f"Measured by the matrix element method with bmem {__version__}."}]
    written = []
    for name, (description, content) in tables.items():
        path = folder / FOLDER / f"{name.replace(' ', '_')}.yaml"
        documents.append(_entry(name, description, path.name, observables))
        written.append(_yaml(path, [content]))
    return [_yaml(folder / FOLDER / "submission.yaml", documents), *written]


def _entry(name: str, description: str, file: str, observables: Sequence[str]) -> dict[str, Any]:
    """Reactions and energies are for the authors to add: a measurement does not know them."""
    phrases = ["matrix element method", "unbinned likelihood"]
    keywords = [{"name": "observables", "values": list(observables)}, {"name": "phrases", "values": phrases}]
    return {"name": name, "description": description, "keywords": keywords, "data_file": file}


def _estimates(results: Results) -> dict[str, Any]:
    rows = list(estimates(results))
    values = [_value(e) for _, _, e in rows]
    return {
        "independent_variables": [_labels("sample", [name for name, _, _ in rows]), _parameters([e for _, _, e in rows])],
        "dependent_variables": [
            {"header": {"name": "estimate"}, "values": values},
            {"header": {"name": "events"}, "values": [{"value": found.used} for _, found, _ in rows]},
        ],
    }


def _value(e: Estimate) -> dict[str, Any]:
    """HEPData writes what is not there as "-"."""
    if e.is_flat:
        return {"value": "-"}
    errors = [{"symerror": error, "label": source} for source, error in e.sources.items() if math.isfinite(error)]
    return {"value": e.value, **({"errors": errors} if errors else {})}


def _intervals(results: Results) -> dict[str, Any]:
    rows: list[tuple[Region, float, float]] = [(r, low, high) for r in regions(results) for low, high in r.pieces]
    found = [r for r, _, _ in rows]
    ends = {"lower end": [low for _, low, _ in rows], "upper end": [high for _, _, high in rows]}
    return {
        "independent_variables": [
            _labels("sample", [r.sample for r in found]),
            _parameters([r.estimate for r in found]),
            _labels("method", [r.method for r in found]),
            _labels("level", [r.level for r in found]),
        ],
        "dependent_variables": [{"header": {"name": n}, "values": [{"value": x} for x in v]} for n, v in ends.items()],
    }


def _likelihood(found: Measurement) -> dict[str, Any]:
    quantity = found.estimate.quantity
    points = quantity.printed(found.curve.theta).tolist()
    header = {"name": f"${quantity.symbol}$", **({"units": quantity.unit} if quantity.unit else {})}
    return {
        "independent_variables": [{"header": header, "values": [{"value": x} for x in points]}],
        "dependent_variables": [
            {
                "header": {"name": _CURVE},
                "qualifiers": [{"name": "events", "value": found.used}],
                "values": [{"value": x} for x in found.curve.delta.tolist()],
            }
        ],
    }


def _labels(name: str, values: Sequence[str | float]) -> dict[str, Any]:
    return {"header": {"name": name}, "values": [{"value": value} for value in values]}


def _parameters(found: Sequence[Estimate]) -> dict[str, Any]:
    return _labels("parameter", [_with_unit(e.quantity) for e in found])


def _with_unit(quantity: Quantity) -> str:
    return f"{quantity.name} [{quantity.unit}]" if quantity.unit else quantity.name


def _yaml(path: Path, documents: Sequence[Mapping[str, Any]]) -> Path:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "hepdata") from error
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.safe_dump_all(documents, file, sort_keys=False, allow_unicode=True, width=120)
    return path
