"""The Bayesian answer for one parameter: its exact posterior on a grid, regions of highest density, draws.

With one parameter no Markov chain is needed: the posterior is the likelihood, evaluated at thousands of points, times a
prior that has to be stated. A prior that is flat in an angle is flat neither in its sine nor in couplings made of it.
``bmem.inference.nuts`` is for several parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from iminuit.cost import Cost, CostSum
from iminuit.util import describe
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from bmem.errors import InputError, RangeError
from bmem.inference.evidence import log_pool
from bmem.inference.intervals import IntervalSet, regions
from bmem.inference.objective import MarginalLikelihood, Objective
from bmem.process.contract import Parameter

Array = NDArray[np.float64]

POINTS = 7200
"""Cells of the grid: 0.05° for an angle."""
_LARGEST_SHARE = 0.02
"""With more posterior mass in one cell (σ below 20 of them) cells are divided, -2 log L in between by a cubic spline."""
_COARSEST = 0.2
"""With more than this (σ below 2 cells) not even a spline knows the curve."""
_IMPOSSIBLE = -1e6


@dataclass(frozen=True)
class Prior:
    """A prior density of one parameter: its ``description`` for the reader and its ``log_density``, x [G] → [G].

    The density needs no normalisation; -inf excludes a value. For an angle it must have the period.
    """

    description: str
    log_density: Callable[[Array], Array]

    def sample(self, parameter: Parameter, n: int, rng: np.random.Generator) -> Array:
        """``n`` values [n] of ``parameter`` drawn from the prior.

        Raises:
            InputError: the prior excludes every value.
        """
        values = self.at(_centres(parameter, POINTS), parameter)
        return _draw(parameter, np.exp(values - values.max()), n, rng)

    def at(self, x: Array, parameter: Parameter) -> Array:
        """Log density at x [G], checked.

        Raises:
            InputError: the prior excludes every value.
        """
        values: Array = np.asarray(self.log_density(x), np.float64)
        if np.isnan(values).any() or not np.isfinite(values.max()):
            raise InputError(f"the prior ({self.description}) excludes every value of {parameter.name}, or is not a number")
        return values


FLAT = Prior("flat in the parameter over its range", np.zeros_like)


@dataclass(frozen=True)
class Posterior:
    """p(x | events): ``log_density`` [G], normalised, at ``points`` [G], the centres of equal cells that fill the range.

    ``prior`` describes the prior in words; ``log_evidence`` is the log of the mean likelihood over it, for comparisons of
    likelihoods of the same events under the same prior; of several replicas it is the mean of theirs.
    """

    parameter: Parameter
    prior: str
    points: Array
    log_density: Array
    log_evidence: float

    @cached_property
    def masses(self) -> Array:
        """Probabilities of the cells [G]."""
        mass = np.exp(self.log_density)
        return mass / mass.sum()

    @property
    def mode(self) -> float:
        """The point of highest density."""
        return float(self.points[np.argmax(self.log_density)])

    @property
    def mean(self) -> float:
        """The mean; of an angle the direction of the mean of exp(ix), in the range of the parameter."""
        if self.parameter.period is None:
            return float(self.masses @ self.points)
        low, period = self.parameter.bounds[0], self.parameter.period
        return float(low + (np.angle(self._resultant) * period / (2 * np.pi) - low) % period)

    @property
    def std(self) -> float:
        """The standard deviation; of an angle √(-2 log R) with R = |E exp(ix)| (Mardia and Jupp, Directional Statistics)."""
        if self.parameter.period is None:
            return float(np.sqrt(self.masses @ (self.points - self.mean) ** 2))
        return float(np.sqrt(-2 * np.log(np.abs(self._resultant))) * self.parameter.period / (2 * np.pi))

    @property
    def _resultant(self) -> complex:
        assert self.parameter.period is not None
        return complex(self.masses @ np.exp(2j * np.pi / self.parameter.period * self.points))

    def below(self, x: ArrayLike) -> Array:
        """Posterior probability [...] of all from the lower bound up to x [...]."""
        low, high = self.parameter.bounds
        edges = np.linspace(low, high, len(self.points) + 1)
        return np.asarray(np.interp(np.asarray(x), edges, np.append(0.0, np.cumsum(self.masses))))

    def probability(self, region: IntervalSet) -> float:
        """Posterior probability of a region, which may wrap around the period; a confidence region, say."""
        high, period = self.parameter.bounds[1], self.parameter.period
        pieces = np.reshape(region.intervals, (-1, 2))
        if period is None:
            return float((self.below(pieces[:, 1]) - self.below(pieces[:, 0])).sum())
        within = self.below(np.minimum(pieces, high)) + self.below(pieces - period)
        return float((within[:, 1] - within[:, 0]).sum())

    def mass_above(self, x: float) -> float:
        """Posterior probability of all that has a higher density than ``x``: the level at which a region just holds it."""
        density = np.interp(x, self.points, np.maximum(self.log_density, _IMPOSSIBLE), period=self.parameter.period)
        return float(self.masses[self.log_density > density].sum())

    def interval(self, level: float) -> IntervalSet:
        """The region of highest density with the posterior probability ``level``; it may be disjoint.

        Raises:
            InputError: the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise InputError(f"levels of probability lie between 0 and 1, not {level}")
        threshold, period = self._threshold(level), self.parameter.period
        deficit = threshold - np.maximum(self.log_density, _IMPOSSIBLE)

        def curve(x: Array) -> Array:
            return np.asarray(np.interp(x, self.points, deficit, period=period))

        x = self.points
        if period is None:
            x = np.concatenate([x, self.parameter.bounds])
            x.sort()
        return IntervalSet(self.parameter, float(level), regions(curve, x, curve(x), period))

    def _threshold(self, level: float) -> float:
        """The log density above which there is ``level``: each cell counts half at its own density."""
        order = np.argsort(self.log_density, kind="stable")[::-1]
        mass = self.masses[order]
        return float(np.interp(level, np.cumsum(mass) - mass / 2, np.maximum(self.log_density[order], _IMPOSSIBLE)))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` draws [n], uniform within the cells."""
        return _draw(self.parameter, self.masses, n, rng)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a density of zero becomes None."""
        densities = [float(v) if np.isfinite(v) else None for v in self.log_density]
        return {**asdict(self), "points": self.points.tolist(), "log_density": densities}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Posterior:
        """The inverse of ``to_dict``."""
        try:
            p = content["parameter"]
            return cls(
                parameter=Parameter.from_dict(p),
                prior=content["prior"],
                points=np.array(content["points"]),
                log_density=np.array([-np.inf if v is None else v for v in content["log_density"]]),
                log_evidence=content["log_evidence"],
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"not the dictionary of a posterior: {error!r}") from error


def posterior(objective: Cost, prior: Prior = FLAT, points: int = POINTS) -> Posterior:
    """The posterior of the only parameter of ``objective``, exact on ``points`` cells of its range, or more if it is narrow.

    Args:
        objective: a likelihood in one replica; averaged over replicas, which gives the mean of their posteriors; or the sum
            of one with constraints of iminuit.
        prior: the prior.
        points: cells in which -2 log L is evaluated.

    Raises:
        InputError: there is no likelihood, or there are several parameters, or the prior excludes everything.
        RangeError: the posterior is too narrow for the grid; the message says how many points it needs.
    """
    parameter, curve = _curve(objective)
    x = _centres(parameter, points)
    values = curve(x)
    largest = _largest_share(prior.at(x, parameter) - values / 2)
    if largest > _COARSEST:
        needed = np.ceil(2 * points * largest / _COARSEST)
        raise RangeError(
            f"the posterior of {parameter.name} is too narrow for {points} points ({largest:.0%} of it at one of them); "
            f"take about {needed:.0f}, or the profile likelihood, which agrees for so many events"
        )
    if largest > _LARGEST_SHARE:
        x, values = _divided(x, values, int(np.ceil(largest / _LARGEST_SHARE)), parameter)
    prior_density = prior.at(x, parameter)
    log_density = prior_density - values / 2
    step = (parameter.bounds[1] - parameter.bounds[0]) / len(x)
    totals = logsumexp(log_density, axis=1)
    total, evidence = totals.mean(), float(totals.mean() - logsumexp(prior_density))
    pooled = log_pool(log_density, totals)
    return Posterior(parameter, prior.description, x, pooled - total - np.log(step), evidence)


def _largest_share(log_density: Array) -> float:
    """Of one cell in the whole of a replica, the largest of all of them [R, G]."""
    return float(1 / np.exp(log_density - log_density.max(axis=1, keepdims=True)).sum(axis=1).min())


def _divided(x: Array, values: Array, parts: int, parameter: Parameter) -> tuple[Array, Array]:
    """Centres of cells that are ``parts`` times as many, and curves [R, G] known at the centres x [G] there."""
    fine = _centres(parameter, parts * len(x))
    if parameter.period is None:
        return fine, CubicSpline(x, values, axis=1)(fine)
    closed = np.append(x, x[0] + parameter.period), np.concatenate([values, values[:, :1]], axis=1)
    return fine, CubicSpline(*closed, axis=1, bc_type="periodic")(fine)


def _centres(parameter: Parameter, cells: int) -> Array:
    low, high = parameter.bounds
    centres: Array = low + (np.arange(cells, dtype=np.float64) + 0.5) * (high - low) / cells
    return centres


def _draw(parameter: Parameter, masses: Array, n: int, rng: np.random.Generator) -> Array:
    """``n`` values [n] from cells of the given ``masses`` [G], uniform within a cell."""
    low, high = parameter.bounds
    cells = rng.choice(len(masses), size=n, p=masses / masses.sum())
    return np.asarray(low + (cells + rng.random(n)) * (high - low) / len(masses))


def _curve(objective: Cost) -> tuple[Parameter, Callable[[Array], Array]]:
    """The only parameter of ``objective`` and -2 log L in each replica as a function of it, x [G] → [R, G]."""
    parts = list(objective) if isinstance(objective, CostSum) else [objective]
    likelihoods = [part for part in parts if isinstance(part, Objective)]
    if not likelihoods:
        raise InputError("a posterior needs a likelihood of events; constraints alone are a prior")
    names = describe(objective)
    if len(names) != 1:
        raise InputError(f"a posterior on a grid is of one parameter, not of {sorted(names)}; draw from it by NUTS")
    first = likelihoods[0]
    replicas = first.replicas if isinstance(first, MarginalLikelihood) else (first,)
    rest = [part for part in parts if part is not first]

    def curve(x: Array) -> Array:
        own = np.stack([replica.value(x[:, None]) for replica in replicas])
        return own + sum(np.array([part(value) for value in x]) for part in rest)

    return first.parameters[0], curve
