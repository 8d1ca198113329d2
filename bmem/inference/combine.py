"""One estimate with its uncertainty budget: statistical, integration, simulation and weights, from replicas and resamples.

Every (replica, resample) gives its own likelihood and estimate; a source is the spread of the estimates when only it varies.
Where the likelihood has several minima, the one nearest to the central estimate is followed, and how often another one was
the lowest is reported as ``switched``: a jump from θ to -θ is an ambiguity, not a width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from numpy.typing import ArrayLike, NDArray

from bmem.inference.bias import Bias, Validation
from bmem.inference.constraints import Joint
from bmem.inference.minima import FitResult, difference, fit
from bmem.inference.newton import nuisance_indices
from bmem.inference.objective import (
    Basis,
    MarginalLikelihood,
    NegativeTwoLogLikelihood,
    Objective,
    effective_number,
)
from bmem.inference.ranking import without_nuisances
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How ``n`` estimates lie around a central one.

    ``mean`` [P] of their deviations and standard deviation ``std`` [P]; ``switched`` is the share of them whose global
    minimum was another than the one followed.
    """

    n: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    switched: float

    @property
    def relative_error(self) -> float:
        """How well ``n`` estimates know their ``std``, relatively, if they scatter like a Gaussian: 1/√(2(n - 1))."""
        return float((2 * (self.n - 1)) ** -0.5)


@dataclass(frozen=True)
class Budget:
    """Uncertainties of each parameter [P], one standard deviation each.

    ``estimate`` is the fit of the average over replicas, each with the same weight. The sources are: ``statistical`` from
    the curvature in each replica, averaged in quadrature (NaN where there is none: use intervals); ``integration_linear``
    from the Monte Carlo covariance of the integrals and of σ_k by linear propagation, averaged likewise; ``integration`` the
    spread over bootstrap resamples of which each is used in one replica, None if none were kept; ``network`` the spread over
    replicas, None with a single one (not evaluated).

    ``network`` is ``simulation`` statistics and what the posterior of the ``weights`` has beyond them. Replicas that are
    resamples of the simulated events have all of it in ``simulation``: the events went anew through transfer, acceptance
    and σ_k; ``weights`` is None, what a training adds by its own chance cannot be told from it. Otherwise ``simulation`` is
    that of σ_k alone, which were counted from a finite simulation, and ``weights`` that of the integrals alone. Where σ_k
    have a covariance of their own ``simulation`` is that of it, to first order, and part of ``integration``: of a single
    replica, or of integrated σ_k. ``by_counting`` and ``by_networks`` are the spreads with the same integrals, and with the
    same σ_k, for all replicas; of resamples they are correlated.

    ``effective_replicas`` is how many replicas make up the average likelihood at the estimate. Where there are nuisance
    parameters ``statistical`` is with these held, and ``nuisances`` what they add to it, in quadrature. ``bias`` is what all
    replicas have in common, None where it was not measured.
    """

    estimate: FitResult
    statistical: tuple[float, ...]
    integration_linear: tuple[float, ...]
    integration: Spread | None
    network: Spread | None
    simulation: tuple[float, ...]
    weights: tuple[float, ...] | None
    effective_replicas: float
    nuisances: tuple[float, ...] | None = None
    by_counting: tuple[float, ...] | None = None
    by_networks: tuple[float, ...] | None = None
    bias: Bias | None = None

    @property
    def total(self) -> Array:
        """All evaluated sources in quadrature [P], the integration error by the bootstrap where there is one."""
        integration = self.integration_linear if self.integration is None else self.integration.std
        network = np.zeros(len(self.statistical)) if self.network is None else self.network.std
        none = np.zeros(len(self.statistical))
        nuisances = none if self.nuisances is None else self.nuisances
        bias = none if self.bias is None else self.bias.size
        sources = (self.statistical, nuisances, integration, network, bias)
        return np.sqrt(sum(np.square(source) for source in sources))

    def __str__(self) -> str:
        return "\n".join(self._line(i, parameter) for i, parameter in enumerate(self.estimate.parameters))

    def _line(self, i: int, parameter: Parameter) -> str:
        network = "not evaluated"
        if self.network is not None:
            weights = "" if self.weights is None else f", weights {self.weights[i]:.4f}"
            network = f"{self.network.std[i]:.4f} (simulation {self.simulation[i]:.4f}{weights})"
        integration = self.integration_linear[i] if self.integration is None else self.integration.std[i]
        bias = "" if self.bias is None else f"; bias: {self.bias.shift[i]:.4f} ± {self.bias.error[i]:.4f}"
        return (
            f"{parameter.name} = {self.estimate.theta[i]:.4f} ± {self.statistical[i]:.4f} (statistical) "
            f"± {integration:.4f} (integration); network: {network}{bias}"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes None."""
        content = {**asdict(self), "estimate": self.estimate.to_dict(), "total": self.total.tolist()}
        for name in ("statistical", "integration_linear", "simulation", "total"):
            content[name] = [float(e) if np.isfinite(e) else None for e in content[name]]
        return content


def budget(
    coefficients: Coefficients,
    basis: Basis,
    luminosity: float | None = None,
    exclude: ArrayLike = (),
    constraints: Sequence[NormalConstraint] = (),
    *,
    alone: tuple[Coefficients, Coefficients] | None = None,
    validation: Validation | None = None,
) -> tuple[MarginalLikelihood, Budget]:
    """Fit the likelihood averaged over replicas and take the budget of its global minimum.

    Args:
        coefficients: of the sample, with any number of replicas, with or without resamples.
        basis: the morphing basis.
        luminosity: see ``NegativeTwoLogLikelihood``.
        exclude: indices of events to leave out, from ``unusable_events``.
        constraints: external measurements of some parameters; every fit has them, and the statistical errors theirs.
        alone: the same with differences of the weights alone and of σ_k alone, ``separated`` of the signal where there are
            backgrounds.
        validation: events that tell the bias of the method.

    Returns:
        The marginal likelihood (without the constraints, see ``Joint``), for curves and intervals, and the budget.
    """
    objective = MarginalLikelihood.of(coefficients, basis, luminosity, exclude)
    estimate = fit(_constrained(objective, constraints))
    theta = np.array(estimate.theta)
    fits = [fit(_constrained(replica, constraints)) for replica in objective.replicas]
    centres = [np.array(result.nearest(estimate.theta).theta) for result in fits]
    own = replace(coefficients, covariance=np.zeros_like(coefficients.covariance))
    simulation, weights = _linear(own, objective, centres, constraints), None
    network = spread(fits, estimate.theta) if len(fits) > 1 else None
    networks = counting = None
    if network is not None:
        models = separated(coefficients) if alone is None else alone
        networks, counting = (_parts(model, objective, estimate, constraints) for model in models)
        weights = None if coefficients.resampled else networks
        if not own.fiducial_covariance.any():
            simulation = network.std if coefficients.resampled else counting
    statistical, nuisances = _statistical(objective, fits, estimate, constraints)
    return objective, Budget(
        estimate=estimate,
        statistical=statistical,
        integration_linear=_linear(coefficients, objective, centres, constraints),
        integration=_integration(coefficients, objective, centres, constraints),
        network=network,
        simulation=simulation,
        weights=weights,
        effective_replicas=effective_number(objective.shares(estimate.theta)),
        nuisances=nuisances,
        by_counting=counting,
        by_networks=networks,
        bias=None if validation is None else validation.bias(_constrained(objective, constraints).estimator, basis, theta),
    )


def _statistical(
    objective: MarginalLikelihood, fits: Sequence[FitResult], estimate: FitResult, constraints: Sequence[NormalConstraint]
) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Curvature errors [P] with the nuisance parameters held, and what these add; all of it, and None, without any."""
    minima = [result.nearest(estimate.theta) for result in fits]
    every = _quadratic_mean([minimum.error for minimum in minima])
    own = nuisance_indices(estimate.parameters)
    if not own:
        return every, None
    totals = [_constrained(replica, constraints) for replica in objective.replicas]
    held = np.array(_quadratic_mean([without_nuisances(*pair) for pair in zip(totals, minima, strict=True)]))
    held[own] = np.array(every)[own]
    added = np.sqrt(np.maximum(np.square(every) - np.square(held), 0.0))
    return tuple(map(float, held)), tuple(map(float, added))


def separated(coefficients: Coefficients) -> tuple[Coefficients, Coefficients]:
    """The same with one σ_k for all replicas, the mean; and with one set of integrals, the mean, and the σ_k of each."""
    values, sigma = coefficients.values, coefficients.fiducial
    common = np.broadcast_to(values.mean(axis=0), values.shape)
    weights = replace(coefficients, fiducial=np.broadcast_to(sigma.mean(axis=0), sigma.shape))
    return weights, replace(coefficients, values=common)


def estimates_needed(accuracy: float) -> int:
    """Replicas, or resamples, from which on a ``Spread`` knows its standard deviation to a relative ``accuracy``."""
    return int(np.ceil(1 + 1 / (2 * accuracy**2)))


def spread(fits: Sequence[FitResult], centres: ArrayLike) -> Spread:
    """The spread of n >= 2 fits around ``centres`` [P] or [n, P], each by its minimum nearest to its centre."""
    around = np.broadcast_to(np.asarray(centres, np.float64), (len(fits), len(fits[0].parameters)))
    followed = [result.nearest(centre) for result, centre in zip(fits, around, strict=True)]
    deviations = difference(np.array([m.theta for m in followed]), around, fits[0].parameters)
    return Spread(
        n=len(fits),
        mean=tuple(float(d) for d in deviations.mean(0)),
        std=tuple(float(d) for d in deviations.std(0, ddof=1)),
        switched=float(np.mean([m is not result.best for m, result in zip(followed, fits, strict=True)])),
    )


def _constrained(objective: Objective, constraints: Sequence[NormalConstraint]) -> Objective:
    return Joint([objective], constraints) if constraints else objective


def linear_covariance(
    objective: NegativeTwoLogLikelihood,
    theta: ArrayLike,
    covariance: Array,
    fiducial_covariance: Array,
    curvature: Array | None = None,
) -> Array:
    """Covariance [P, P] of the estimate ``theta`` from that of the integrals [N, K, K] and of σ_k [K, K], to first order.

    With g the gradient and H the second derivatives of -2 log L, δθ = -H⁻¹ (∂g/∂I δI + ∂g/∂σ δσ). NaN where H is not
    positive definite; ``curvature`` is H where more than ``objective`` was minimised, a sum with constraints.
    """
    curvature = objective.curvature(theta) if curvature is None else curvature
    if not np.linalg.eigvalsh(curvature)[0] > 0:
        return np.full(curvature.shape, np.nan)
    of_integrals, of_fiducial = objective.score_jacobians(theta)
    kept = np.delete(covariance, objective.excluded, axis=0)
    of_score = np.einsum("npk,nkl,nql->pq", of_integrals, kept, of_integrals, optimize=True)
    of_score += of_fiducial @ fiducial_covariance @ of_fiducial.T
    inverse = np.linalg.inv(curvature)
    return inverse @ of_score @ inverse


def resampled(objective: MarginalLikelihood, coefficients: Coefficients, b: int) -> tuple[int, NegativeTwoLogLikelihood]:
    """The likelihood with resample ``b`` of all integrals, in the replica whose turn it is; and which replica that is.

    Raises:
        InputError: no resamples were kept.
    """
    r = b % len(objective.replicas)
    sample = coefficients.resample(b)
    return r, objective.replicas[r].with_integrals(sample.values[r], sample.fiducial[r])


def _parts(
    model: Coefficients, objective: MarginalLikelihood, estimate: FitResult, constraints: Sequence[NormalConstraint]
) -> tuple[float, ...]:
    """Standard deviations [P] of the estimates of the replicas of ``model``, which takes the place of their integrals."""
    inputs = zip(objective.replicas, model.values, model.fiducial, strict=True)
    likelihoods = [replica.with_integrals(values, sigma) for replica, values, sigma in inputs]
    return spread([fit(_constrained(likelihood, constraints)) for likelihood in likelihoods], estimate.theta).std


def _linear(
    coefficients: Coefficients,
    objective: MarginalLikelihood,
    centres: Sequence[Array],
    constraints: Sequence[NormalConstraint],
) -> tuple[float, ...]:
    """Errors [P] by ``linear_covariance`` in each replica at its estimate, averaged in quadrature."""
    rows = zip(objective.replicas, centres, coefficients.covariance, coefficients.fiducial_covariance, strict=True)
    found = [
        linear_covariance(replica, centre, of_integrals, of_sigma, _constrained(replica, constraints).curvature(centre))
        for replica, centre, of_integrals, of_sigma in rows
    ]
    return _quadratic_mean([np.sqrt(np.diag(covariance)) for covariance in found])


def _integration(
    coefficients: Coefficients,
    objective: MarginalLikelihood,
    centres: Sequence[Array],
    constraints: Sequence[NormalConstraint],
) -> Spread | None:
    """Spread over resamples, the replicas taking turns, each fit around the estimate of its own replica."""
    if coefficients.bootstrap is None:
        return None
    turns = [resampled(objective, coefficients, b) for b in range(coefficients.bootstrap.shape[1])]
    return spread(
        [fit(_constrained(likelihood, constraints)) for _, likelihood in turns], np.array([centres[r] for r, _ in turns])
    )


def _quadratic_mean(errors: ArrayLike) -> tuple[float, ...]:
    """Over the first axis of [R, P]."""
    return tuple(float(e) for e in np.sqrt(np.mean(np.square(errors), axis=0)))
