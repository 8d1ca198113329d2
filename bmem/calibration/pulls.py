"""Pulls (θ̂ - θ)/σ of repeated measurements: is the estimate unbiased, and is its error the right size?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bmem.calibration.record import Array, JsonRecord
from bmem.errors import InputError

MIN_MEASUREMENTS = 3
"""Fewer usable measurements than this say nothing of a width (Shapiro-Wilk needs three)."""


@dataclass(frozen=True)
class PullSummary(JsonRecord):
    """Summary of S measurements of one true value.

    ``pulls`` [S] are NaN where a measurement had no usable error; there are ``unusable`` of those. ``mean`` and
    ``width`` of the pulls should be 0 and 1. ``bias`` is the mean of θ̂ - θ and ``spread`` its standard deviation, in
    the unit of θ. All errors are standard errors. ``normality_p`` tests for a Gaussian shape of any mean and width
    (Shapiro-Wilk), ``standard_p`` for N(0, 1) itself (Cramér-von Mises).
    """

    pulls: Array
    mean: float
    mean_error: float
    width: float
    width_error: float
    bias: float
    bias_error: float
    spread: float
    spread_error: float
    normality_p: float
    standard_p: float
    unusable: int

    @property
    def usable(self) -> int:
        """How many measurements the summary stands on."""
        return len(self.pulls) - self.unusable


def summarise_pulls(estimates: ArrayLike, errors: ArrayLike, truth: ArrayLike, period: float | None = None) -> PullSummary:
    """Pulls of ``estimates`` [S] with ``errors`` [S] around ``truth`` (a number or [S]).

    The difference of two angles is the short way round: give their ``period``. A measurement whose estimate or error is
    not finite, or whose error is not positive, is left out of all averages and counted.

    Raises:
        InputError: fewer than three measurements are usable, or the shapes differ.
    """
    estimates, errors = np.asarray(estimates, float), np.asarray(errors, float)
    if estimates.ndim != 1 or estimates.shape != errors.shape:
        raise InputError(f"pulls: estimates {estimates.shape} and errors {errors.shape} must be two lists of one length")
    differences = short_way(estimates - np.asarray(truth, float), period)
    usable = np.isfinite(differences) & np.isfinite(errors) & (errors > 0)
    if usable.sum() < MIN_MEASUREMENTS:
        raise InputError(f"pulls: only {usable.sum()} of {len(errors)} have a usable error; fit more subsamples")
    pulls = np.full(len(errors), np.nan)
    pulls[usable] = differences[usable] / errors[usable]
    mean, mean_error, width, width_error = moments(pulls[usable])
    bias, bias_error, spread, spread_error = moments(differences[usable])
    return PullSummary(
        pulls=pulls,
        mean=mean,
        mean_error=mean_error,
        width=width,
        width_error=width_error,
        bias=bias,
        bias_error=bias_error,
        spread=spread,
        spread_error=spread_error,
        normality_p=float(stats.shapiro(pulls[usable]).pvalue),
        standard_p=float(stats.cramervonmises(pulls[usable], "norm").pvalue),
        unusable=int((~usable).sum()),
    )


def moments(values: Array) -> tuple[float, float, float, float]:
    """Mean, its standard error, standard deviation (n - 1), and its standard error by jackknife, of ``values`` [n >= 3].

    The jackknife asks nothing of the shape: for measurements of unequal precision w/√(2(n-1)) is too small.
    """
    n = len(values)
    mean, width = float(np.mean(values)), float(np.std(values, ddof=1))
    squares = (values - mean) ** 2
    left_out = np.sqrt(np.maximum((squares.sum() - squares * n / (n - 1)) / (n - 2), 0.0))
    return mean, width / math.sqrt(n), width, float(np.std(left_out)) * math.sqrt(n - 1)


def short_way(difference: Array, period: float | None) -> Array:
    """``difference`` of two angles brought to [-period/2, period/2); unchanged without a period."""
    return difference if period is None else (difference + period / 2) % period - period / 2
