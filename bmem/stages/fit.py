"""Stage 4: the parameters from the first events of each sample, with its intervals and uncertainty budget."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.artifacts import JsonFile, Product, Work, read_json
from bmem.config import BANK, FitSection
from bmem.inference.combine import resampled
from bmem.inference.intervals import profile, profile_intervals
from bmem.inference.objective import MarginalLikelihood, Objective, axes
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.quantity import Quantity
from bmem.stages.backgrounds import background_parents, log_densities
from bmem.stages.belt import LEVELS, measured_with_belt
from bmem.stages.hypotheses import Hypothesis, described
from bmem.stages.integrate import AVAILABLE
from bmem.stages.run import Run, plain
from bmem.stages.scrutiny import save_inference_data, scrutiny
from bmem.stages.simulate import UNREAD, is_observed, measured_events

KIND = "fit"
_BAND_CURVES = 100
_PROFILED = {1: 120, 2: 24}
"""Points along each of the parameters over which a band's curve is minimised, by their number."""


def fit_all(run: Run) -> None:
    """Fit every sample that has no result yet."""
    run.engine.ensure(*products(run))


def products(run: Run) -> list[Product[dict[str, Any]]]:
    """The measurement of every sample."""
    return [_product(run, sample.name) for sample in run.config.sample]


def _product(run: Run, name: str) -> Product[dict[str, Any]]:
    lists = {key: [plain(entry) for entry in getattr(run.config, key)] for key in ("constraint", "background")}
    settings: dict[str, Any] = {"fit": _known_as(run.config.fit) | {"events": measured_events(run, name)}} | lists
    parents = {"coefficients": run.coefficients(name)} | background_parents(run)
    if run.config.belt.bank_events:
        settings |= {"belt": plain(run.config.belt)}
        parents |= {"bank": run.coefficients(BANK)}

    def make() -> JsonFile:
        result = _measure(run, name, parents)
        run.say(f"  {name}: {headline(result, run.config.first.quantity)}")
        return JsonFile(KIND, result)

    read, cost = partial(read_json, kind=KIND), (Work("fit", 1),)
    return Product(name, run.fit(name), KIND, settings, parents, make, read, cost)


def _known_as(section: FitSection) -> dict[str, Any]:
    """As artifacts have always known the section: free couplings by a flag of their own."""
    bases = [name for name in section.bases if name != "couplings"]
    return plain(section) | {"bases": bases, "couplings": "couplings" in section.bases}


def _measure(run: Run, name: str, parents: Mapping[str, Path]) -> dict[str, Any]:
    """Estimate, intervals, budget and the curve of -2 log L, as plain values (radians); the posterior is kept for arviz."""
    signal = Coefficients.load(run.coefficients(name), slice(0, measured_events(run, name)))
    origin = _origin_of_events(run, name, signal.n_events)
    for remark in left_out(origin):
        run.say(f"  [yellow]{name}: {remark}[/]")
    backgrounds = log_densities(run, name, signal.n_events)
    hypothesis = Hypothesis.of(run.config, signal, MorphingBasis.of(run.process), backgrounds)
    lost = hypothesis.excluded.tolist()
    if lost:
        run.say(f"  [yellow]{len(lost)} events have no usable density and are left out: {lost}[/]")
    likelihood, table = hypothesis.budget()
    total = hypothesis.constrained(likelihood)
    regions = profile_intervals(total, table.estimate, LEVELS)
    grid = axes(total.parameters[:1])[0]
    save_inference_data(run, name, hypothesis, parents)
    return scrutiny(run, hypothesis, table.estimate, (signal, backgrounds)) | {
        **origin,
        "replicas": signal.n_replicas,
        "excluded": lost,
        "constraints": described(hypothesis.constraints),
        "budget": table.to_dict(),
        "intervals": [region.to_dict() for region in regions],
        "printed_intervals": [str(region) for region in regions],
        "belt": measured_with_belt(run, likelihood, table.estimate),
        "theta": grid.tolist(),
        "delta": (profile(total, 0)(grid) - table.estimate.best.value).tolist(),
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


def counted(result: Mapping[str, Any]) -> str:
    """How many events were measured, and of how many if not of all (results of earlier versions do not tell)."""
    events, available = result["events"], result.get("available", result["events"])
    return f"{events} events" if events == available else f"{events} of {available} events"


def left_out(result: Mapping[str, Any]) -> list[str]:
    """What to say of observed events that are not measured, for it was asked."""
    found = []
    if result.get("unread"):
        found.append(f"{result['unread']} observed events of the file are not read, as 'events' of the sample asks")
    if result.get("observed") and result["events"] < result["available"]:
        found.append(f"only {counted(result)} that were observed are measured, as fit.events asks; leave it out for all")
    return found


def _origin_of_events(run: Run, name: str, measured: int) -> dict[str, Any]:
    """How many events are measured and how many the sample has, whether they were observed, and how many were not read."""
    there = artifacts.exists(run.events(name))
    return {
        "events": measured,
        "available": artifacts.read_header(run.coefficients(name)).settings.get(AVAILABLE, measured),
        "observed": is_observed(run, name),
        "unread": artifacts.read_header(run.events(name)).settings.get(UNREAD, 0) if there else 0,
    }


def headline(result: Mapping[str, Any], quantity: Quantity) -> str:
    """One line: the estimate of the first parameter, a ``quantity``, with its errors, and its 68.3 % interval."""
    table = result["budget"]
    estimate, statistical = table["estimate"]["minima"][0]["theta"][0], table["statistical"][0]
    integration = (table["integration"] or {"std": table["integration_linear"]})["std"][0]
    digits = quantity.digits(statistical)

    def shown(value: float) -> str:
        return f"{float(quantity.printed(value)):.{digits}f}{quantity.suffix}"

    errors = f"± {shown(integration)} (integration)"
    if statistical is not None and np.isfinite(statistical):
        errors = f"± {shown(statistical)} (statistical) " + errors
    if table["network"] is not None:
        errors += f" ± {shown(table['network']['std'][0])} (network)"
    interval = f"68.3 %: {result['printed_intervals'][0]} ({counted(result)})"
    line = f"{quantity.estimate} = {shown(estimate)} {errors}, {interval}"
    belt = result.get("belt") or {}
    if "intervals" in belt:
        line += f", Feldman-Cousins: {belt['printed_intervals'][0]}"
    for fraction in result["fractions"]:
        line += f", fraction of {fraction['name']}: {fraction['estimate']:.3f}, 68.3 %: {fraction['printed_intervals'][0]}"
    return line
