"""The score ∂ log p/∂θ of events made at a known θ: its mean must vanish there, its variance is the Fisher information.

The mean score tests the whole likelihood (transfer, acceptance, integral, σ_fid) at the truth without any fit; the
information tells what precision n events can reach, and how much of the hard-level information the reconstruction
keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bmem.calibration.record import Array, JsonRecord
from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.likelihood.coefficients import Coefficients


@dataclass(frozen=True)
class ScoreSummary(JsonRecord):
    """Scores of N events at the ``theta`` [P] that made them.

    ``scores`` [N, P], NaN for the ``excluded`` events with Σ b_k I_k ≤ 0; ``mean`` [P] with standard errors
    ``mean_error`` [P]; ``p_value`` of the hypothesis that the mean is zero (Hotelling's T², all parameters together);
    ``information`` [P, P] per event, E[s sᵀ], with elementwise standard errors ``information_error`` [P, P].
    """

    theta: Array
    scores: Array
    mean: Array
    mean_error: Array
    p_value: float
    information: Array
    information_error: Array
    excluded: int

    def expected_error(self, events: int) -> Array:
        """Smallest possible standard error [P] of θ from ``events`` events (Cramér-Rao; shape only)."""
        return np.sqrt(np.diag(np.linalg.inv(events * self.information)))


def scores(coefficients: Coefficients, basis: Basis, theta: ArrayLike) -> Array:
    """∂ log p(x_n | θ)/∂θ [N, P] at ``theta`` [P], averaged over the replicas; NaN where Σ b_k I_k ≤ 0 in one of them.

    With p = Σ b_k I_k / Σ b_k σ_k it is Σ b'_k I_k / Σ b_k I_k - Σ b'_k σ_k / Σ b_k σ_k.
    """
    value, gradient = basis.value(theta), basis.gradient(theta)
    density = coefficients.values @ value
    density = np.where(density > 0, density, np.nan)
    of_fiducial = coefficients.fiducial @ gradient.T / (coefficients.fiducial @ value)[:, None]
    each = coefficients.values @ gradient.T / density[..., None] - of_fiducial[:, None]
    return np.asarray(each.mean(axis=0))


def score_test(coefficients: Coefficients, basis: Basis, theta: ArrayLike) -> ScoreSummary:
    """Test that the mean score of events made at ``theta`` [P] is zero, and estimate the Fisher information.

    Raises:
        InputError: too few events with a positive density.
    """
    theta = np.asarray(theta, float)
    each = scores(coefficients, basis, theta)
    usable = each[np.isfinite(each).all(axis=1)]
    events, parameters = usable.shape
    if events <= parameters + 1:
        raise InputError(
            f"score test: only {events} of {len(each)} events have a positive density at {theta.tolist()}; give more"
        )
    mean, covariance = usable.mean(axis=0), np.atleast_2d(np.cov(usable, rowvar=False))
    products = usable[:, :, None] * usable[:, None, :]
    hotelling = events * mean @ np.linalg.solve(covariance, mean)
    statistic = hotelling * (events - parameters) / (parameters * (events - 1))
    return ScoreSummary(
        theta=theta,
        scores=each,
        mean=mean,
        mean_error=np.sqrt(np.diag(covariance) / events),
        p_value=float(stats.f.sf(statistic, parameters, events - parameters)),
        information=products.mean(axis=0),
        information_error=products.std(axis=0, ddof=1) / math.sqrt(events),
        excluded=len(each) - events,
    )


def information_kept(reconstructed: ScoreSummary, hard: ScoreSummary) -> tuple[Array, Array]:
    """Fraction [P] of the hard-level information that the fit achieves, E[s t]² / (E[s²] E[t²]), and its error [P].

    With the exact score t and that of the likelihood in use, s: their squared correlation, which does not take the noise of
    the integrals or an error of the networks in s for information, as E[s²] alone would (Godambe, Ann. Math. Stat. 31 (1960)
    1208). Both must be of the same events in the same order; events that either excludes are left out of both.

    Raises:
        InputError: the numbers of events differ.
    """
    if reconstructed.scores.shape != hard.scores.shape:
        shapes = f"{reconstructed.scores.shape} and {hard.scores.shape}"
        raise InputError(f"information kept: scores have shapes {shapes}; give the same events to both")
    both = np.isfinite(reconstructed.scores).all(axis=1) & np.isfinite(hard.scores).all(axis=1)
    s, t = reconstructed.scores[both], hard.scores[both]
    products = (s * t, s**2, t**2)
    crossed, own, exact = (product.mean(axis=0) for product in products)
    kept = crossed**2 / (own * exact)
    # the delta method: how each event moves the logarithm of the ratio
    moves = 2 * products[0] / crossed - products[1] / own - products[2] / exact
    return kept, kept * moves.std(axis=0, ddof=1) / math.sqrt(len(s))
