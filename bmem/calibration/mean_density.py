"""log p of one event averaged over the replicas of the networks, and its score: what an estimate adds up.

An estimate is the minimum of the mean of -2 log L over the replicas, each with the same weight. What is expected of single
events, and tests of them, are of the same mean. A constant by which the log-density of a replica is wrong for all events
drops out of the score, and of whatever is held against events of the same networks.
"""

from __future__ import annotations

import numpy as np

from bmem.calibration.record import Array


def mean_log_density(integrals: Array, fiducial: Array, b: Array) -> Array:
    """Mean over replicas of log[Σ_k b_k I_k / Σ_k b_k σ_k].

    Args:
        integrals: I_k [R, N, K].
        fiducial: σ_k [R, K].
        b: values of the basis [G, K].

    Returns:
        [N, G], of a density in the inverse unit of the observables.
    """
    total = np.zeros((integrals.shape[1], len(b)))
    for values, sigma in zip(integrals, fiducial, strict=True):
        total += np.log(values @ b.T) - np.log(b @ sigma)
    return total / len(integrals)


def mean_score(integrals: Array, fiducial: Array, b: Array, slope: Array) -> Array:
    """∂/∂θ [N] of ``mean_log_density`` at one θ, where the basis is ``b`` [K] and its derivative ``slope`` [K]."""
    scores = integrals @ slope / (integrals @ b) - (fiducial @ slope / (fiducial @ b))[:, None]
    return np.asarray(scores.mean(axis=0))
