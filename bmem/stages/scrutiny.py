"""What a fit is asked beside its estimate: the Bayesian answer, the events that drive it, whether the sample fits at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmem.calibration.goodness import goodness_of_fit
from bmem.errors import RangeError
from bmem.inference import export
from bmem.inference.contours import contours
from bmem.inference.fit import FitResult, fit
from bmem.inference.influence import influence
from bmem.inference.objective import MarginalLikelihood, unusable_events
from bmem.inference.posterior import posterior
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.couplings import coupling_basis
from bmem.rng import numpy_generator
from bmem.stages.belt import LEVELS, load_bank
from bmem.stages.run import Run


def scrutiny(run: Run, objective: MarginalLikelihood, estimate: FitResult, coefficients: Coefficients) -> dict[str, Any]:
    """As plain values: posterior, influence, goodness of fit (None without a bank), free couplings (None if not wanted)."""
    return {
        "posterior": _posterior(objective),
        "influence": influence(objective, estimate, coefficients.diagnostics).to_dict(),
        "goodness": _goodness(run, coefficients),
        "couplings": _couplings(run, coefficients),
    }


def save_inference_data(
    run: Run, name: str, objective: MarginalLikelihood, diagnostics: Mapping[str, Any], parents: Mapping[str, Path]
) -> None:
    """Keep the posterior draws, the likelihood of each event and the diagnostics of the integrals for arviz."""
    rng = numpy_generator(run.config.seed, "arviz", name)
    data = export.inference_data(objective, rng, diagnostics=diagnostics)
    export.save(data, run.inference_data(name), {"seed": run.config.seed}, parents)


def _posterior(objective: MarginalLikelihood) -> dict[str, Any]:
    """Moments and regions of highest density under the flat prior (radians)."""
    found = posterior(objective)
    regions = [found.interval(level) for level in LEVELS]
    return {
        "prior": found.prior,
        "mean": found.mean,
        "std": found.std,
        "intervals": [region.to_dict() for region in regions],
        "printed_intervals": [str(region) for region in regions],
    }


def _couplings(run: Run, coefficients: Coefficients) -> dict[str, Any] | None:
    """Fit and contours of (κ_S, κ_P), from the same integrals."""
    if not run.config.fit.couplings:
        return None
    basis = coupling_basis()
    lost = unusable_events(coefficients, basis)
    objective = MarginalLikelihood.of(coefficients, basis, run.config.fit.luminosity, lost)
    result = fit(objective)
    found = contours(objective, result, LEVELS)
    return {"estimate": result.to_dict(), "contours": found.to_dict(), "excluded": lost.tolist()}


def _goodness(run: Run, coefficients: Coefficients) -> dict[str, Any] | None:
    """The test against toys from the bank, or the reason why there is none."""
    if not run.config.belt.bank_events:
        return None
    try:
        return goodness_of_fit(coefficients, load_bank(run), run.seed("goodness")).to_dict()
    except RangeError as error:
        run.say(f"  [yellow]no goodness of fit: {error}[/]")
        return {"refused": str(error)}
