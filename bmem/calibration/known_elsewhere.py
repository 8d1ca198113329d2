"""What is known of a likelihood's parameters from elsewhere: Gaussian measurements, which fluctuate in toys as events do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from iminuit.cost import NormalConstraint
from numpy.typing import ArrayLike
from scipy.stats import norm, qmc

from bmem.calibration.record import Array
from bmem.errors import InputError
from bmem.inference.constraints import GaussianTerm
from bmem.process.contract import Parameter


@dataclass(frozen=True)
class KnownElsewhere:
    """The sum of all constraints on P ``parameters``, θᵀ Λ θ - 2 hᵀ θ up to a constant, with ``precision`` Λ [P, P].

    ``pull`` [P] is the h of the data. In toys of true values θ it is drawn about Λ θ with the covariance Λ.
    """

    parameters: tuple[Parameter, ...]
    precision: Array
    pull: Array

    @classmethod
    def of(cls, constraints: Sequence[NormalConstraint], parameters: tuple[Parameter, ...]) -> KnownElsewhere:
        """Of all ``constraints``, each on some of the ``parameters``.

        Raises:
            InputError: one is on the first parameter: a belt is of what the events say of it.
        """
        names = [p.name for p in parameters]
        precision, pull = np.zeros((len(names), len(names))), np.zeros(len(names))
        for constraint in constraints:
            term = GaussianTerm(constraint, parameters)
            index = [names.index(p.name) for p in term.parameters]
            if 0 in index:
                raise InputError(
                    f"a constraint on {names[0]} has no place in its belt, which is of what the events say; take it out"
                )
            precision[np.ix_(index, index)] += term.inverse
            pull[index] += term.inverse @ term.centre
        return cls(parameters, precision, pull)

    def measured(self, theta: Array, toys: int, rng: np.random.Generator) -> Array:
        """The h of ``toys`` other measurements where θ [P] is true, [T, P]."""
        eigenvalues, vectors = np.linalg.eigh(self.precision)
        root = vectors * np.sqrt(np.clip(eigenvalues, 0.0, None))
        return theta @ self.precision + rng.standard_normal((toys, len(theta))) @ root.T

    def free(self) -> list[str]:
        """Names of the parameters beside the first of which nothing is known."""
        return [p.name for p, known in zip(self.parameters[1:], np.diag(self.precision)[1:], strict=True) if not known > 0]

    def drawn(self, count: int, rng: np.random.Generator) -> Array:
        """``count`` values [count, Q] of all parameters beside the first, from what is known of them, within their ranges.

        They are spread evenly over the Gaussian (scrambled Sobol points, arXiv:2011.00435 on their error): few do.

        Raises:
            InputError: of one of them nothing is known.
        """
        unknown = self.free()
        if unknown:
            raise InputError(
                f"nothing is known of {', '.join(unknown)}, so no value can be drawn: constrain it, or make the belt at "
                "profiled values"
            )
        others = len(self.parameters) - 1
        if not others:
            return np.zeros((count, 0))
        covariance = np.linalg.inv(self.precision[1:, 1:])
        points = qmc.Sobol(others, scramble=True, rng=rng).random(count)
        values = covariance @ self.pull[1:] + norm.ppf(points) @ np.linalg.cholesky(covariance).T
        low, high = np.array([p.bounds for p in self.parameters[1:]]).T
        return np.asarray(np.clip(values, low, high))

    def value(self, theta: ArrayLike, pull: ArrayLike) -> Array:
        """θᵀ Λ θ - 2 hᵀ θ for θ [..., P] and h [..., P]."""
        theta = np.asarray(theta, np.float64)
        return np.asarray(((theta @ self.precision - 2 * np.asarray(pull)) * theta).sum(axis=-1))
