"""What the report says of parameters beside α: fractions of backgrounds, the signal strength, couplings, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bmem.config import EXTERNAL
from bmem.plotting.report import Table
from bmem.stages.fit import KIND as FIT
from bmem.stages.run import Run
from bmem.stages.simulate import measured_samples


def parameter_tables(run: Run) -> tuple[Table, ...]:
    """All fits with more than one parameter, and the external constraints; none for a fit of α alone."""
    fits = {sample.name: run.load_json(run.fit(sample.name), FIT) for sample in measured_samples(run)}
    rows = [row for name, fit in fits.items() for row in _rows(name, fit)]
    tables = []
    if rows:
        columns = ("sample", "fit", "parameter", "estimate", "statistical", "integration", "network", "68.3 %", "95.4 %")
        note = "α in degrees. Errors from the curvature, resamples and replicas; intervals by the profile likelihood."
        tables.append(Table("Fits with more parameters", columns, tuple(rows), note))
    known = [_constraint(c) for c in next(iter(fits.values()))["constraints"]] if fits else []
    known += [_constraint(c) for fit in list(fits.values())[:1] for c in _others(fit)]
    if known:
        note = "Gaussian factors of the likelihood in every fit that has the parameter; the calibration takes none of α."
        tables.append(Table("External constraints", ("parameter", "value", "error"), tuple(dict.fromkeys(known)), note))
    return tuple(tables)


def fraction_lines(fit: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(label, text) of the fraction of every background; none without."""
    return tuple(
        (f"fraction of {f['name']}, 68.3 %", f"{f['estimate']:.3f} in {f['printed_intervals'][0]}") for f in fit["fractions"]
    )


def _rows(name: str, fit: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    if fit["fractions"]:
        printed = [fit["printed_intervals"], *(f["printed_intervals"] for f in fit["fractions"])]
        rows += _of_fit((name, "α and fractions"), fit["budget"], printed)
    if fit["strength"] is not None:
        rows += _of_fit((name, "α and strength"), fit["strength"]["budget"], fit["strength"]["printed_intervals"])
    if fit["couplings"] is not None:
        rows += _of_fit((name, "couplings"), fit["couplings"]["budget"], [])
    return rows


def _of_fit(labels: tuple[str, str], budget: Mapping[str, Any], printed: list[list[str]]) -> list[tuple[str, ...]]:
    """A row for every parameter."""
    rows, best = [], budget["estimate"]["minima"][0]["theta"]
    for i, parameter in enumerate(budget["estimate"]["parameters"]):
        integration = budget["integration"]["std"] if budget["integration"] else budget["integration_linear"]
        sources = (budget["statistical"][i], integration[i], budget["network"]["std"][i] if budget["network"] else None)
        scale = 180 / np.pi if parameter["period"] else 1.0
        intervals = printed[i] if i < len(printed) else ["see the contours", ""]
        name = EXTERNAL.get(parameter["name"], parameter["name"])
        rows.append((*labels, name, _shown(best[i], scale), *(_shown(s, scale) for s in sources), *intervals))
    return rows


def _others(fit: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [c for what in ("strength", "couplings") if fit[what] is not None for c in fit[what]["constraints"]]


def _constraint(content: Mapping[str, Any]) -> tuple[str, str, str]:
    scale = 180 / np.pi if content["parameter"] == "alpha" else 1.0
    unit = "°" if content["parameter"] == "alpha" else ""
    return content["parameter"], f"{content['value'] * scale:.4g}{unit}", f"{content['error'] * scale:.3g}{unit}"


def _shown(value: float | None, scale: float) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value * scale:.3g}"
