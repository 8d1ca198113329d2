"""What is fitted to the events of a sample: α, α and a strength, or couplings; with backgrounds and constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from numpy.typing import ArrayLike, NDArray

from bmem.config import EXTERNAL, Config
from bmem.inference.combine import Budget, budget, separated
from bmem.inference.constraints import GaussianTerm, Joint
from bmem.inference.mixture import mixture_by_fractions
from bmem.inference.objective import Basis, MarginalLikelihood, Objective, unusable_events
from bmem.inference.posterior import FLAT, Prior
from bmem.inference.rate import RateFactor, with_rate
from bmem.inference.scale import with_strength
from bmem.likelihood.coefficients import Coefficients

Array = NDArray[np.float64]


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
        config: Config,
        signal: Coefficients,
        basis: Basis,
        backgrounds: Mapping[str, ArrayLike],
        strength: bool = False,
        *,
        rate: RateFactor | None = None,
    ) -> Hypothesis:
        """``signal`` with the ``basis`` of its parameters, and the log-densities [N] or [R, N] of the ``backgrounds``.

        With a luminosity the number of events has the factor ``rate`` of the parameters, see ``Channel.rate``.
        ``strength`` frees that of the signal; of the configuration's constraints those take part whose parameter is free.
        """
        coefficients, (weights, simulation) = signal, separated(signal)
        if backgrounds:
            bounds = {p.name.removeprefix("f_"): p.bounds for p in config.fractions}
            own = basis
            coefficients, basis = mixture_by_fractions(signal, own, backgrounds, bounds)
            common = {name: np.atleast_2d(logs).mean(axis=0) for name, logs in backgrounds.items()}
            weights = mixture_by_fractions(weights, own, backgrounds, bounds)[0]
            simulation = mixture_by_fractions(simulation, own, common, bounds)[0]
        lost = unusable_events(coefficients, basis)
        basis = basis if config.fit.luminosity is None else with_rate(basis, rate)
        basis = with_strength(basis) if strength else basis
        names = {p.name for p in basis.parameters}
        constraints = tuple(c for c in config.constraints if set(c._parameters) <= names)
        return cls(coefficients, basis, config.fit.luminosity, constraints, lost, (weights, simulation))

    def likelihood(self) -> MarginalLikelihood:
        """Of the events alone, averaged over replicas."""
        return MarginalLikelihood.of(self.coefficients, self.basis, self.luminosity, self.excluded)

    def constrained(self, likelihood: Objective) -> Objective:
        """``likelihood`` with the external constraints."""
        return Joint([likelihood], self.constraints) if self.constraints else likelihood

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


def described(constraints: Sequence[NormalConstraint]) -> list[dict[str, Any]]:
    """Constraints as plain values, by their names in the configuration (α in radians)."""
    return [
        {"parameter": EXTERNAL.get(name, name), "value": float(c.value[0]), "error": float(np.sqrt(c.covariance.ravel()[0]))}
        for c in constraints
        for name in c._parameters
    ]
