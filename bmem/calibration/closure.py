"""Closure on oracles: do Monte Carlo integrals I_k scatter around the exact ones as their errors say?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bmem.calibration.pulls import MIN_MEASUREMENTS, moments
from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.errors import InputError

RANK_TOLERANCE = 1e-10
"""Eigenvalues of the correlation matrix below this fraction of the largest are numerical noise, not directions of error."""


@dataclass(frozen=True)
class Closure(JsonRecord):
    """Agreement of N estimated vectors of K components with their exact values.

    ``pulls`` [N, K]: (I_k - exact)/σ_k, NaN where error and difference are both zero (a component that vanishes),
    infinite where only the error is; ``mean``, ``mean_error``, ``width``, ``width_error`` [K] over the finite ones of
    them, NaN for fewer than three. ``whitened`` [N, K]: the differences along the eigenvectors of their correlation
    matrix, each in units of its standard deviation, NaN in directions without variance; ``chi2`` [N] is their sum of
    squares with ``dof`` [N] degrees of freedom. ``chi2_p`` is the p-value of the sum of all chi2, ``uniformity_p`` that
    of the events' own p-values being uniform (Kolmogorov-Smirnov).
    """

    pulls: Array
    mean: Array
    mean_error: Array
    width: Array
    width_error: Array
    whitened: Array
    chi2: Array
    dof: IntArray
    chi2_p: float
    uniformity_p: float


def closure_test(values: Array, covariance: Array, exact: Array, exact_covariance: Array | None = None) -> Closure:
    """Compare ``values`` [N, K] and their ``covariance`` [N, K, K] with ``exact`` [N, K] of one replica.

    ``exact_covariance`` [N, K, K] is added where the reference has errors of its own (an independent integrator's).

    Raises:
        InputError: the shapes disagree, or something is not finite.
    """
    events, components = values.shape
    if exact.shape != values.shape or covariance.shape != (events, components, components):
        shapes = f"values {values.shape}, covariance {covariance.shape}, exact {exact.shape}"
        raise InputError(f"closure: {shapes} must be [N, K], [N, K, K], [N, K]")
    total = covariance if exact_covariance is None else covariance + exact_covariance
    difference = values - exact
    broken = np.flatnonzero(~np.isfinite(difference).all(axis=1) | ~np.isfinite(total).all(axis=(1, 2)))
    if broken.size:
        raise InputError(f"closure: {broken.size} events are not finite, the first is event {broken[0]}")
    pulls = _pulls(difference, total)
    summary = np.array([_column_moments(column) for column in pulls.T])
    whitened = _whiten(difference, total)
    # a difference where there is no error at all leaves the space that the covariance spans: nothing explains it
    chi2 = np.where(np.isinf(pulls).any(axis=1), np.inf, np.nansum(whitened**2, axis=1))
    dof = np.isfinite(whitened).sum(axis=1)
    tested = (dof > 0) | np.isinf(chi2)
    if not tested.any():
        raise InputError("closure: every covariance and every difference is zero, there is nothing to test")
    p_values = stats.chi2.sf(chi2[tested], np.maximum(dof[tested], 1))
    return Closure(
        pulls=pulls,
        mean=summary[:, 0],
        mean_error=summary[:, 1],
        width=summary[:, 2],
        width_error=summary[:, 3],
        whitened=whitened,
        chi2=chi2,
        dof=dof,
        chi2_p=float(stats.chi2.sf(chi2.sum(), max(int(dof.sum()), 1))),
        uniformity_p=float(stats.kstest(p_values, "uniform").pvalue),
    )


def contract(values: Array, covariance: Array, weights: Array) -> tuple[Array, Array]:
    """The sums Σ_k w_k I_k [N, J] and their covariance [N, J, J] for ``weights`` [J, K] (rows b(θ) make densities)."""
    return values @ weights.T, np.einsum("jk,nkl,il->nji", weights, covariance, weights)


def _pulls(difference: Array, covariance: Array) -> Array:
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference / sigma


def _column_moments(column: Array) -> tuple[float, float, float, float]:
    finite = column[np.isfinite(column)]
    return moments(finite) if len(finite) >= MIN_MEASUREMENTS else (np.nan,) * 4


def _whiten(difference: Array, covariance: Array) -> Array:
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    scale = np.where(sigma > 0, sigma, 1.0)
    # correlations, because the components may differ by orders of magnitude and a rank is a matter of scale
    correlation = covariance / scale[:, :, None] / scale[:, None, :]
    eigenvalues, vectors = np.linalg.eigh(correlation)
    projected = np.einsum("nkj,nk->nj", vectors, difference / scale)
    real = eigenvalues > RANK_TOLERANCE * eigenvalues[:, -1:]
    return np.where(real, projected / np.sqrt(np.where(real, eigenvalues, 1.0)), np.nan)
