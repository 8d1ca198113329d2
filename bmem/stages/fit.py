"""Stage 4: α from the first events of each sample, with its intervals and uncertainty budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bmem.config import BANK
from bmem.inference.combine import resampled
from bmem.inference.intervals import profile, profile_intervals
from bmem.inference.objective import MarginalLikelihood, Objective, axes
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.stages.backgrounds import background_parents, log_densities
from bmem.stages.belt import LEVELS, measured_with_belt
from bmem.stages.hypotheses import Hypothesis, described
from bmem.stages.run import Run, plain
from bmem.stages.scrutiny import save_inference_data, scrutiny

KIND = "fit"
_BAND_CURVES = 100
_PROFILED = {1: 120, 2: 24}
"""Points along each of the parameters over which a band's curve is minimised, by their number."""


def fit_all(run: Run) -> None:
    """Fit every sample that has no result yet."""
    for sample in run.config.sample:
        lists = {name: [plain(entry) for entry in getattr(run.config, name)] for name in ("constraint", "background")}
        settings: dict[str, Any] = {"fit": plain(run.config.fit)} | lists
        parents = {"coefficients": run.coefficients(sample.name)} | background_parents(run)
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
    signal = Coefficients.load(run.coefficients(name), slice(0, run.config.fit.events))
    backgrounds = log_densities(run, name, signal.n_events)
    rate = run.channel.rate.get("process")
    hypothesis = Hypothesis.of(run.config, signal, MorphingBasis.of(run.process), backgrounds, rate=rate)
    lost = hypothesis.excluded.tolist()
    if lost:
        run.say(f"  [yellow]{len(lost)} events have no usable density and are left out: {lost}[/]")
    likelihood, table = hypothesis.budget()
    total = hypothesis.constrained(likelihood)
    regions = profile_intervals(total, table.estimate, LEVELS)
    grid = axes(total.parameters[:1])[0]
    save_inference_data(run, name, hypothesis, parents)
    return scrutiny(run, hypothesis, table.estimate, (signal, backgrounds)) | {
        "events": signal.n_events,
        "replicas": signal.n_replicas,
        "excluded": lost,
        "constraints": described(hypothesis.constraints),
        "budget": table.to_dict(),
        "intervals": [region.to_dict() for region in regions],
        "printed_intervals": [str(region) for region in regions],
        "belt": measured_with_belt(run, likelihood, table.estimate),
        "theta": grid.tolist(),
        "delta": (profile(total, 0)(grid) - table.estimate.floor).tolist(),
        "curves": _curves(hypothesis, likelihood, grid).tolist(),
    }


def _curves(hypothesis: Hypothesis, likelihood: MarginalLikelihood, grid: np.ndarray) -> np.ndarray:
    """-2Δ log L of bootstrap resamples (the replicas taking turns) on the grid, [B, G]; empty without resamples."""
    coefficients = hypothesis.coefficients
    if coefficients.bootstrap is None:
        return np.empty((0, len(grid)))
    points, curves = _points(likelihood, grid), []
    for b in range(min(_BAND_CURVES, coefficients.bootstrap.shape[1])):
        _, one = resampled(likelihood, coefficients, b)
        values = hypothesis.constrained(one).value(points).min(axis=1)
        curves.append(values - values.min())
    return np.array(curves)


def _points(objective: Objective, grid: np.ndarray) -> np.ndarray:
    """[G, M, P]: the first parameter on the ``grid`` [G], the others on one of their own, [G, 1, 1] if there is none."""
    others = objective.parameters[1:]
    if not others:
        return grid[:, None, None]
    own = [np.linspace(*p.bounds, _PROFILED[len(others)]) for p in others]
    nodes = np.stack(np.meshgrid(*own, indexing="ij"), -1).reshape(-1, len(others))
    shape = (len(grid), len(nodes))
    first = np.broadcast_to(grid[:, None, None], (*shape, 1))
    return np.concatenate([first, np.broadcast_to(nodes, (*shape, len(others)))], axis=-1)


def headline(result: Mapping[str, Any]) -> str:
    """One line: α̂ with its errors in degrees, the 68.3 % interval."""
    table = result["budget"]
    estimate = np.degrees(table["estimate"]["minima"][0]["theta"][0])
    statistical = table["statistical"][0]
    integration = (table["integration"] or {"std": table["integration_linear"]})["std"][0]
    errors = f"± {np.degrees(integration):.1f}° (integration)"
    if statistical is not None and np.isfinite(statistical):
        errors = f"± {np.degrees(statistical):.1f}° (statistical) " + errors
    for source in ("simulation", "weights") if table["weights"] is not None else ():
        errors += f" ± {np.degrees(table[source][0]):.2f}° ({source})"
    line = f"α̂ = {estimate:.1f}° {errors}, 68.3 %: {result['printed_intervals'][0]} ({result['events']} events)"
    belt = result.get("belt") or {}
    if "intervals" in belt:
        line += f", Feldman-Cousins: {belt['printed_intervals'][0]}"
    for fraction in result["fractions"]:
        line += f", fraction of {fraction['name']}: {fraction['estimate']:.3f}, 68.3 %: {fraction['printed_intervals'][0]}"
    return line
