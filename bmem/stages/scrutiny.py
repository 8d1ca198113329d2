"""What a fit is asked beside its estimate: the Bayesian answer, the events that drive it, whether the sample fits at all.

And the other questions to the same integrals: the fractions of backgrounds, free couplings, a free signal strength.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from bmem.calibration.goodness import goodness_of_fit
from bmem.errors import RangeError
from bmem.inference import export
from bmem.inference.contours import contours
from bmem.inference.fit import FitResult
from bmem.inference.influence import influence
from bmem.inference.intervals import profile_intervals
from bmem.inference.nuisance import Marginalised
from bmem.inference.objective import Objective
from bmem.inference.posterior import FLAT, posterior
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.couplings import coupling_basis
from bmem.rng import numpy_generator
from bmem.stages.belt import LEVELS, load_bank
from bmem.stages.hypotheses import Hypothesis, described
from bmem.stages.run import Run

_POINTS = 1440
Sample = tuple[Coefficients, Mapping[str, ArrayLike]]
"""The coefficients of the signal hypothesis, and the log-densities of the backgrounds."""


def scrutiny(run: Run, hypothesis: Hypothesis, estimate: FitResult, sample: Sample) -> dict[str, Any]:
    """As plain values: posterior, influence, goodness of fit (None without a bank), other fits (None if not wanted)."""
    likelihood = hypothesis.likelihood()
    diagnostics = hypothesis.coefficients.diagnostics
    return {
        "posterior": _posterior(hypothesis, likelihood),
        "influence": influence(likelihood, estimate, diagnostics, hypothesis.constraints).to_dict(),
        "goodness": _goodness(run, sample[0]),
        "fractions": _fractions(hypothesis.constrained(likelihood), estimate),
        "couplings": _couplings(run, sample) if run.config.fit.couplings else None,
        "strength": _strength(run, sample) if run.config.fit.strength else None,
    }


def save_inference_data(run: Run, name: str, hypothesis: Hypothesis, parents: Mapping[str, Path]) -> None:
    """Keep the posterior draws, the likelihood of each event and the diagnostics of the integrals for arviz."""
    rng, likelihood = numpy_generator(run.config.seed, "arviz", name), hypothesis.likelihood()
    prior, diagnostics = hypothesis.prior(), hypothesis.coefficients.diagnostics
    if len(likelihood.parameters) == 1:
        data = export.inference_data(likelihood, rng, prior, diagnostics=diagnostics)
    else:
        size = export.DrawSettings()
        marginal = Marginalised(hypothesis.constrained(likelihood))
        chains = marginal.draws(size.chains, size.draws, rng, _named_prior(hypothesis))
        data = export.inference_data_of_chains(likelihood, chains, rng, diagnostics)
    export.save(data, run.inference_data(name), {"seed": run.config.seed}, parents)


def _named_prior(hypothesis: Hypothesis) -> str:
    constraints = ", times the external constraints" if hypothesis.constraints else ""
    return f"flat in every parameter over its range{constraints}"


def _posterior(hypothesis: Hypothesis, likelihood: Objective) -> dict[str, Any]:
    """Moments and regions of highest density (radians), under a prior that is flat but for external constraints."""
    if len(likelihood.parameters) == 1:
        found, prior = posterior(likelihood, hypothesis.prior()), hypothesis.prior().description
    else:
        found = posterior(Marginalised(hypothesis.constrained(likelihood)), FLAT, _POINTS)
        prior = _named_prior(hypothesis)
    regions = [found.interval(level) for level in LEVELS]
    return {
        "prior": prior,
        "mean": found.mean,
        "std": found.std,
        "intervals": [region.to_dict() for region in regions],
        "printed_intervals": [str(region) for region in regions],
    }


def _fractions(total: Objective, estimate: FitResult) -> list[dict[str, Any]]:
    """Estimate and profile intervals of each background's fraction."""
    found = []
    for index, parameter in enumerate(total.parameters[1:], 1):
        regions = profile_intervals(total, estimate, LEVELS, index)
        found.append(
            {
                "name": parameter.name.removeprefix("f_"),
                "index": index,
                "estimate": float(estimate.theta[index]),
                "intervals": [region.to_dict() for region in regions],
                "printed_intervals": [str(region) for region in regions],
            }
        )
    return found


def _couplings(run: Run, sample: Sample) -> dict[str, Any]:
    """Fit, budget and contours of (κ_S, κ_P), from the same integrals."""
    rate = run.channel.rate.get("couplings")
    return _second_fit(Hypothesis.of(run.config, sample[0], coupling_basis(), sample[1], rate=rate))


def _strength(run: Run, sample: Sample) -> dict[str, Any]:
    """The same of α and the signal strength, with the intervals of both."""
    basis, rate = MorphingBasis.of(run.process), run.channel.rate.get("process")
    hypothesis = Hypothesis.of(run.config, sample[0], basis, sample[1], strength=True, rate=rate)
    return _second_fit(hypothesis, intervals=True)


def _second_fit(hypothesis: Hypothesis, intervals: bool = False) -> dict[str, Any]:
    likelihood, table = hypothesis.budget()
    total = hypothesis.constrained(likelihood)
    result = {
        "estimate": table.estimate.to_dict(),
        "budget": table.to_dict(),
        "contours": contours(total, table.estimate, LEVELS).to_dict(),
        "constraints": described(hypothesis.constraints),
        "excluded": hypothesis.excluded.tolist(),
    }
    if intervals:
        regions = [profile_intervals(total, table.estimate, LEVELS, index) for index in (0, 1)]
        result["intervals"] = [[region.to_dict() for region in pair] for pair in regions]
        result["printed_intervals"] = [[str(region) for region in pair] for pair in regions]
    return result


def _goodness(run: Run, coefficients: Coefficients) -> dict[str, Any] | None:
    """The test against toys from the bank, or the reason why there is none."""
    if not run.config.belt.bank_events:
        return None
    try:
        return goodness_of_fit(coefficients, load_bank(run), run.seed("goodness")).to_dict()
    except RangeError as error:
        run.say(f"  [yellow]no goodness of fit: {error}[/]")
        return {"refused": str(error)}
