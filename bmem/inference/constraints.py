"""Likelihoods that add up, and external constraints: iminuit's sums of costs as objectives with exact derivatives.

``objective + NormalConstraint("mu", 1.0, 0.1)`` is a ``CostSum`` of iminuit; ``joint`` makes of it what ``fit``,
``profile_intervals`` and ``contours`` take. Several objectives may share parameters: they are matched by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from iminuit.cost import Constant, Cost, CostSum, NormalConstraint
from iminuit.util import describe
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import lsq_linear
from scipy.stats import chi2

from bmem.errors import InputError
from bmem.inference.expansion import Expansion
from bmem.inference.minima import difference
from bmem.inference.objective import Objective
from bmem.process.contract import Parameter

Array = NDArray[np.float64]

CONTRADICTION = 5.7e-7
"""Constraints that no point of the range meets better than with this p-value (five standard deviations) are refused."""


class GaussianTerm:
    """The χ² of an iminuit ``NormalConstraint``, for angles the short way round: -2 log L up to a constant.

    Args:
        constraint: its parameters must be among ``parameters``.
        parameters: those of the likelihood it belongs to.

    Raises:
        InputError: it names another parameter, or its value or error is not finite.
    """

    def __init__(self, constraint: NormalConstraint, parameters: Sequence[Parameter]) -> None:
        known = {p.name: p for p in parameters}
        names = describe(constraint)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(f"a constraint on {unknown} is of no use: the likelihood has the parameters {list(known)}")
        self.parameters = tuple(known[name] for name in names)
        self.centre = np.array(constraint.value, np.float64)
        covariance = np.array(constraint.covariance, np.float64)
        full = np.diag(covariance) if covariance.ndim == 1 else covariance
        self.inverse: Array = np.linalg.inv(full).astype(np.float64)
        if len(self.centre) != len(names) or not np.isfinite([*self.centre, *self.inverse.ravel()]).all():
            raise InputError(f"the constraint on {names} needs one finite value and error for each: {self.centre}")

    def value(self, theta: ArrayLike) -> Array:
        """θ [..., P] → [...]."""
        delta = self._residual(theta)
        return ((delta @ self.inverse) * delta).sum(-1)

    def gradient(self, theta: ArrayLike) -> Array:
        """θ [P] → [P]."""
        return 2 * self.inverse @ self._residual(theta)

    def curvature(self, theta: ArrayLike) -> Array:
        """[P, P], constant."""
        return 2 * self.inverse

    def expanded(self, theta: ArrayLike) -> Expansion:
        """All three at one θ [P]."""
        return Expansion(self.value(theta), self.gradient(theta), self.curvature(theta))

    def _residual(self, theta: ArrayLike) -> Array:
        return difference(np.asarray(theta, np.float64), self.centre, self.parameters)


Term = Objective | GaussianTerm


class Joint(Objective):
    """The sum of several -2 log L that may share parameters, and of constraints.

    ``n_events`` and ``excluded`` are those of all objectives, the events of one counted after those of the other.

    Args:
        objectives: at least one; a parameter of the same name is the same parameter.
        constraints: external measurements of some of their parameters.

    Raises:
        InputError: no objective, one parameter with two ranges, or an unknown parameter in a constraint; constraints that
            contradict each other or the range of the parameters.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[NormalConstraint] = ()) -> None:
        super().__init__(_union(objectives))
        self.n_events = sum(o.n_events for o in objectives)
        before = np.cumsum([0] + [o.n_events for o in objectives])
        self.excluded = np.concatenate([o.excluded + n for o, n in zip(objectives, before, strict=False)])
        self._parts = tuple(objectives), tuple(constraints)
        self.constraints = tuple(GaussianTerm(c, self.parameters) for c in constraints)
        terms: list[Term] = [*objectives, *self.constraints]
        self._terms = [(term, self._index(term)) for term in terms]
        if self.constraints:
            _check_agreement(self.constraints, self.parameters)

    def _index(self, term: Term) -> list[int]:
        names = [p.name for p in self.parameters]
        return [names.index(p.name) for p in term.parameters]

    @property
    def estimator(self) -> Objective:
        estimators = [o.estimator for o in self._parts[0]]
        same = all(one is other for one, other in zip(estimators, self._parts[0], strict=True))
        return self if same else Joint(estimators, self._parts[1])

    def value(self, theta: ArrayLike) -> Array:
        theta = np.asarray(theta, np.float64)
        return np.sum([term.value(theta[..., index]) for term, index in self._terms], axis=0)

    def gradient(self, theta: ArrayLike) -> Array:
        theta = np.asarray(theta, np.float64)
        result = np.zeros(len(self.parameters))
        for term, index in self._terms:
            result[index] += term.gradient(theta[index])
        return result

    def curvature(self, theta: ArrayLike) -> Array:
        theta = np.asarray(theta, np.float64)
        result = np.zeros((len(self.parameters),) * 2)
        for term, index in self._terms:
            result[np.ix_(index, index)] += term.curvature(theta[index])
        return result

    def expanded(self, theta: ArrayLike) -> Expansion:
        theta = np.asarray(theta, np.float64)
        value, gradient = np.zeros(()), np.zeros(len(self.parameters))
        curvature = np.zeros((len(self.parameters),) * 2)
        for term, index in self._terms:
            part = term.expanded(theta[index])
            value = value + part.value
            gradient[index] += part.gradient
            curvature[np.ix_(index, index)] += part.curvature
        return Expansion(np.asarray(value), gradient, curvature)


def joint(cost: Cost) -> Objective:
    """The objective of an iminuit cost: an ``Objective`` itself, or a sum of some and of ``NormalConstraint``.

    Raises:
        InputError: the sum has another kind of cost (no exact second derivatives, no range), and what ``Joint`` raises.
    """
    if isinstance(cost, Objective):
        return cost
    terms = list(cost) if isinstance(cost, CostSum) else [cost]
    objectives = [t for t in terms if isinstance(t, Objective)]
    constraints = [t for t in terms if isinstance(t, NormalConstraint)]
    others = [type(t).__name__ for t in terms if not isinstance(t, Objective | NormalConstraint | Constant)]
    if others:
        raise InputError(f"{others} cannot join the fit: give likelihoods of bmem and iminuit's NormalConstraint")
    return Joint(objectives, constraints)


def agree(constraints: Sequence[NormalConstraint], parameters: tuple[Parameter, ...]) -> None:
    """Make sure that some point in the range of the ``parameters`` is compatible with all ``constraints``.

    Raises:
        InputError: there is none (``CONTRADICTION``), or a constraint is of no parameter or has no finite value and error.
    """
    if constraints:
        _check_agreement([GaussianTerm(c, parameters) for c in constraints], parameters)


def _union(objectives: Sequence[Objective]) -> tuple[Parameter, ...]:
    if not objectives:
        raise InputError("constraints alone are no likelihood: add them to one")
    found: dict[str, Parameter] = {}
    for p in (p for o in objectives for p in o.parameters):
        if found.setdefault(p.name, p) != p:
            raise InputError(f"two likelihoods give {p.name!r} different ranges: {found[p.name]} and {p}; use the same")
    return tuple(found.values())


def _check_agreement(constraints: Sequence[GaussianTerm], parameters: tuple[Parameter, ...]) -> None:
    """Refuse constraints whose least χ² within the range of the parameters has a p-value below ``CONTRADICTION``."""
    names = [p.name for p in parameters]
    turn: dict[int, float] = {}
    rows, targets, used = [], [], set()
    for c in constraints:
        index = [names.index(p.name) for p in c.parameters]
        # angles on the turn of the first constraint that names them
        near = np.array([turn.setdefault(j, float(x)) for j, x in zip(index, c.centre, strict=True)])
        root = np.linalg.cholesky(c.inverse).T
        rows.append(root @ np.eye(len(names))[index])
        targets.append(root @ (near + difference(c.centre, near, c.parameters)))
        used.update(index)
    low = [p.bounds[0] if p.period is None else -np.inf for p in parameters]
    high = [p.bounds[1] if p.period is None else np.inf for p in parameters]
    kept, target = sorted(used), np.concatenate(targets)
    least = 2 * lsq_linear(np.concatenate(rows)[:, kept], target, (np.array(low)[kept], np.array(high)[kept])).cost
    if chi2.sf(least, len(target)) < CONTRADICTION:
        what = ", ".join(f"{[p.name for p in c.parameters]} = {c.centre.tolist()}" for c in constraints)
        ranges = ", ".join(f"{p.name} in [{p.bounds[0]:g}, {p.bounds[1]:g}]" for p in parameters)
        raise InputError(
            f"the constraints contradict each other or the range: no point is nearer than χ² = {least:.3g} for {what} "
            f"with {ranges}; correct them or widen the range"
        )
