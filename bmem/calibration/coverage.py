"""Coverage: how often do intervals that claim a level contain the truth?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.errors import InputError

ONE_SIGMA = 0.682689492137086
"""Level of the Clopper-Pearson errors of a coverage."""

FALSE_ALARM = 0.01
"""Chance that any level of a perfectly calibrated list of levels is blamed."""


@dataclass(frozen=True)
class Coverage(JsonRecord):
    """Observed coverage at L nominal ``levels``.

    ``covered`` [L] of ``trials`` [L] intervals contained the truth; ``lower`` and ``upper`` [L] are the ends of the
    Clopper-Pearson 68.3 % interval of the coverage; ``p_values`` [L] the two-sided binomial test of the nominal level.
    A level is blamed if its p-value is below ``false_alarm`` / L, so that all are acquitted with a chance of at least
    1 - ``false_alarm`` if the intervals cover exactly (however the levels are correlated).
    """

    levels: Array
    covered: IntArray
    trials: IntArray
    lower: Array
    upper: Array
    p_values: Array
    false_alarm: float

    @property
    def fraction(self) -> Array:
        """Observed coverage [L]."""
        return self.covered / self.trials

    @property
    def verdicts(self) -> tuple[str, ...]:
        """ "covers", "undercovers" or "overcovers" for each level."""
        blamed = self.p_values < self.false_alarm / len(self.levels)
        words = np.where(self.fraction < self.levels, "undercovers", "overcovers")
        return tuple(str(word) for word in np.where(blamed, words, "covers"))

    @property
    def passed(self) -> bool:
        """Whether no level undercovers (an interval that is too wide is honest)."""
        return "undercovers" not in self.verdicts


def coverage_of(contains_truth: ArrayLike, levels: ArrayLike, false_alarm: float = FALSE_ALARM) -> Coverage:
    """Coverage from ``contains_truth`` [L, S]: whether measurement S's interval at each of ``levels`` [L] holds the truth.

    Raises:
        InputError: a level is not between 0 and 1, the shapes differ, or there is no measurement.
    """
    contains, nominal = np.asarray(contains_truth, bool), np.asarray(levels, float)
    if contains.ndim != 2 or len(contains) != len(nominal) or contains.size == 0:
        raise InputError(
            f"coverage: contains_truth {contains.shape} is not [levels, measurements]; it needs {len(nominal)} rows"
        )
    if not np.all((nominal > 0) & (nominal < 1)):
        raise InputError(f"coverage: levels must lie between 0 and 1, got {nominal.tolist()}")
    trials = contains.shape[1]
    covered = contains.sum(axis=1)
    lower, upper = clopper_pearson(covered, trials)
    tests = [stats.binomtest(int(k), trials, float(p)).pvalue for k, p in zip(covered, nominal, strict=True)]
    return Coverage(nominal, covered, np.full(len(nominal), trials), lower, upper, np.array(tests), false_alarm)


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, level: float = ONE_SIGMA) -> tuple[Array, Array]:
    """Exact binomial interval of a probability (Clopper and Pearson, Biometrika 26 (1934) 404), elementwise."""
    k, n = np.asarray(successes, float), np.asarray(trials, float)
    tail = (1 - level) / 2
    # betaincinv knows no zero shape: at the ends 0 and n of the count the interval reaches the ends 0 and 1 of the range
    lower = np.where(k == 0, 0.0, stats.beta.ppf(tail, np.maximum(k, 1), n - k + 1))
    upper = np.where(k == n, 1.0, stats.beta.ppf(1 - tail, k + 1, np.maximum(n - k, 1)))
    return lower, upper


class AtTruths:
    """What all calibrations at A truths have: ``points`` with the same levels, one for each truth."""

    points: tuple[Any, ...]

    @property
    def truths(self) -> Array:
        """[A]."""
        return np.array([point.truth for point in self.points])

    @property
    def levels(self) -> Array:
        """[L]."""
        return self.points[0].levels


def error_of_halves(halves: Array) -> Array:
    """What the finite bank does to the coverage [A, 2, L] of all toys, [L]: half the rms difference of its halves."""
    return np.asarray(np.sqrt(np.square((halves[:, 0] - halves[:, 1]) / 2).mean(axis=0)))
