"""Coverage of intervals where θ is not the only parameter, by toys of a population that its belt was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bmem.calibration.coverage import FALSE_ALARM, AtTruths, error_of_halves
from bmem.calibration.experiments import Experiments, Others
from bmem.calibration.population import Population
from bmem.calibration.population_belt import PopulationBelt
from bmem.calibration.pulls import short_way
from bmem.calibration.record import Array, JsonRecord
from bmem.errors import InputError
from bmem.rng import numpy_generator

METHODS = ("profile", "Feldman-Cousins")
RECOMMENDED = METHODS[1]
"""t below the χ² quantile; t below the critical value of the belt."""


@dataclass(frozen=True)
class CoveragePoint(JsonRecord):
    """At one ``truth`` of θ: ``covered`` [H, M, L], how many of the ``toys`` of each of H halves have it in the interval.

    For the M ``METHODS`` at the ``levels`` [L]; mean ``bias`` and ``spread`` [H] of the estimates.
    """

    truth: float
    toys: int
    levels: Array
    covered: Array
    bias: Array
    spread: Array


@dataclass(frozen=True)
class PopulationCoverage(AtTruths, JsonRecord):
    """The ``points`` of A truths with the same levels."""

    points: tuple[CoveragePoint, ...]

    def coverage(self, method: str) -> Array:
        """Fraction of the intervals of a method that hold the truth, [A, L]."""
        return self._halves(method).mean(axis=1)

    def error(self, method: str) -> Array:
        """Of ``coverage`` [A, L]: binomial, of the level, but at least half the rms difference of the halves."""
        toys = np.array([2 * point.toys for point in self.points])[:, None]
        binomial = np.sqrt(self.levels * (1 - self.levels) / toys)
        return np.maximum(binomial, error_of_halves(self._halves(method)))

    def undercovers(self, method: str) -> list[tuple[float, float]]:
        """(truth, level) where the coverage is significantly too low; a perfect method is blamed at all in 1 % of cases."""
        pull = (self.coverage(method) - self.levels) / self.error(method)
        low = np.argwhere(pull < -stats.norm.isf(FALSE_ALARM / 2 / pull.size))
        return [(float(self.truths[a]), float(self.levels[i])) for a, i in low]

    def __str__(self) -> str:
        covered = self.coverage(RECOMMENDED)
        shares = zip(self.levels, covered.min(axis=0), covered.max(axis=0), strict=True)
        parts = (f"{100 * level:.1f} % covers {100 * low:.1f} to {100 * high:.1f} %" for level, low, high in shares)
        return f"{RECOMMENDED}: {', '.join(parts)}"

    def _halves(self, method: str) -> Array:
        """[A, H, L]."""
        return np.array([point.covered[:, METHODS.index(method)] for point in self.points])


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
