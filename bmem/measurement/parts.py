"""Parts of a measurement beside its estimate: curve, regions by belt and posterior, external constraints, further fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from iminuit.cost import NormalConstraint
from iminuit.util import describe

from bmem.calibration.record import Array, JsonRecord
from bmem.inference.bayes import FLAT, posterior
from bmem.inference.bias import Validation
from bmem.inference.combine import Budget
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.intervals import IntervalSet, profile_intervals
from bmem.inference.laplace import LaplaceMarginal
from bmem.inference.newton import nuisance_indices
from bmem.inference.nuisance import Marginalised
from bmem.inference.objective import MarginalLikelihood, Objective
from bmem.inference.regions import ContourSet, contours
from bmem.measurement.estimate import Estimate

LEVELS = (0.683, 0.954)
_POINTS = 1440


@dataclass(frozen=True)
class ProfileCurve(JsonRecord):
    """-2Δ log L profiled along the first parameter ``theta`` [G]: ``delta`` [G], and that of ``resamples`` [B, G]."""

    theta: Array
    delta: Array
    resamples: Array | None = None


@dataclass(frozen=True)
class BeltIntervals(JsonRecord):
    """Regions by a confidence belt, one for each level; ``effective_events``: the least that the bank is worth."""

    intervals: tuple[IntervalSet, ...]
    effective_events: float


@dataclass(frozen=True)
class PosteriorSummary(JsonRecord):
    """Moments of the first parameter's posterior under a ``prior``, and its regions of highest density."""

    prior: str
    mean: float
    std: float
    intervals: tuple[IntervalSet, ...]

    @classmethod
    def of(cls, hypothesis: Hypothesis, likelihood: MarginalLikelihood) -> PosteriorSummary:
        """Under a prior that is flat but for external constraints; other parameters are integrated out."""
        if len(likelihood.parameters) == 1:
            found, prior = posterior(likelihood, hypothesis.prior()), hypothesis.prior().description
        else:
            found = posterior(marginalised(hypothesis.constrained(likelihood)), FLAT, _POINTS)
            prior = hypothesis.joint_prior
        return cls(prior, found.mean, found.std, tuple(found.interval(level) for level in LEVELS))


def marginalised(total: Objective) -> Marginalised | LaplaceMarginal:
    """The likelihood of the first parameter with the others integrated out: on a grid, or with nuisances by Laplace."""
    return LaplaceMarginal(total) if nuisance_indices(total.parameters) else Marginalised(total)


@dataclass(frozen=True)
class Constraint(JsonRecord):
    """An external measurement of a ``parameter`` that took part in a fit: ``value`` and ``error`` in stored units."""

    parameter: str
    value: float
    error: float


def external(constraints: Sequence[NormalConstraint]) -> tuple[Constraint, ...]:
    """The constraints of a fit as plain values, by the names of their parameters."""
    return tuple(
        Constraint(name, float(c.value[0]), float(np.sqrt(c.covariance.ravel()[0])))
        for c in constraints
        for name in describe(c)
    )


@dataclass(frozen=True)
class FurtherFit(JsonRecord):
    """Another question to the same integrals: ``budget`` and joint ``contours`` of two parameters, ``intervals`` of each."""

    budget: Budget
    contours: ContourSet
    intervals: tuple[tuple[IntervalSet, ...], ...]
    constraints: tuple[Constraint, ...]
    excluded: tuple[int, ...]

    @classmethod
    def of(cls, hypothesis: Hypothesis, validation: Validation | None = None) -> FurtherFit:
        """The fit of a ``hypothesis`` of at least two parameters."""
        likelihood, table = hypothesis.budget(validation)
        total, count = hypothesis.constrained(likelihood), len(likelihood.parameters)
        first, second = [i for i in range(count) if i not in nuisance_indices(likelihood.parameters)][:2]
        return cls(
            budget=table,
            contours=contours(total, table.estimate, LEVELS, (first, second)),
            intervals=tuple(profile_intervals(total, table.estimate, LEVELS, index) for index in range(count)),
            constraints=external(hypothesis.constraints),
            excluded=tuple(hypothesis.excluded.tolist()),
        )

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """One for each parameter."""
        return tuple(Estimate.of(self.budget, i, regions) for i, regions in enumerate(self.intervals))
