"""What nuisance parameters do to an estimate: pulls, constraints and impacts, the "ranking" of a measurement.

The impact of ν_j is the shift of the estimate when ν_j is held one standard deviation from its best value and all else is
fitted again: the standard deviation before the events were seen (that of its constraint), and after it (that of the fit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from numpy.typing import NDArray

from bmem.inference.minima import Minimum, curvature_errors, difference
from bmem.inference.newton import conditional_minimum, nuisance_indices
from bmem.inference.objective import Objective
from bmem.process.contract import Parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Impact:
    """What the nuisance ``parameter`` does to the first parameter; all numbers stored.

    ``value`` and ``error`` are of the fit, ``external`` is (value, error) of its constraint. ``before`` and ``after`` are
    the shifts (down, up) of the estimate with ν held an external, and a fitted, error below and above its value.
    """

    parameter: Parameter
    value: float
    error: float
    external: tuple[float, float]
    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def pull(self) -> float:
        """Distance of the fitted value from that of the constraint, in units of the error of the constraint."""
        return (self.value - self.external[0]) / self.external[1]

    @property
    def constraint(self) -> float:
        """The fitted error over the external one: below 1 the events themselves tell something of it."""
        return self.error / self.external[1]

    @property
    def size(self) -> float:
        """The larger of the two shifts after the fit."""
        return max(map(abs, self.after))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes None."""
        numbers = {name: value for name, value in vars(self).items() if name != "parameter"}
        return {"parameter": asdict(self.parameter)} | {name: _finite(value) for name, value in numbers.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(one) for one in value]
    return value if np.isfinite(value) else None


def impacts(total: Objective, best: Minimum, constraints: Sequence[NormalConstraint]) -> tuple[Impact, ...]:
    """The impacts of all nuisance parameters of ``total`` on its first parameter, the largest first.

    Args:
        total: what was fitted, constraints included; of an average over replicas its ``estimator``.
        best: its minimum.
        constraints: among them one for each nuisance parameter.
    """
    known = {name: _known(c) for c in constraints for name in c._parameters}
    errors = curvature_errors(total.curvature(np.array(best.theta)))
    found = [
        _impact(total, np.array(best.theta), j, float(errors[j]), known[total.parameters[j].name])
        for j in nuisance_indices(total.parameters)
    ]
    return tuple(sorted(found, key=lambda impact: -impact.size))


def _known(constraint: NormalConstraint) -> tuple[float, float]:
    """Value and error."""
    return float(constraint.value[0]), float(np.sqrt(constraint.covariance.ravel()[0]))


def without_nuisances(total: Objective, best: Minimum) -> Array:
    """Curvature errors [P] with the nuisance parameters held at their best values (0 for these)."""
    kept = [i for i in range(len(total.parameters)) if not total.parameters[i].nuisance]
    result = np.zeros(len(total.parameters))
    result[kept] = curvature_errors(total.curvature(np.array(best.theta))[np.ix_(kept, kept)])
    return result


def _impact(total: Objective, theta: Array, j: int, error: float, external: tuple[float, float]) -> Impact:
    return Impact(
        parameter=total.parameters[j],
        value=float(theta[j]),
        error=error,
        external=external,
        before=(_shift(total, theta, j, -external[1]), _shift(total, theta, j, external[1])),
        after=(_shift(total, theta, j, -error), _shift(total, theta, j, error)),
    )


def _shift(total: Objective, theta: Array, j: int, step: float) -> float:
    """Of the first parameter, where ν_j is held a ``step`` away and all others are fitted, from their best values on."""
    if not np.isfinite(step):
        return float("nan")
    there = theta.copy()
    there[j] += step
    free = [i for i in range(len(theta)) if i != j]
    moved = conditional_minimum(total, there, free)
    return float(difference(moved, theta, total.parameters)[0])
