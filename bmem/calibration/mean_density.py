"""The density of one event averaged over the replicas of the networks, and its score: what is expected of an event.

In one replica it is the density itself. A measurement averages the likelihood of the whole sample instead, which does not
factorise into events; for expectations and tests that speak of single events this is the next best thing.
"""

from __future__ import annotations

import numpy as np

from bmem.calibration.record import Array


def log_mean_density(integrals: Array, fiducial: Array, b: Array) -> Array:
    """log of the mean over replicas of Σ_k b_k I_k / Σ_k b_k σ_k.

    Args:
        integrals: I_k [R, N, K].
        fiducial: σ_k [R, K].
        b: values of the basis [G, K].

    Returns:
        [N, G], in the inverse unit of the observables.
    """
    each = (_log_density(*replica, b) for replica in zip(integrals, fiducial, strict=True))
    total = next(each)
    for logs in each:
        total = np.logaddexp(total, logs)
    return total - np.log(len(integrals))


def mean_density_score(integrals: Array, fiducial: Array, b: Array, slope: Array) -> Array:
    """∂ log p/∂θ [N] of the mean density at one θ, where the basis is ``b`` [K] and its derivative ``slope`` [K]."""
    density, sigma = integrals @ b, fiducial @ b
    share = density / sigma[:, None]
    scores = integrals @ slope / density - (fiducial @ slope / sigma)[:, None]
    return (share * scores).sum(axis=0) / share.sum(axis=0)


def _log_density(integrals: Array, fiducial: Array, b: Array) -> Array:
    return np.log(integrals @ b.T) - np.log(b @ fiducial)
