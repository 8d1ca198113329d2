"""Maximum likelihood by iminuit, with every local minimum found.

A likelihood can be nearly even in an angle θ, with a second minimum near -θ: ``FitResult.minima`` holds them all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from iminuit import Minuit
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from bmem.errors import FitError, InputError
from bmem.inference.objective import Objective, axes, scan_grid
from bmem.process.contract import Parameter

Array = NDArray[np.float64]

_MAX_STARTS = 20
_TOLERANCE = 1e-3
"""Migrad's tolerance: an expected distance to the minimum of 2e-6 in -2 log L, 0.14 % of a standard deviation."""
_LOWEST_STARTS = 2
_ROUNDING = 1e-12
_SAME = 1 / 360
"""Minima closer than this, in units of a parameter's range (a step of the scan), are one."""


@dataclass(frozen=True)
class Minimum:
    """A local minimum of -2 log L.

    ``theta`` [P]; ``value`` of -2 log L and its ``delta`` above the global minimum; ``error`` [P] from the exact second
    derivatives (NaN where these are not positive definite, as where the likelihood is flat); ``valid`` as
    judged by Migrad; ``at_boundary`` if a parameter without period sits at one of its bounds.
    """

    theta: tuple[float, ...]
    value: float
    delta: float
    error: tuple[float, ...]
    valid: bool
    at_boundary: bool


@dataclass(frozen=True)
class FitResult:
    """All ``minima`` of a likelihood, lowest first; ``n_events`` went in, those in ``excluded`` were left out of them.

    Of an average over replicas they are the minima of its ``estimator``; ``lowest`` is then the lowest value of the average
    itself, from which its intervals are counted.
    """

    parameters: tuple[Parameter, ...]
    minima: tuple[Minimum, ...]
    n_events: int
    excluded: tuple[int, ...] = ()
    lowest: float | None = None

    @property
    def floor(self) -> float:
        """The lowest value of the objective that was fitted."""
        return self.best.value if self.lowest is None else self.lowest

    @property
    def best(self) -> Minimum:
        """The global minimum."""
        return self.minima[0]

    @property
    def theta(self) -> Array:
        """θ̂ [P]."""
        return np.array(self.best.theta)

    @property
    def error(self) -> Array:
        """Curvature error of θ̂ [P]; NaN where it does not exist."""
        return np.array(self.best.error)

    @property
    def valid(self) -> bool:
        """Whether the global minimum converged, away from boundaries, with a curvature error."""
        return self.best.valid and not self.best.at_boundary and bool(np.isfinite(self.error).all())

    def nearest(self, theta: ArrayLike) -> Minimum:
        """The minimum nearest to ``theta`` [P], around the period where there is one, in units of the ranges."""
        return min(self.minima, key=lambda m: distance(np.array(m.theta), np.asarray(theta), self.parameters))

    def absolute(self, index: int = 0) -> float:
        """|θ̂| of parameter ``index``, wrapped into half a period about zero: where the events cannot tell its sign."""
        period = self.parameters[index].period
        value = self.best.theta[index]
        return abs(value if period is None else value - period * np.round(value / period))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes None."""
        content = asdict(self)
        for minimum in content["minima"]:
            minimum["error"] = [float(e) if np.isfinite(e) else None for e in minimum["error"]]
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> FitResult:
        """The inverse of ``to_dict``, also after JSON made lists of the tuples."""
        try:
            return cls(
                parameters=tuple(Parameter.from_dict(p) for p in content["parameters"]),
                minima=tuple(_minimum_from_dict(m) for m in content["minima"]),
                n_events=content["n_events"],
                excluded=tuple(content["excluded"]),
                lowest=content.get("lowest"),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"not the dictionary of a fit result: {error!r}") from error


def _minimum_from_dict(content: dict[str, Any]) -> Minimum:
    error = tuple(np.nan if e is None else e for e in content["error"])
    return Minimum(**{**content, "theta": tuple(content["theta"]), "error": error})


def fit(objective: Objective) -> FitResult:
    """Minimise the ``estimator`` of ``objective`` from every minimum of a scan over the whole range.

    Raises:
        InputError: not an objective but a plain sum of costs.
        FitError: no start leads to a finite minimum, or one of several parameters has no influence at all.
    """
    if not isinstance(objective, Objective):
        raise InputError(
            f"{type(objective).__name__} has no exact derivatives and ranges; bmem.inference.constraints.joint makes an "
            "objective of a sum of likelihoods and constraints"
        )
    estimator, minima = objective.estimator, list[Minimum]()
    for start in _starts(estimator):
        found = _refine(estimator, start)
        same = [m for m in minima if distance(np.array(found.theta), np.array(m.theta), objective.parameters) < _SAME]
        if np.isfinite(found.value) and not same:
            minima.append(found)
    if not minima:
        raise FitError("no minimum of -2 log L was found: the likelihood is not finite anywhere on the scan")
    minima.sort(key=lambda m: m.value)
    lowest = minima[0].value
    return FitResult(
        parameters=objective.parameters,
        minima=tuple(Minimum(**{**vars(m), "delta": m.value - lowest}) for m in minima),
        n_events=objective.n_events,
        excluded=tuple(int(e) for e in objective.excluded),
        lowest=None if estimator is objective else _lowest(objective),
    )


def _lowest(objective: Objective) -> float:
    return min(_refine(objective, start).value for start in _starts(objective)[:_LOWEST_STARTS])


def _starts(objective: Objective) -> Array:
    """Local minima of the scan, the lowest first, [S, P]; the lowest point alone where the scan is flat to rounding."""
    grid = scan_grid(objective.parameters)
    shape = tuple(len(axis) for axis in axes(objective.parameters))
    values = objective.value(grid).reshape(shape)
    _check_sensitive(values, objective.parameters)
    modes = ["nearest" if p.period is None else "wrap" for p in objective.parameters]
    rounding = _ROUNDING * max(1.0, float(np.abs(values).max()))
    lowest = (values <= minimum_filter(values, size=3, mode=modes)) & (
        values < maximum_filter(values, size=3, mode=modes) - rounding
    )
    index = np.flatnonzero(lowest) if lowest.any() else np.array([values.argmin()])
    return grid[index[np.argsort(values.ravel()[index], kind="stable")[:_MAX_STARTS]]]


def _check_sensitive(values: Array, parameters: tuple[Parameter, ...]) -> None:
    """Refuse a likelihood of several parameters that does not see one of them; one alone may be found to be flat."""
    if len(parameters) == 1 or not np.isfinite(values).all():
        return
    rounding = _ROUNDING * max(1.0, float(np.abs(values).max()))
    scanned = [(i, p.name) for i, p in enumerate(parameters) if not p.nuisance]
    unseen = [name for i, name in scanned if len(scanned) > 1 and np.ptp(values, axis=i).max() <= 100 * rounding]
    if unseen:
        raise FitError(
            f"-2 log L does not depend on {unseen}: fix them, or add what sees them (the luminosity for a rate, or an "
            "external constraint)"
        )


def _refine(objective: Objective, start: Array) -> Minimum:
    """Migrad from ``start`` and the exact curvature where it ends."""
    minuit = Minuit(objective, *start)
    minuit.strategy = 0
    minuit.tol = _TOLERANCE
    minuit.errors = [0.02 * (p.bounds[1] - p.bounds[0]) for p in objective.parameters]
    minuit.migrad()
    theta = wrap(np.array(minuit.values), objective.parameters)
    return Minimum(
        theta=tuple(float(t) for t in theta),
        value=float(objective.value(theta)),
        delta=0.0,
        error=tuple(float(e) for e in curvature_errors(objective.curvature(theta))),
        valid=bool(minuit.valid),
        at_boundary=_at_boundary(theta, objective.parameters),
    )


def curvature_errors(curvature: Array) -> Array:
    """Standard deviations [P] from the second derivatives [P, P] of -2 log L; NaN unless these are positive definite."""
    eigenvalues, vectors = np.linalg.eigh(curvature)
    if not eigenvalues[0] > 0:
        return np.full(len(curvature), np.nan)
    return np.sqrt(2 * (vectors**2 / eigenvalues).sum(-1))


def wrap(theta: Array, parameters: tuple[Parameter, ...]) -> Array:
    """``theta`` [..., P] with every angle brought into one period from its lower bound on."""
    wrapped = np.array(theta, dtype=np.float64)
    for i, p in enumerate(parameters):
        if p.period is not None:
            wrapped[..., i] = p.bounds[0] + np.mod(wrapped[..., i] - p.bounds[0], p.period)
    return wrapped


def difference(a: Array, b: Array, parameters: tuple[Parameter, ...]) -> Array:
    """a - b [..., P], the short way round for every angle."""
    delta = np.array(a - b, dtype=np.float64)
    for i, p in enumerate(parameters):
        if p.period is not None:
            delta[..., i] -= p.period * np.round(delta[..., i] / p.period)
    return delta


def distance(a: Array, b: Array, parameters: tuple[Parameter, ...]) -> float:
    """The largest component of ``difference`` in units of its parameter's range."""
    ranges = np.array([p.bounds[1] - p.bounds[0] for p in parameters])
    return float(np.abs(difference(a, b, parameters) / ranges).max())


def _at_boundary(theta: Array, parameters: tuple[Parameter, ...]) -> bool:
    return any(
        p.period is None and min(t - p.bounds[0], p.bounds[1] - t) < 1e-4 * (p.bounds[1] - p.bounds[0])
        for t, p in zip(theta, parameters, strict=True)
    )
