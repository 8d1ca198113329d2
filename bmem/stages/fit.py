"""Stage 4: α from the first events of each sample, with its intervals and uncertainty budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bmem.config import BANK
from bmem.inference.combine import budget, resampled
from bmem.inference.intervals import profile_intervals
from bmem.inference.objective import MarginalLikelihood, scan_grid, unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.stages.belt import LEVELS, measured_with_belt
from bmem.stages.run import Run, plain
from bmem.stages.scrutiny import save_inference_data, scrutiny

KIND = "fit"
_BAND_CURVES = 100


def fit_all(run: Run) -> None:
    """Fit every sample that has no result yet."""
    for sample in run.config.sample:
        settings = {"fit": plain(run.config.fit)}
        parents = {"coefficients": run.coefficients(sample.name)}
        if run.config.belt.bank_events:
            settings |= {"belt": plain(run.config.belt)}
            parents |= {"bank": run.coefficients(BANK)}
        path = run.fit(sample.name)
        if run.done(path, KIND, settings, parents):
            continue
        result = _measure(run, sample.name, parents)
        run.save_json(path, KIND, result, settings, parents)
        run.say(f"  {sample.name}: {headline(result)}")


def _measure(run: Run, name: str, parents: Mapping[str, Path]) -> dict[str, Any]:
    """Estimate, intervals, budget and the curve of -2 log L, as plain values (radians); the posterior is kept for arviz."""
    coefficients = Coefficients.load(run.coefficients(name)).select(slice(0, run.config.fit.events))
    basis, luminosity = MorphingBasis.of(run.process), run.config.fit.luminosity
    lost = unusable_events(coefficients, basis)
    if len(lost):
        run.say(f"  [yellow]{len(lost)} events have no usable density and are left out: {lost.tolist()}[/]")
    objective, table = budget(coefficients, basis, luminosity, lost)
    regions = profile_intervals(objective, table.estimate, LEVELS)
    grid = scan_grid(basis.parameters)
    curve = objective.value(grid)
    save_inference_data(run, name, objective, coefficients.diagnostics, parents)
    return scrutiny(run, objective, table.estimate, coefficients) | {
        "events": coefficients.n_events,
        "replicas": coefficients.n_replicas,
        "excluded": lost.tolist(),
        "budget": table.to_dict(),
        "intervals": [region.to_dict() for region in regions],
        "printed_intervals": [str(region) for region in regions],
        "belt": measured_with_belt(run, objective, table.estimate),
        "theta": grid[:, 0].tolist(),
        "delta": (curve - table.estimate.best.value).tolist(),
        "curves": _curves(coefficients, objective, grid).tolist(),
    }


def _curves(coefficients: Coefficients, objective: MarginalLikelihood, grid: np.ndarray) -> np.ndarray:
    """-2Δ log L of bootstrap resamples (the replicas taking turns) on the grid, [B, G]; empty without resamples."""
    if coefficients.bootstrap is None:
        return np.empty((0, len(grid)))
    curves = []
    for b in range(min(_BAND_CURVES, coefficients.bootstrap.shape[1])):
        _, likelihood = resampled(objective, coefficients, b)
        values = likelihood.value(grid)
        curves.append(values - values.min())
    return np.array(curves)


def headline(result: Mapping[str, Any]) -> str:
    """One line: α̂ with its errors in degrees, the 68.3 % interval."""
    table = result["budget"]
    estimate = np.degrees(table["estimate"]["minima"][0]["theta"][0])
    statistical = table["statistical"][0]
    integration = (table["integration"] or {"std": table["integration_linear"]})["std"][0]
    errors = f"± {np.degrees(integration):.1f}° (integration)"
    if statistical is not None and np.isfinite(statistical):
        errors = f"± {np.degrees(statistical):.1f}° (statistical) " + errors
    if table["network"] is not None:
        errors += f" ± {np.degrees(table['network']['std'][0]):.1f}° (network)"
    line = f"α̂ = {estimate:.1f}° {errors}, 68.3 %: {result['printed_intervals'][0]} ({result['events']} events)"
    belt = result.get("belt") or {}
    return f"{line}, Feldman-Cousins: {belt['printed_intervals'][0]}" if "intervals" in belt else line
