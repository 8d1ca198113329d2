"""Which events drive the estimate: what each one does to θ̂ and to the likelihood ratio of two hypotheses.

Leaving out event n moves the minimum of -2 log L by one Newton step of the likelihood without it, from the score and the
curvature at θ̂ alone (Cook and Weisberg, Residuals and Influence in Regression, 1982): no refit is needed to rank a sample.
``left_out`` is the refit, for the few events of interest. An estimate that hangs on an event which was integrated badly, or
which lies outside of what the networks have seen, is worth a look at that event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from numpy.typing import ArrayLike, NDArray

from bmem.errors import InputError
from bmem.inference.constraints import Joint
from bmem.inference.minima import FitResult, curvature_errors, fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, Objective
from bmem.integration.diagnostics import Flag
from bmem.process.contract import Parameter

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

OUTSIDE = "outside the training range"


@dataclass(frozen=True)
class Driver:
    """One influential event: its index in the sample, what its absence does to θ̂, and what is doubtful about it.

    ``shift`` [P] of θ̂ when the event is left out; ``relative`` the largest of its components in units of the curvature
    error; ``doubts`` in words, empty for a clean event.
    """

    event: int
    shift: tuple[float, ...]
    relative: float
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class Influence:
    """Influence of the N events that entered a fit.

    ``theta`` [P] the minimum and its curvature ``error`` [P]; ``events`` [N] the indices in the sample; ``shift`` [N, P] of
    the minimum when the event is left out, to first order (NaN where the likelihood without the event has no positive
    curvature there); ``doubts`` masks [N] by name.
    """

    parameters: tuple[Parameter, ...]
    theta: Array
    error: Array
    events: NDArray[np.int64]
    shift: Array
    doubts: Mapping[str, BoolArray] = field(default_factory=dict)

    @property
    def relative(self) -> Array:
        """The largest component of the shift in units of the error [N]; an event without a shift counts as infinite."""
        return np.nan_to_num(np.abs(self.shift / self.error).max(axis=1), nan=np.inf)

    @property
    def doubtful(self) -> BoolArray:
        """Events [N] with any doubt."""
        return np.any([np.zeros(len(self.events), bool), *self.doubts.values()], axis=0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes None."""
        numbers = {name: _listed(getattr(self, name)) for name in ("theta", "error", "shift")}
        doubts = {name: mask.tolist() for name, mask in self.doubts.items()}
        parameters = [asdict(parameter) for parameter in self.parameters]
        return {**numbers, "parameters": parameters, "events": self.events.tolist(), "doubts": doubts}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Influence:
        """The inverse of ``to_dict``."""
        try:
            return cls(
                parameters=tuple(Parameter.from_dict(p) for p in content["parameters"]),
                events=np.array(content["events"], np.int64),
                doubts={name: np.array(mask, bool) for name, mask in content["doubts"].items()},
                **{name: np.array(content[name], np.float64) for name in ("theta", "error", "shift")},
            )
        except (KeyError, TypeError) as problem:
            raise InputError(f"not the dictionary of an influence: {problem!r}") from problem

    def drivers(self, count: int = 10) -> tuple[Driver, ...]:
        """The ``count`` most influential events, the first one most."""
        order = np.argsort(-self.relative, kind="stable")[:count]
        return tuple(self._driver(int(row)) for row in order)

    def _driver(self, row: int) -> Driver:
        return Driver(
            event=int(self.events[row]),
            shift=tuple(float(s) for s in self.shift[row]),
            relative=float(self.relative[row]),
            doubts=tuple(name for name, mask in self.doubts.items() if mask[row]),
        )


def _listed(values: Array) -> list[Any]:
    return np.where(np.isfinite(values), values, None).tolist()  # type: ignore[call-overload]


def influence(
    objective: Objective,
    result: FitResult,
    diagnostics: Mapping[str, NDArray[Any]] | None = None,
    constraints: Sequence[NormalConstraint] = (),
) -> Influence:
    """The influence of every event of ``objective`` on its fit ``result``.

    Args:
        objective: the likelihood of events, in one replica or averaged over replicas, of which all have the same weight.
        result: its fit; the global minimum is followed.
        diagnostics: of the ``Coefficients`` of the same sample, for the doubts: ``flags`` of the integration, ``outside``.
        constraints: external measurements that the fit had beside the ``objective``; they stay when an event goes.

    Raises:
        InputError: not the likelihood of events, or diagnostics of another number of events.
    """
    replicas, theta = _replicas(objective), result.theta
    parts = [_contributions(replica, theta) for replica in replicas]
    _, gradients, curvatures = (np.mean(column, axis=0) for column in zip(*parts, strict=True))
    fitted = Joint([objective.estimator], constraints) if constraints else objective.estimator
    kept, curvature_of_all = _kept(objective), fitted.curvature(theta)
    return Influence(
        parameters=objective.parameters,
        theta=theta,
        error=curvature_errors(curvature_of_all),
        events=kept,
        shift=_newton(curvature_of_all - curvatures, fitted.gradient(theta) - gradients),
        doubts=_doubts(objective.n_events, kept, diagnostics or {}),
    )


def ratio_pulls(objective: Objective, first: ArrayLike, second: ArrayLike) -> Array:
    """What each event adds to -2 log L(first)/L(second) [N]: positive if it speaks for ``second`` [P].

    It is the ratio of the sample less that of the sample without the event, in the mean over replicas. Shape only, their sum
    is the ratio of the sample; a rate belongs to no event.

    Raises:
        InputError: not the likelihood of events.
    """
    replicas = _replicas(objective)
    sides = [[_contributions(r, np.asarray(theta, np.float64))[0] for r in replicas] for theta in (first, second)]
    return np.asarray(np.mean(sides[0], axis=0) - np.mean(sides[1], axis=0))


def left_out(objective: Objective, events: ArrayLike) -> FitResult:
    """The fit of the sample without ``events`` (indices in the sample): what ``Influence.shift`` approximates.

    Raises:
        InputError: not the likelihood of events, an index that the fit does not hold, or nothing is left.
    """
    gone = np.atleast_1d(np.asarray(events, np.int64))
    missing = np.setdiff1d(gone, _kept(objective))
    if missing.size:
        raise InputError(f"events {missing[:10].tolist()} are not among those of the fit; give indices of Influence.events")
    replicas = [_without(replica, gone) for replica in _replicas(objective)]
    return fit(replicas[0] if len(replicas) == 1 else MarginalLikelihood(replicas))


def _replicas(objective: Objective) -> tuple[NegativeTwoLogLikelihood, ...]:
    if isinstance(objective, MarginalLikelihood):
        return objective.replicas
    if isinstance(objective, NegativeTwoLogLikelihood):
        return (objective,)
    raise InputError(f"influence is of the events of a likelihood, not of {type(objective).__name__}")


def _kept(objective: Objective) -> NDArray[np.int64]:
    return np.delete(np.arange(objective.n_events), objective.excluded)


def _contributions(replica: NegativeTwoLogLikelihood, theta: Array) -> tuple[Array, Array, Array]:
    """-2 log of each event's factor in L, [N], with its derivatives [N, P] and [N, P, P]."""
    b, db, ddb = replica.basis.value(theta), replica.basis.gradient(theta), replica.basis.hessian(theta)
    value, slope, bend = _log_derivatives(replica.integrals, b, db, ddb)
    if replica.luminosity is None:
        rate = _log_derivatives(replica.fiducial[None], b, db, ddb)
        value, slope, bend = value - rate[0], slope - rate[1], bend - rate[2]
    return -2 * value, -2 * slope, -2 * bend


def _log_derivatives(rows: Array, b: Array, db: Array, ddb: Array) -> tuple[Array, Array, Array]:
    """log Σ_k b_k rows_k for rows [N, K], with its first and second derivatives [N, P] and [N, P, P]."""
    density = rows @ b
    slope = rows @ db.T / density[:, None]
    bend = np.einsum("pqk,nk->npq", ddb, rows) / density[:, None, None] - slope[:, :, None] * slope[:, None, :]
    return np.log(density), slope, bend


def _newton(curvature: Array, gradient: Array) -> Array:
    """-curvature⁻¹ gradient [N, P]; NaN where the curvature [N, P, P] is not positive definite."""
    shift = np.full(gradient.shape, np.nan)
    usable = np.linalg.eigvalsh(curvature)[:, 0] > 0
    shift[usable] = -np.linalg.solve(curvature[usable], gradient[usable][..., None])[..., 0]
    return shift


def _without(replica: NegativeTwoLogLikelihood, gone: NDArray[np.int64]) -> NegativeTwoLogLikelihood:
    every = np.full((replica.n_events, replica.integrals.shape[1]), np.nan)
    every[_kept(replica)] = replica.integrals
    excluded = np.isin(np.arange(replica.n_events), replica.excluded)
    left = np.delete(every, gone, axis=0), np.delete(excluded, gone)
    return NegativeTwoLogLikelihood(left[0], replica.fiducial, replica.basis, replica.luminosity, left[1])


def _doubts(events: int, kept: NDArray[np.int64], diagnostics: Mapping[str, NDArray[Any]]) -> dict[str, BoolArray]:
    """What ``diagnostics`` say against the events ``kept``, by name; only doubts that some event has."""
    masks: dict[str, NDArray[Any]] = {}
    if "outside" in diagnostics:
        masks[OUTSIDE] = np.asarray(diagnostics["outside"], bool)
    if "flags" in diagnostics:
        masks |= {_words(flag): (diagnostics["flags"] & flag) > 0 for flag in Flag}
    for name, mask in masks.items():
        if len(mask) != events:
            raise InputError(f"influence: {name!r} is known of {len(mask)} events, the sample has {events}; give its own")
    return {name: mask[kept] for name, mask in masks.items() if mask[kept].any()}


def _words(flag: Flag) -> str:
    return str(flag.name).lower().replace("_", " ")
