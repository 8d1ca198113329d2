"""Coverage of intervals where θ is not the only parameter, by toys of a population that its belt was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bmem.calibration.experiments import Experiments, Others
from bmem.calibration.population import Population
from bmem.calibration.population_belt import PopulationBelt
from bmem.calibration.pulls import short_way
from bmem.calibration.record import Array, JsonRecord
from bmem.errors import InputError
from bmem.rng import numpy_generator

METHODS = ("profile", "Feldman-Cousins")
"""t below the χ² quantile; t below the critical value of the belt."""


@dataclass(frozen=True)
class CoveragePoint(JsonRecord):
    """At one ``truth`` of θ: ``covered`` [H, M, L], the fractions of the ``toys`` of each of H halves whose intervals hold it.

    For the M ``METHODS`` at the ``levels`` [L]; mean ``bias`` and ``spread`` [H] of the estimates.
    """

    truth: float
    toys: int
    levels: Array
    covered: Array
    bias: Array
    spread: Array


def coverage_point(
    halves: Sequence[Population],
    belts: Sequence[PopulationBelt],
    truth: float,
    *,
    toys: int,
    seed: int,
    others: Array | None = None,
) -> CoveragePoint:
    """Coverage at ``truth``: ``toys`` of each half of a population, measured with the belt of the other half.

    The other parameters are true at their nominal values, or at ``others`` [Q]; where the belts were made with drawn ones
    they are drawn.

    Raises:
        InputError: the belts are not for these samples, or treat the other parameters in two ways.
    """
    kinds = {belt.others for belt in belts}
    if len(kinds) > 1 or any(belt.names != belts[0].names for belt in belts):
        raise InputError("coverage: the belts of the halves differ; make them with the same settings")
    kind: Others = "drawn" if "drawn" in kinds else "profiled"
    true = halves[0].nominal if others is None else np.asarray(others, np.float64)
    covered, bias, spread = [], [], []
    for number, (half, belt) in enumerate(zip(halves, list(belts)[::-1], strict=True)):
        rng = numpy_generator(seed, "coverage", repr(truth), number)
        found = Experiments(half, kind).ratios(truth, true, toys, rng)
        theta = np.full(toys, truth)
        critical = np.stack([belt.critical_value(theta, found.there, level) for level in belt.levels])
        inside = np.stack([found.t <= stats.chi2.ppf(belt.levels, 1)[:, None], found.t <= critical])
        covered.append(inside.mean(axis=2))
        shift = short_way(found.best[:, 0] - truth, half.parameters[0].period)
        bias.append(shift.mean())
        spread.append(shift.std(ddof=1))
    return CoveragePoint(truth, toys, belts[0].levels, np.array(covered), np.array(bias), np.array(spread))
