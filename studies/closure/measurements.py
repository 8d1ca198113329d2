"""Closure measurements that toy and tHj have in common: integrals of events, and the fits of their subsamples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.calibration.closure import Closure, closure_test
from bmem.calibration.pulls import PullSummary
from bmem.calibration.score import ScoreSummary, score_test
from bmem.calibration.subsamples import SubsampleFits, disjoint_subsamples, fit_subsamples
from bmem.inference.objective import NegativeTwoLogLikelihood, unusable_events
from bmem.integration.importance import EventIntegrals, integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, mixture_coefficients, mixture_grid
from bmem.likelihood.integrand import Integrand
from bmem.process.contract import Process
from bmem.rng import numpy_generator

Array = NDArray[np.float64]
LEVELS = (0.683, 0.954)


def fixed(points: int) -> IntegrationSettings:
    """The same number of points for every event."""
    return IntegrationSettings(min_points=points, max_points=points, points_per_chunk=1 << 15)


def integrals(integrand: Integrand, settings: IntegrationSettings, seed: int) -> EventIntegrals:
    """The integrals of all events of ``integrand``."""
    reference = mixture_coefficients(integrand.process)
    return integrate(integrand, len(integrand.x_reco), reference, settings, seed)


@dataclass(frozen=True)
class IntegralClosure:
    """R independent integrations of the same N events against exact values.

    ``closure`` of the R N integrals I_k; ``ratio_pulls`` [R, N] of the events' log[p(x | θ_1) / p(x | θ_0)] and
    ``sum_pulls`` [R] of its sum over the N events. ``points``, ``relative_error`` and ``effective_fraction`` are medians.
    """

    closure: Closure
    ratio_pulls: Array
    sum_pulls: Array
    points: float
    relative_error: float
    effective_fraction: float

    @classmethod
    def of(
        cls, integrand: Integrand, settings: IntegrationSettings, exact: Exact, thetas: Tensor, seeds: range
    ) -> IntegralClosure:
        """Integrate once for each of ``seeds`` and compare; ``thetas`` [2, P] are θ_0 and θ_1."""
        runs = [integrals(integrand, settings, seed) for seed in seeds]
        basis = integrand.process.basis(thetas).numpy()
        ratios = [_log_ratio(Exact(run.values[0], run.covariance[0]), basis) for run in runs]
        (known, known_variance), (found, variance) = _log_ratio(exact, basis), map(np.stack, zip(*ratios, strict=True))
        error = np.sqrt(variance + known_variance)
        return cls(
            closure_test(
                np.concatenate([run.values[0] for run in runs]),
                np.concatenate([run.covariance[0] for run in runs]),
                np.concatenate([exact.values] * len(runs)),
                np.concatenate([exact.covariance] * len(runs)),
            ),
            (found - known) / error,
            (found - known).sum(1) / np.sqrt((error**2).sum(1)),
            *(float(np.median([getattr(run, name) for run in runs])) for name in _MEDIANS),
        )


_MEDIANS = ("points", "relative_error", "effective_fraction")


class Exact(NamedTuple):
    """Values [N, K] to compare with, and their covariance [N, K, K]."""

    values: Array
    covariance: Array


def _log_ratio(integrals: Exact, basis: Array) -> tuple[Array, Array]:
    """log[Σ b_1k I_k / Σ b_0k I_k] and its variance [N], for ``basis`` [2, K]; σ_fid drops out of all comparisons."""
    low, high = (integrals.values @ b for b in basis)
    slope = basis[1] / high[:, None] - basis[0] / low[:, None]
    return np.log(high / low), np.einsum("nk,nkl,nl->n", slope, integrals.covariance, slope)


def coefficients(found: EventIntegrals, fiducial: FiducialCrossSection) -> Coefficients:
    """Integrals and σ_k together."""
    return Coefficients(found.values, found.covariance, fiducial.values, fiducial.covariance, found.diagnostics())


def known_fiducial(sigma: Array) -> FiducialCrossSection:
    """σ_k [K] without errors."""
    k = len(sigma)
    return FiducialCrossSection(sigma[None], np.zeros((1, k, k)), None)


def exact_coefficients(values: Array, fiducial: FiducialCrossSection) -> Coefficients:
    """Integrals [N, K] without errors."""
    n, k = values.shape
    return Coefficients(values[None], np.zeros((1, n, k, k)), fiducial.values, fiducial.covariance)


@dataclass(frozen=True)
class FitClosure:
    """Fits of disjoint subsamples at one truth, their pulls, and the score test over all of their events."""

    fits: SubsampleFits
    pulls: PullSummary
    score: ScoreSummary

    @classmethod
    def of(cls, process: Process, found: Coefficients, truth: float, size: int, seed: int) -> FitClosure:
        """Cut the events of ``found`` into subsamples of ``size``; the same seed makes the same cut."""
        basis = MorphingBasis.of(process)
        rows = disjoint_subsamples(found.n_events, size, numpy_generator(seed, "subsamples"))

        def objective(part: Coefficients) -> NegativeTwoLogLikelihood:
            return NegativeTwoLogLikelihood.of(part, basis, exclude=unusable_events(part, basis))

        fits = fit_subsamples(found, objective, rows, truth)
        return cls(fits, fits.pulls(), score_test(found, basis, [truth]))

    @property
    def covered(self) -> tuple[float, float]:
        """Observed coverage of the 68.3 and 95.4 % profile intervals."""
        first, second = self.fits.coverage(LEVELS).fraction
        return float(first), float(second)


def mixture(n: int, process: Process) -> Tensor:
    """Parameters [n, P] that go round ``mixture_grid``: those of training events."""
    grid = mixture_grid(process)
    return grid[torch.arange(n) % len(grid)]
