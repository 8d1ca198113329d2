"""From coefficients to a measurement."""

from __future__ import annotations

from collections.abc import Mapping

from bmem.inference.bias import Validation
from bmem.inference.event_influence import influence
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.intervals import profile, profile_intervals
from bmem.inference.objective import axes
from bmem.inference.ranking import impacts
from bmem.measurement.parts import LEVELS, FurtherFit, PosteriorSummary, ProfileCurve, external
from bmem.measurement.record import Measurement

_RESAMPLES = 100
"""Resamples whose curves are kept for the bands."""


def measure_hypothesis(
    hypothesis: Hypothesis,
    further: Mapping[str, Hypothesis] | None = None,
    available: int | None = None,
    validation: Validation | None = None,
) -> Measurement:
    """Estimate, intervals, uncertainties by source, posterior and influence of every event.

    Args:
        hypothesis: the coefficients of the events, and what may be true of them.
        further: other hypotheses of the same events, of at least two parameters each, by name.
        available: events that there were to choose from.
        validation: events of the signal that tell the bias of the method.

    Raises:
        FitError: the likelihood has no minimum, or does not depend on one of several parameters.
    """
    likelihood, table = hypothesis.budget(validation)
    total = hypothesis.constrained(likelihood)
    grid = axes(total.parameters[:1])[0]
    diagnostics = hypothesis.coefficients.diagnostics
    return Measurement(
        budget=table,
        intervals=tuple(profile_intervals(total, table.estimate, LEVELS, i) for i in range(len(total.parameters))),
        curve=ProfileCurve(
            theta=grid,
            delta=profile(total, 0, [table.estimate.theta])(grid) - table.estimate.floor,
            resamples=hypothesis.resampled_curves(likelihood, grid, _RESAMPLES),
        ),
        constraints=external(hypothesis.constraints),
        events=hypothesis.coefficients.n_events,
        available=available,
        replicas=hypothesis.coefficients.n_replicas,
        excluded=tuple(hypothesis.excluded.tolist()),
        impacts=impacts(total.estimator, table.estimate.best, hypothesis.constraints),
        posterior=PosteriorSummary.of(hypothesis, likelihood),
        influence=influence(likelihood, table.estimate, diagnostics, hypothesis.constraints),
        further={name: FurtherFit.of(other, validation) for name, other in (further or {}).items()},
        source=hypothesis,
    )
