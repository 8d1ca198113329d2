"""Is a bank, reweighted to θ, a sample of θ? Held against events that were made there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.record import Array, JsonRecord
from bmem.calibration.toys import true_values
from bmem.errors import InputError
from bmem.likelihood.coefficients import Coefficients

_DIRECTIONS = 8
_RANK = 1e-6
"""Combinations of the features with less than this share of the largest variance say nothing of their own."""


@dataclass(frozen=True)
class ReweightingTest(JsonRecord):
    """Means of F features in the bank and in ``direct`` events made at ``theta`` [P].

    The features are log p(x | θ') - log p(x | θ) at eight θ' and their squares: mean and variance of the curves of which a
    toy is the sum. ``reweighted`` and ``generated`` [F] are the means, ``z`` [F] their differences in standard errors;
    ``chi2`` with ``dof`` degrees of freedom is the test of all together and ``p_value`` its probability.
    """

    theta: Array
    direct: int
    effective: float
    reweighted: Array
    generated: Array
    z: Array
    chi2: float
    dof: int
    p_value: float


def reweighting_test(bank: Bank, direct: Coefficients, theta: float) -> ReweightingTest:
    """Compare ``bank`` at ``theta`` (of its only parameter) with events made there, analysed with the same networks.

    Raises:
        InputError: the σ_k differ, or an event has no positive density.
        RangeError: the bank does not reach ``theta``.
    """
    if direct.fiducial.shape != bank.fiducial.shape or not np.allclose(direct.fiducial, bank.fiducial, rtol=1e-9):
        raise InputError("reweighting: the direct events were analysed with other networks (σ_k) than the bank")
    there = np.append(true_values(bank.basis.parameters[0], _DIRECTIONS + 1)[:_DIRECTIONS] + 1e-3, theta)
    mine, theirs = bank.log_densities(there[:, None]), _log_densities(bank, direct, there)
    if not np.isfinite(theirs).all():
        raise InputError("reweighting: direct events without a positive density; leave out what unusable_events() finds")
    y, x = _features(mine), _features(theirs)
    weights = bank.weights([theta])
    reweighted, generated = weights @ y, x.mean(axis=0)
    residual = y - reweighted - _followed(bank, theta, weights, y - reweighted)
    covariance = (weights[:, None] ** 2 * residual).T @ residual + np.cov(x, rowvar=False) / len(x)
    difference = reweighted - generated
    error = np.sqrt(np.diag(covariance))
    eigenvalues, vectors = np.linalg.eigh(covariance / np.outer(error, error))
    real = eigenvalues > _RANK * eigenvalues[-1]
    chi2 = float(np.square((difference / error) @ vectors[:, real] / np.sqrt(eigenvalues[real])).sum())
    return ReweightingTest(
        theta=np.array([theta]),
        direct=len(x),
        effective=bank.effective_events([theta]),
        reweighted=reweighted,
        generated=generated,
        z=difference / error,
        chi2=chi2,
        dof=int(real.sum()),
        p_value=float(stats.chi2.sf(chi2, real.sum())),
    )


def _log_densities(bank: Bank, direct: Coefficients, values: Array) -> Array:
    b = bank.basis.value(values[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(direct.values[0] @ b.T) - np.log(b @ direct.fiducial[0])


def _features(logs: Array) -> Array:
    """[N, G + 1] → [N, 2 G]."""
    curves = logs[:, :-1] - logs[:, -1:]
    return np.hstack([curves, np.square(curves)])


def _followed(bank: Bank, theta: ArrayLike, weights: Array, y: Array) -> Array:
    """The part of ``y`` [N, F] that follows the means which the weights are balanced to: it does not fluctuate."""
    exact = bank.exact / (bank.exact @ bank.basis.value(np.atleast_1d(theta)))[:, None]
    h = exact - weights @ exact
    root = np.sqrt(weights)[:, None]
    return h @ np.linalg.lstsq(root * h, root * y, rcond=1e-9)[0]
