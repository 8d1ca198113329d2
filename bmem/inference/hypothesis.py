"""What may be true of the events: parameters of the signal, a strength or couplings; with backgrounds and constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from iminuit.cost import NormalConstraint
from numpy.typing import ArrayLike, NDArray

from bmem.inference.combine import Budget, budget, resampled, separated
from bmem.inference.constraints import GaussianTerm, Joint
from bmem.inference.mixture import mixture_by_fractions
from bmem.inference.newton import conditional_minimum, nuisance_indices
from bmem.inference.objective import Basis, MarginalLikelihood, Objective, unusable_events
from bmem.inference.posterior import FLAT, Prior
from bmem.inference.rate import RateFactor, with_rate
from bmem.inference.scale import with_nuisances, with_strength
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.polynomial import PolynomialBasis

Array = NDArray[np.float64]
_PROFILED = {1: 120, 2: 24}
"""Points along each of the parameters over which a resample's curve is minimised, by their number."""


@dataclass(frozen=True)
class Hypothesis:
    """Coefficients and basis of everything that the events may be, and the external ``constraints`` on its parameters.

    Events in ``excluded`` have no usable density. ``alone`` are the coefficients in which only the weights, and only σ_k,
    differ between replicas.
    """

    coefficients: Coefficients
    basis: Basis
    luminosity: float | None
    constraints: tuple[NormalConstraint, ...]
    excluded: NDArray[np.int64]
    alone: tuple[Coefficients, Coefficients]

    @classmethod
    def of(
        cls,
        signal: Coefficients,
        basis: Basis,
        backgrounds: Mapping[str, ArrayLike] | None = None,
        *,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        luminosity: float | None = None,
        constraints: Sequence[NormalConstraint] = (),
        rate: RateFactor | None = None,
        nuisances: PolynomialBasis | None = None,
        strength: bool = False,
    ) -> Hypothesis:
        """``signal`` with the ``basis`` of its parameters, and the log-densities [N] or [R, N] of the ``backgrounds``.

        ``bounds`` are those of the fractions of the backgrounds; with a ``luminosity`` the number of events has the factor
        ``rate`` of the parameters, see ``Channel.rate``; ``nuisances`` are the monomials of the signal's nuisance parameters
        (``bmem.likelihood.nuisances``); ``strength`` frees that of the signal; of the ``constraints`` those take part whose
        parameter is free.
        """
        rated = with_nuisances(basis if luminosity is None else with_rate(basis, rate), nuisances)
        basis = with_nuisances(basis, nuisances)
        coefficients, (weights, simulation) = signal, separated(signal)
        if backgrounds:
            own = basis
            coefficients, basis = mixture_by_fractions(signal, own, backgrounds, bounds)
            common = {name: np.atleast_2d(logs).mean(axis=0) for name, logs in backgrounds.items()}
            weights = mixture_by_fractions(weights, own, backgrounds, bounds)[0]
            simulation = mixture_by_fractions(simulation, own, common, bounds)[0]
        lost = unusable_events(coefficients, basis)
        basis = rated if not backgrounds else basis if luminosity is None else with_rate(basis, rate)
        basis = with_strength(basis) if strength else basis
        names = {p.name for p in basis.parameters}
        known = tuple(c for c in constraints if set(c._parameters) <= names)
        return cls(coefficients, basis, luminosity, known, lost, (weights, simulation))

    def likelihood(self) -> MarginalLikelihood:
        """Of the events alone, averaged over replicas."""
        return MarginalLikelihood.of(self.coefficients, self.basis, self.luminosity, self.excluded)

    def constrained(self, likelihood: Objective) -> Objective:
        """``likelihood`` with the external constraints."""
        return Joint([likelihood], self.constraints) if self.constraints else likelihood

    def of_other_events(self, coefficients: Coefficients) -> Objective:
        """The constrained likelihood of other events under this hypothesis."""
        lost = unusable_events(coefficients, self.basis)
        return self.constrained(MarginalLikelihood.of(coefficients, self.basis, self.luminosity, lost))

    def budget(self) -> tuple[MarginalLikelihood, Budget]:
        """The likelihood of the events alone, and its constrained fit with the uncertainties by source."""
        everything = self.coefficients, self.basis, self.luminosity, self.excluded, self.constraints
        return budget(*everything, alone=self.alone)

    def prior(self) -> Prior:
        """Of the first parameter: flat, times what is known of it from elsewhere."""
        first = self.basis.parameters[0]
        known = [GaussianTerm(c, (first,)) for c in self.constraints if list(c._parameters) == [first.name]]
        if not known:
            return FLAT

        def log_density(x: Array) -> Array:
            return np.asarray(-sum(term.value(np.asarray(x)[..., None]) for term in known) / 2)

        return Prior(f"{FLAT.description}, times the external constraint", log_density)

    @property
    def joint_prior(self) -> str:
        """The prior of all parameters, in words."""
        return "flat in every parameter over its range" + ", times the external constraints" * bool(self.constraints)

    def resampled_curves(self, likelihood: MarginalLikelihood, grid: Array, count: int) -> Array | None:
        """-2Δ log L of up to ``count`` resamples, the replicas taking turns, on the ``grid`` [G] of the first parameter.

        [B, G], minimised over the other parameters; None if no resamples were kept.
        """
        if self.coefficients.bootstrap is None:
            return None
        points, curves = _points(self.constrained(likelihood), grid), []
        for b in range(min(count, self.coefficients.bootstrap.shape[1])):
            _, one = resampled(likelihood, self.coefficients, b)
            values = self.constrained(one).value(points).min(axis=1)
            curves.append(values - values.min())
        return np.array(curves)


def _points(objective: Objective, grid: Array) -> Array:
    """[G, M, P]: the first parameter on the ``grid`` [G], the others on one of their own, [G, 1, 1] if there is none.

    Where some are nuisance parameters all others are at the one point that is best for the ``objective``.
    """
    others = objective.parameters[1:]
    if not others:
        return grid[:, None, None]
    if nuisance_indices(others):
        return _path(objective, grid)[:, None]
    own = [np.linspace(*p.bounds, _PROFILED[len(others)]) for p in others]
    nodes = np.stack(np.meshgrid(*own, indexing="ij"), -1).reshape(-1, len(others))
    shape = (len(grid), len(nodes))
    first = np.broadcast_to(grid[:, None, None], (*shape, 1))
    return np.concatenate([first, np.broadcast_to(nodes, (*shape, len(others)))], axis=-1)


def _path(objective: Objective, grid: Array) -> Array:
    """[G, P]: at each value of the first parameter the best values of the others, followed from one to the next."""
    theta, found = np.array([(p.bounds[0] + p.bounds[1]) / 2 for p in objective.parameters]), []
    for value in grid:
        theta = conditional_minimum(objective, np.concatenate([[value], theta[1:]]), range(1, len(theta)))
        found.append(theta)
    return np.array(found)
