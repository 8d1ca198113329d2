"""-2 log L(θ) of a sample of events with exact derivatives, in numpy alone.

``NegativeTwoLogLikelihood`` is the likelihood in one replica of the networks, ``MarginalLikelihood`` the average over
replicas, each normalised and with the same weight. They are iminuit cost objects: they add to other costs,
``objective + NormalConstraint(...)``, and have exact gradients.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from iminuit.cost import Cost
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, softmax

from bmem.errors import InputError
from bmem.inference.evidence import log_evidence, log_pool
from bmem.inference.expansion import BasisAt, Expansion, StackedEvents
from bmem.inference.newton import WithUnitConstraints, conditional_minimum, nuisance_indices
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

Array = NDArray[np.float64]

_GRID_POINTS = 360
"""Points of the scan in one dimension; in P > 1 dimensions the grid has as many per axis as make about 40 000 in all."""
_NEARLY_ZERO = 1e-2
_REFINEMENT = 50
"""Events whose density comes this close to zero are held against a grid that is finer by this factor."""
_CHUNK = 1 << 22
_FAR = 2.0
"""Densities have to be positive this many standard deviations of each nuisance parameter away from 0."""
_WALL = 1e-300
"""A density that a polynomial in nuisance parameters makes negative, farther away, counts as this: a wall for the fit."""


class Basis(Protocol):
    """What the fit needs of a basis: θ [P] → ``value`` [K], ``gradient`` [P, K], ``hessian`` [P, P, K].

    ``value`` also maps [..., P] → [..., K]. ``bmem.likelihood.basis.MorphingBasis`` has it.
    """

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    def value(self, theta: ArrayLike) -> Array: ...
    def gradient(self, theta: ArrayLike) -> Array: ...
    def hessian(self, theta: ArrayLike) -> Array: ...


class Objective(Cost):
    """A -2 log L of θ with exact derivatives; ``Minuit(objective, ...)`` and sums with iminuit's costs work.

    ``n_events`` were observed; those with indices in ``excluded`` are left out of the sum.
    """

    n_events: int
    excluded: NDArray[np.int64]

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self.parameters = parameters
        super().__init__({p.name: None if p.period is not None else p.bounds for p in parameters}, 0)

    @abstractmethod
    def value(self, theta: ArrayLike) -> Array:
        """-2 log L: θ [..., P] → [...]."""

    @property
    def estimator(self) -> Objective:
        """What the estimate minimises: this objective itself, but for averages over replicas."""
        return self

    @abstractmethod
    def gradient(self, theta: ArrayLike) -> Array:
        """θ [P] → [P]."""

    @abstractmethod
    def curvature(self, theta: ArrayLike) -> Array:
        """Second derivatives, θ [P] → [P, P] (iminuit gives the name ``hessian`` to a function of another signature)."""

    def expanded(self, theta: ArrayLike) -> Expansion:
        """Value, gradient and curvature at one θ [P]."""
        return Expansion(self.value(theta), self.gradient(theta), self.curvature(theta))

    def _value(self, args: Sequence[float]) -> float:
        return float(self.value(np.asarray(args)))

    def _grad(self, args: Sequence[float]) -> Array:
        return self.gradient(np.asarray(args))

    def _has_grad(self) -> bool:
        return True

    def _ndata(self) -> float:
        return np.inf


class NegativeTwoLogLikelihood(Objective):
    """-2 log L(θ) = -2 Σ_n log[Σ_k b_k(θ) I_nk / Σ_k b_k(θ) σ_k], plus -2 log Poisson(N | L σ_fid(θ)) if extended.

    Args:
        integrals: I_k of every event [N, K]; their unit drops out up to a constant.
        fiducial: σ_k [K] in pb.
        basis: the morphing basis b(θ).
        luminosity: L in 1/pb makes the likelihood extended; None uses the shape alone.
        exclude: events (indices or mask) to leave out of the shape; the rate term still counts them. ``unusable_events``
            finds those that have to be.

    Raises:
        InputError: shapes do not fit, there is no event, σ_fid is not positive, or an integral is not finite or an event's
            density not positive somewhere in the range of θ; the message names the events.
    """

    def __init__(
        self,
        integrals: ArrayLike,
        fiducial: ArrayLike,
        basis: Basis,
        luminosity: float | None = None,
        exclude: ArrayLike = (),
    ) -> None:
        super().__init__(basis.parameters)
        every = np.asarray(integrals, dtype=np.float64)
        self.n_events = len(every)
        self.excluded = np.unique(np.arange(self.n_events)[np.asarray(exclude, dtype=None if np.size(exclude) else int)])
        self.integrals = np.delete(every, self.excluded, axis=0)
        self.fiducial = np.asarray(fiducial, dtype=np.float64)
        self.basis = basis
        self.luminosity = luminosity
        self._check()

    def _check(self) -> None:
        if len(self.integrals) == 0:
            raise InputError("no event is left for the likelihood")
        unusable = _unusable(self.integrals, self.basis)
        if unusable.size:
            events = np.delete(np.arange(self.n_events), self.excluded)[unusable]
            raise InputError(
                f"{events.size} of {self.n_events} events lack a finite and positive density for every θ, the first: "
                f"{events[:10].tolist()}; integrate them with more points, or exclude what unusable_events() returns"
            )
        b = self.basis.value(_positive_grid(self.parameters))
        if self.fiducial.shape != b.shape[-1:] or not (b @ self.fiducial > 0).all():
            raise InputError(f"σ_fid must be positive for every θ, with {b.shape[-1]} components, not {self.fiducial}")

    @classmethod
    def of(
        cls,
        coefficients: Coefficients,
        basis: Basis,
        replica: int = 0,
        luminosity: float | None = None,
        exclude: ArrayLike = (),
    ) -> NegativeTwoLogLikelihood:
        """The likelihood of all events of ``coefficients`` in one replica."""
        return cls(coefficients.values[replica], coefficients.fiducial[replica], basis, luminosity, exclude)

    def with_integrals(self, integrals: ArrayLike, fiducial: ArrayLike) -> NegativeTwoLogLikelihood:
        """The same with other estimates of all integrals [N, K] and of σ_k [K], a bootstrap resample, say."""
        return NegativeTwoLogLikelihood(integrals, fiducial, self.basis, self.luminosity, self.excluded)

    def expanded(self, theta: ArrayLike) -> Expansion:
        return MeanLikelihood([self]).expanded(theta)

    def value(self, theta: ArrayLike) -> Array:
        b = self.basis.value(theta)
        grid = b.reshape(-1, b.shape[-1])
        sigma = grid @ self.fiducial
        logs = np.concatenate([np.log(self.densities(part)).sum(-1) for part in _slices(grid, len(self.integrals))])
        result = -2 * logs + 2 * len(self.integrals) * np.log(sigma)
        if self.luminosity is not None:
            mean = self.luminosity * sigma
            result += 2 * (mean - self.n_events * np.log(mean) + gammaln(self.n_events + 1))
        return result.reshape(b.shape[:-1])

    def densities(self, b: Array) -> Array:
        """Σ_k b_k I_nk [G, N] for a grid of basis values [G, K].

        Raises:
            InputError: one is not positive, and there is no nuisance parameter that has led too far.
        """
        densities = np.asarray(b @ self.integrals.T)
        if nuisance_indices(self.parameters):
            return np.maximum(densities, _WALL)
        if densities.size and densities.min() <= 0:
            events = np.flatnonzero((densities <= 0).any(0))
            raise InputError(
                f"events {events[:10].tolist()} (counted without excluded ones) have no positive density at this θ"
            )
        return densities

    def gradient(self, theta: ArrayLike) -> Array:
        b, db = self.basis.value(theta), self.basis.gradient(theta)
        score = db @ self.integrals.T / (self.integrals @ b)
        return -2 * score.sum(-1) + self._rate_derivative(b) * (db @ self.fiducial)

    def curvature(self, theta: ArrayLike) -> Array:
        b, db, ddb = self.basis.value(theta), self.basis.gradient(theta), self.basis.hessian(theta)
        density = self.integrals @ b
        score = db @ self.integrals.T / density
        dsigma = db @ self.fiducial
        return (
            -2 * (ddb @ (self.integrals.T / density).sum(-1) - score @ score.T)
            + self._rate_derivative(b) * (ddb @ self.fiducial)
            + self._rate_curvature(b) * np.multiply.outer(dsigma, dsigma)
        )

    def _rate_derivative(self, b: Array) -> float:
        """d(-2 log L)/dσ_fid at fixed Σ b I."""
        sigma = float(b @ self.fiducial)
        if self.luminosity is None:
            return 2 * len(self.integrals) / sigma
        return 2 * (len(self.integrals) - self.n_events) / sigma + 2 * self.luminosity

    def _rate_curvature(self, b: Array) -> float:
        """d²(-2 log L)/dσ_fid² at fixed Σ b I."""
        sigma = float(b @ self.fiducial)
        counted = len(self.integrals) - (0 if self.luminosity is None else self.n_events)
        return -2 * counted / sigma**2

    def score_jacobians(self, theta: ArrayLike) -> tuple[Array, Array]:
        """How the gradient [P] moves with the integrals and with σ: ∂g/∂I [N, P, K] and ∂g/∂σ [P, K]."""
        b, db = self.basis.value(theta), self.basis.gradient(theta)
        density = (self.integrals @ b)[:, None, None]
        slope = (self.integrals @ db.T)[:, :, None]
        of_integrals = -2 * (db / density - slope * b / density**2)
        of_fiducial = self._rate_derivative(b) * db + self._rate_curvature(b) * np.multiply.outer(db @ self.fiducial, b)
        return of_integrals, of_fiducial


class MeanLikelihood(Objective):
    """The mean over R replicas of -2 log L: its minimum is an estimate in which every replica has the same weight.

    To first order it is the mean of their estimates; constants in log L drop out. Its curvature is the statistical error.
    """

    def __init__(self, replicas: Sequence[NegativeTwoLogLikelihood]) -> None:
        if not replicas:
            raise InputError("an average over replicas needs at least one replica")
        super().__init__(replicas[0].parameters)
        self.replicas = tuple(replicas)
        self.n_events = replicas[0].n_events
        self.excluded = replicas[0].excluded

    @cached_property
    def _events(self) -> StackedEvents:
        first, floor = self.replicas[0], _WALL if nuisance_indices(self.parameters) else -np.inf
        integrals, fiducial = (np.stack([getattr(r, name) for r in self.replicas]) for name in ("integrals", "fiducial"))
        return StackedEvents(integrals, fiducial, first.luminosity, first.n_events, floor)

    def _of_replicas(self, theta: ArrayLike) -> Expansion:
        """In every replica: [R], [R, P] and [R, P, P]."""
        basis = self.replicas[0].basis
        return self._events.at(BasisAt(basis.value(theta), basis.gradient(theta), basis.hessian(theta)))

    def expanded(self, theta: ArrayLike) -> Expansion:
        return Expansion(*(part.mean(axis=0) for part in self._of_replicas(theta)))

    def value(self, theta: ArrayLike) -> Array:
        return self._stacked("value", theta).mean(axis=0)

    def gradient(self, theta: ArrayLike) -> Array:
        return self._stacked("gradient", theta).mean(axis=0)

    def curvature(self, theta: ArrayLike) -> Array:
        return self._stacked("curvature", theta).mean(axis=0)

    def _stacked(self, what: str, theta: ArrayLike) -> Array:
        return np.stack([getattr(replica, what)(theta) for replica in self.replicas])


class MarginalLikelihood(MeanLikelihood):
    """-2 log of the mean over R replicas of their normalised likelihoods: -2 log[1/R Σ_r L_r(θ)/Z_r] - 2 <log Z_r>.

    log L_r of n events differs between replicas by an amount that grows with n and says nothing of θ: the mean of the L_r
    themselves would be one replica's. Z_r is the mean of L_r over the range of all parameters, so that this is -2 log of the
    average of the replicas' posterior densities under a flat prior, up to a constant that makes it -2 log L of a single
    replica; nuisance parameters are there at their most probable values in each, under unit constraints. Its profile
    intervals contain what the replicas disagree on; ``fit`` takes the estimate and its statistical error from ``estimator``.
    A constraint that is added weighs the replicas by how well they meet it.
    """

    def __init__(self, replicas: Sequence[NegativeTwoLogLikelihood]) -> None:
        super().__init__(replicas)
        several = self.replicas if len(self.replicas) > 1 else ()
        evidence = [_log_evidence(r) for r in several]
        self.log_evidence = np.array(evidence or [0.0])
        """log Z_r [R]; a single replica needs none."""

    @classmethod
    def of(
        cls, coefficients: Coefficients, basis: Basis, luminosity: float | None = None, exclude: ArrayLike = ()
    ) -> MarginalLikelihood:
        """The likelihood of ``coefficients`` averaged over their replicas."""
        replicas = range(coefficients.n_replicas)
        return cls([NegativeTwoLogLikelihood.of(coefficients, basis, r, luminosity, exclude) for r in replicas])

    @property
    def estimator(self) -> Objective:
        return MeanLikelihood(self.replicas) if len(self.replicas) > 1 else self.replicas[0]

    def normalised(self, theta: ArrayLike) -> Array:
        """log of L_r(θ)/Z_r [R, ...] of each replica at θ [..., P]."""
        values = self._stacked("value", theta)
        return -values / 2 - np.expand_dims(self.log_evidence, tuple(range(1, values.ndim)))

    def value(self, theta: ArrayLike) -> Array:
        return -2 * log_pool(-self._stacked("value", theta) / 2, self.log_evidence)

    def gradient(self, theta: ArrayLike) -> Array:
        return self.shares(theta) @ self._stacked("gradient", theta)

    def curvature(self, theta: ArrayLike) -> Array:
        share, gradients = self.shares(theta), self._stacked("gradient", theta)
        centred = gradients - share @ gradients
        mean = np.tensordot(share, self._stacked("curvature", theta), 1)
        return mean - 0.5 * np.einsum("r,rp,rq->pq", share, centred, centred)

    def expanded(self, theta: ArrayLike) -> Expansion:
        values, gradients, curvatures = self._of_replicas(theta)
        share = softmax(-values / 2 - self.log_evidence)
        gradient = share @ gradients
        centred = gradients - gradient
        curvature = np.tensordot(share, curvatures, 1) - 0.5 * (centred.T * share) @ centred
        return Expansion(-2 * log_pool(-values / 2, self.log_evidence), gradient, curvature)

    def shares(self, theta: ArrayLike) -> Array:
        """What each replica contributes to the average at θ [P], [R]; they add up to 1."""
        return softmax(self.normalised(theta))


def _log_evidence(replica: NegativeTwoLogLikelihood) -> float:
    """log of the mean of L over the parameters; with nuisance parameters at their best values, under unit constraints."""
    own = nuisance_indices(replica.parameters)
    if not own:
        return log_evidence(replica.value, replica.parameters, axes(replica.parameters))
    scanned = [i for i in range(len(replica.parameters)) if i not in own]
    grid = scan_grid(replica.parameters)
    best = conditional_minimum(WithUnitConstraints(replica), grid[np.argmin(replica.value(grid))], [*scanned, *own])

    def section(theta: Array) -> Array:
        full = np.broadcast_to(best, (*theta.shape[:-1], len(best))).copy()
        full[..., scanned] = theta
        return replica.value(full) + np.square(best[own]).sum()

    kept = tuple(replica.parameters[i] for i in scanned)
    return log_evidence(section, kept, axes(kept))


def effective_number(weights: ArrayLike) -> float:
    """How many replicas count, (Σ w)²/Σ w² of their ``weights`` [R]: R if they count alike."""
    w = np.asarray(weights, np.float64)
    return float(w.sum() ** 2 / np.square(w).sum())


def unusable_events(coefficients: Coefficients, basis: Basis) -> NDArray[np.int64]:
    """Indices of events whose Σ_k b_k I_k is not finite and positive for every θ in every replica and resample."""
    components = coefficients.values.shape[-1]
    estimates = [coefficients.values] if coefficients.bootstrap is None else [coefficients.values, *coefficients.bootstrap]
    found = [_unusable(v.reshape(-1, components), basis) % coefficients.n_events for v in estimates]
    return np.unique(np.concatenate(found))


def _unusable(integrals: Array, basis: Basis) -> NDArray[np.int64]:
    """Indices of the rows of ``integrals`` [N, K] without a finite and positive density everywhere."""
    b = basis.value(_positive_grid(basis.parameters))
    if integrals.ndim != 2 or integrals.shape[1] != b.shape[-1]:
        raise InputError(f"the basis has {b.shape[-1]} components, but the integrals have shape {integrals.shape}")
    lowest, highest = _extremes(integrals, b)
    usable = (lowest > 0) & np.isfinite(highest)
    close = np.flatnonzero(usable & (lowest < _NEARLY_ZERO * highest))
    if close.size and len(basis.parameters) == 1:
        fine = basis.value(scan_grid(basis.parameters, _REFINEMENT))
        usable[close] = _extremes(integrals[close], fine)[0] > 0
    return np.flatnonzero(~usable)


def _extremes(integrals: Array, b: Array) -> tuple[Array, Array]:
    """Smallest and largest density [N] over a grid of basis values [G, K]; NaN where an integral is NaN."""
    lowest, highest = [], []
    for part in _slices(integrals, len(b)):
        densities = part @ b.T
        lowest.append(densities.min(-1))
        highest.append(densities.max(-1))
    return np.concatenate(lowest), np.concatenate(highest)


def scan_grid(parameters: tuple[Parameter, ...], refinement: int = 1) -> Array:
    """The grid of θ that scans start from, [G, P]: the product of ``axes``."""
    return np.stack(np.meshgrid(*axes(parameters, refinement), indexing="ij"), -1).reshape(-1, len(parameters))


def _positive_grid(parameters: tuple[Parameter, ...]) -> Array:
    """Where densities have to be positive [G, P]: ``scan_grid``, also with one nuisance parameter far from 0."""
    grid, own = scan_grid(parameters), nuisance_indices(parameters)
    far = [grid + step * np.eye(len(parameters))[i] for i in own for step in (-_FAR, _FAR)]
    return np.concatenate([grid, *far])


def axes(parameters: tuple[Parameter, ...], refinement: int = 1) -> tuple[Array, ...]:
    """Points along each parameter: a period without its end point, or the bounds with both ends; 0 alone of a nuisance."""
    scanned = len(parameters) - len(nuisance_indices(parameters))
    n = refinement * (_GRID_POINTS if scanned <= 1 else max(5, int(40_000 ** (1 / scanned))))
    return tuple(np.zeros(1) if p.nuisance else _along(p, n) for p in parameters)


def _along(p: Parameter, n: int) -> Array:
    """``n`` steps along a parameter."""
    return np.linspace(*p.bounds, n + 1) if p.period is None else p.bounds[0] + p.period * np.arange(n) / n


def _slices(rows: Array, columns: int) -> list[Array]:
    """``rows`` cut so that a matrix of one slice times ``columns`` stays small."""
    return np.array_split(rows, len(rows) * columns // _CHUNK + 1)
