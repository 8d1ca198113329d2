"""Samples with backgrounds: coefficients of a mixture of the signal and of processes whose density per event is known.

A background enters by log p_j(x_n) of every event: from a formula, a learned density (``log_prob`` of a
``ConditionalDensity``, of its ``Replicas`` with an axis for them) or another process (``process_log_densities``). It must be
a density of the same x_reco as the signal's, normalised over the accepted events. The mixture is an ordinary
``Coefficients`` with more components, whose basis comes from ``bmem.inference.scale``:

- shape only: ``with_fractions``, parameters θ and the fraction f_j of each background in the accepted sample;
- shape and rate: ``with_cross_sections``, parameters θ and the accepted cross section of each background in pb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.inference.parameters import LARGEST_FRACTION, SMALLEST_FRACTION
from bmem.inference.scale import ProductBasis, SumBasis, with_cross_sections, with_fractions
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

Array = NDArray[np.float64]


def mixture_by_fractions(
    coefficients: Coefficients,
    basis: Basis,
    log_densities: Mapping[str, ArrayLike],
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Coefficients, ProductBasis]:
    """Coefficients and basis of (1 - Σ f_j) p_s(x|θ) + Σ f_j p_j(x).

    Args:
        coefficients: of the signal hypothesis for every event of the sample [R, N, K].
        basis: of the signal.
        log_densities: log p_j of every event by the name of the background, [N] or with replicas [R, N].
        bounds: of the fractions, by name; by default 1e-4 to 0.99 / J.

    Returns:
        Coefficients with K (1 + J) components, and their basis with the parameters θ, f_NAME ...

    Raises:
        InputError: a density has the wrong shape or is not a number, or the bounds allow impossible fractions.
    """
    densities = _densities(coefficients, log_densities)
    default = (SMALLEST_FRACTION, LARGEST_FRACTION / len(densities))
    parameters = [
        Parameter(f"f_{name}", (bounds or {}).get(name, default), symbol=f"f_{{{name}}}", text=f"fraction of {name}")
        for name in densities
    ]
    components = coefficients.fiducial.shape[-1]
    # each background takes a copy of the signal's components, so that its share is that of σ(θ) = Σ b_k σ_k
    copies = np.tile(np.eye(components), (1 + len(densities), 1))
    mixed = _extended(coefficients, densities, copies, np.zeros(len(copies)))
    return mixed, with_fractions(basis, parameters)


def mixture_by_cross_sections(
    coefficients: Coefficients,
    basis: Basis,
    log_densities: Mapping[str, ArrayLike],
    bounds: Mapping[str, tuple[float, float]],
) -> tuple[Coefficients, SumBasis]:
    """Coefficients and basis of dσ/dx = Σ b_k(θ) I_k(x) + Σ_j σ_j p_j(x); with a luminosity the rate counts too.

    Args:
        coefficients: of the signal hypothesis for every event of the sample [R, N, K].
        basis: of the signal.
        log_densities: log p_j of every event by the name of the background, [N] or with replicas [R, N].
        bounds: of the accepted cross sections in pb, by the name of the background.

    Returns:
        Coefficients with K + J components, and their basis with the parameters θ, sigma_NAME ...

    Raises:
        InputError: a density has the wrong shape or is not a number, or the bounds are not those of the backgrounds.
    """
    densities = _densities(coefficients, log_densities)
    if set(bounds) != set(densities):
        raise InputError(f"bounds are given for {sorted(bounds)}, but the backgrounds are {sorted(densities)}")
    parameters = [Parameter(f"sigma_{name}", bounds[name]) for name in densities]
    components, added = coefficients.fiducial.shape[-1], len(densities)
    own, units = np.eye(components + added, components), np.repeat([0.0, 1.0], [components, added])
    return _extended(coefficients, densities, own, units), with_cross_sections(basis, parameters)


def process_log_densities(coefficients: Coefficients, basis: Basis, theta: ArrayLike) -> Array:
    """log p(x_n | θ) [R, N] under another process, from its own ``coefficients`` of the same events at fixed θ [P].

    Raises:
        InputError: an event has no positive density there.
    """
    b = basis.value(theta)
    density = coefficients.values @ b / (coefficients.fiducial @ b)[:, None]
    lost = np.flatnonzero(~(density > 0).all(0))
    if lost.size:
        raise InputError(f"{lost.size} events have no positive density under the process, the first is event {lost[0]}")
    return np.log(density)


def _densities(coefficients: Coefficients, log_densities: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """p_j [R, N] by name, after a check."""
    if not log_densities:
        raise InputError("a mixture needs the log-density of at least one background")
    replicas, events = coefficients.n_replicas, coefficients.n_events
    found = {}
    for name, values in log_densities.items():
        logs = np.asarray(values, np.float64)
        if logs.shape not in {(events,), (replicas, events)}:
            needed = f"({events},) or ({replicas}, {events})"
            raise InputError(f"background {name!r}: its log-density has shape {logs.shape}; {needed} is needed")
        bad = np.flatnonzero(~(np.atleast_2d(logs) < np.inf).all(0))
        if bad.size:
            raise InputError(f"background {name!r}: no log-density for {bad.size} events, the first is event {bad[0]}")
        found[name] = np.broadcast_to(np.exp(logs), (replicas, events))
    return found


def _extended(c: Coefficients, densities: Mapping[str, Array], matrix: Array, constant: Array) -> Coefficients:
    """Cross sections ``matrix`` [K', K] σ + ``constant`` [K']; a new entry times p_j is an integral of background j.

    Errors of σ_k enter the backgrounds' integrals in the resamples; the covariance holds those of the signal's own.
    """
    margin = [(0, 0), (0, 0)] + [(0, len(matrix) - matrix.shape[1])] * 2
    sigma = c.fiducial @ matrix.T + constant
    mixed = replace(
        c,
        values=_integrals(c.values, sigma, list(densities.values())),
        covariance=np.pad(c.covariance, margin),
        fiducial=sigma,
        fiducial_covariance=matrix @ c.fiducial_covariance @ matrix.T,
        bootstrap=None,
        fiducial_bootstrap=None,
    )
    if c.bootstrap is None or c.fiducial_bootstrap is None:
        return mixed
    sigma = c.fiducial_bootstrap @ matrix.T + constant
    resamples = _integrals(c.bootstrap, sigma, [p[:, None] for p in densities.values()])
    return replace(mixed, bootstrap=resamples, fiducial_bootstrap=sigma)


def _integrals(signal: Array, sigma: Array, densities: Sequence[Array]) -> Array:
    """The signal's [..., N, K] and, for every background [..., N], its share of ``sigma`` [..., K'] times its density."""
    shares = np.split(sigma[..., signal.shape[-1] :], len(densities), axis=-1)
    parts = [share[..., None, :] * p[..., None] for share, p in zip(shares, densities, strict=True)]
    return np.concatenate([signal, *parts], axis=-1)
