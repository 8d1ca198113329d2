"""Many small measurements out of one large sample of known truth: the raw material of bias, pulls and coverage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bmem.calibration.coverage import FALSE_ALARM, Coverage, coverage_of
from bmem.calibration.mirror import Pieces, fold, fold_pieces, own_mirror, sign
from bmem.calibration.pulls import PullSummary, short_way, summarise_pulls
from bmem.calibration.record import Array, BoolArray, IntArray, JsonRecord
from bmem.errors import InputError
from bmem.inference.intervals import profile, profile_intervals
from bmem.inference.minima import FitResult, fit
from bmem.inference.objective import Objective
from bmem.likelihood.coefficients import Coefficients

LEVELS = (0.683, 0.954)


@dataclass(frozen=True)
class SubsampleFits(JsonRecord):
    """The fits of S subsamples of n events each, all made at one ``truth`` of one parameter (radians for an angle).

    With ``folded``, everything is about the magnitude with the sign of the truth (see ``bmem.calibration.mirror``):
    few events cannot always tell θ from -θ. A truth that is its own mirror image (0°, 180°) is never folded. With
    ``resampled``,
    the subsamples were drawn with replacement and share events: no error that averages over them may be taken at its
    face value.

    ``events`` [S, n] the events of each subsample; ``estimates`` [S] and their Hesse ``errors`` [S] (NaN where the
    curvature is not positive); ``valid`` [S] whether the fit converged away from boundaries with a curvature;
    ``intervals`` [L][S] tuples of pieces (low, high) at the ``levels`` [L]; ``delta_truth`` [S] is -2Δ log L at the
    truth (or its mirror image); ``sign_gap`` [S] is -2 log L of the best minimum of the opposite sign less that of the
    truth's sign (NaN unless there are both); ``excluded`` [S] counts events that the likelihood left out.
    """

    truth: float
    period: float | None
    folded: bool
    resampled: bool
    events: IntArray
    estimates: Array
    errors: Array
    valid: BoolArray
    levels: Array
    intervals: tuple[tuple[Pieces, ...], ...]
    delta_truth: Array
    sign_gap: Array
    excluded: IntArray

    @property
    def size(self) -> int:
        """Events in each subsample."""
        return self.events.shape[1]

    def pulls(self) -> PullSummary:
        """Pulls of the estimates around the truth."""
        return summarise_pulls(self.estimates, self.errors, self.truth, self.period)

    def coverage(self, levels: tuple[float, ...] | None = None, false_alarm: float = FALSE_ALARM) -> Coverage:
        """Coverage of the profile intervals, at any ``levels`` (default: those whose intervals are kept)."""
        nominal = self.levels if levels is None else np.asarray(levels, float)
        return coverage_of(self.delta_truth <= stats.chi2.ppf(nominal, 1)[:, None], nominal, false_alarm)


@dataclass(frozen=True)
class SubsampleSettings:
    """How subsamples are fitted: interval ``levels``, parameter ``index``, and whether to ``fold`` its sign."""

    levels: tuple[float, ...] = LEVELS
    index: int = 0
    fold: bool = True


def disjoint_subsamples(events: int, size: int, rng: np.random.Generator) -> IntArray:
    """Cut ``events`` shuffled events into as many disjoint subsamples as they make: indices [events // size, size].

    Raises:
        InputError: there are fewer than ``size`` events.
    """
    if not 0 < size <= events:
        raise InputError(f"{events} events cannot be cut into subsamples of {size}; give more events or a smaller size")
    count = events // size
    return rng.permutation(events)[: count * size].reshape(count, size)


def bootstrap_subsamples(events: int, size: int, count: int, rng: np.random.Generator) -> IntArray:
    """``count`` subsamples drawn with replacement: indices [count, size]. They are not independent of each other."""
    if min(events, size, count) < 1:
        raise InputError(f"a bootstrap needs at least one event, size and count, not {events}, {size} and {count}")
    return rng.integers(events, size=(count, size))


def fit_subsamples(
    coefficients: Coefficients,
    objective_of: Callable[[Coefficients], Objective],
    subsamples: IntArray,
    truth: float,
    settings: SubsampleSettings | None = None,
) -> SubsampleFits:
    """Fit every one of the ``subsamples`` [S, n] (indices of events in ``coefficients``) and compare with the ``truth``.

    ``objective_of`` makes the likelihood of some events: ``lambda c: NegativeTwoLogLikelihood.of(c, basis)``, say.

    Raises:
        FitError: a subsample has no finite minimum.
    """
    settings = settings or SubsampleSettings()
    measured = [_Measurement.of(objective_of(coefficients.select(rows)), truth, settings) for rows in subsamples]
    return SubsampleFits(
        truth=float(truth),
        period=measured[0].period,
        folded=measured[0].folded,
        resampled=len(np.unique(subsamples)) < subsamples.size,
        events=np.asarray(subsamples, np.int64),
        estimates=np.array([m.estimate for m in measured]),
        errors=np.array([m.error for m in measured]),
        valid=np.array([m.valid for m in measured]),
        levels=np.array(settings.levels),
        intervals=tuple(zip(*(m.intervals for m in measured), strict=True)),
        delta_truth=np.array([m.delta_truth for m in measured]),
        sign_gap=np.array([m.sign_gap for m in measured]),
        excluded=np.array([m.excluded for m in measured]),
    )


@dataclass(frozen=True)
class _Measurement:
    """One row of ``SubsampleFits``."""

    period: float | None
    folded: bool
    estimate: float
    error: float
    valid: bool
    intervals: tuple[Pieces, ...]
    delta_truth: float
    sign_gap: float
    excluded: int

    @classmethod
    def of(cls, objective: Objective, truth: float, settings: SubsampleSettings) -> _Measurement:
        index, result = settings.index, fit(objective)
        period = objective.parameters[index].period
        folded = settings.fold and not own_mirror(truth, period)
        pieces = [region.intervals for region in profile_intervals(objective, result, settings.levels, index)]
        candidates = np.array([truth, -truth] if folded else [truth])
        estimate = float(short_way(result.theta[index], period))
        return cls(
            period=period,
            folded=folded,
            estimate=float(fold(estimate, truth, period)) if folded else estimate,
            error=float(result.error[index]),
            valid=result.valid,
            intervals=tuple(fold_pieces(p, truth, period) for p in pieces) if folded else tuple(pieces),
            delta_truth=float(profile(objective, index)(candidates).min()) - result.floor,
            sign_gap=_sign_gap(result, index, truth),
            excluded=len(result.excluded),
        )


def _sign_gap(result: FitResult, index: int, truth: float) -> float:
    period = result.parameters[index].period
    signs = np.array([sign(minimum.theta[index], period) for minimum in result.minima])
    values = np.array([minimum.value for minimum in result.minima])
    same, other = values[signs == sign(truth, period)], values[signs != sign(truth, period)]
    return float(other.min() - same.min()) if len(same) and len(other) else float("nan")
