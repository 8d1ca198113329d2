"""Do observed events look like simulated ones? A two-sample test in all observables at once, with no density of any network.

The energy distance (Szekely and Rizzo, J. Stat. Plan. Inference 143 (2013) 1249) of the data from simulated events at the
fitted parameters,

    2 E|X - Y| - E|X - X'| - E|Y - Y'|,

is zero if and only if both have the same distribution. Its p-value comes from samples of as many simulated events, of other
ones than those that data and samples are compared with. As the parameters were fitted to the data, these are nearer than a
sample usually is: the test is a little conservative. A goodness of fit by the likelihood sees only what the density knows;
this one sees every observable that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist, pdist

from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.errors import InputError, RangeError

_ROWS = 2000
"""Events whose distances are held at once."""


@dataclass(frozen=True)
class TwoSampleSettings:
    """``toys`` that make a p-value, and events of the ``reference`` that all are compared with.

    The simulated events must be worth ``reserve`` times the observed ones.
    """

    toys: int = 1000
    reference: int = 2000
    reserve: float = 10.0

    def __post_init__(self) -> None:
        if self.toys < 20 or self.reference < 20 or self.reserve < 0:
            raise InputError("two-sample test: at least 20 toys, 20 events of reference and a reserve >= 0 are needed")


@dataclass(frozen=True)
class TwoSampleTest(JsonRecord):
    """The ``distance`` of ``events`` observed events from simulated ones, in robust deviations, and of ``toys`` [T]."""

    events: int
    distance: float
    toys: Array

    @property
    def p_value(self) -> float:
        """How often simulated events are at least as far off; at least 1/(T + 1)."""
        return float((1 + (self.toys >= self.distance).sum()) / (1 + len(self.toys)))

    @property
    def p_error(self) -> float:
        """Monte Carlo error of ``p_value``."""
        p = self.p_value
        return float(np.sqrt(p * (1 - p) / len(self.toys)))


def two_sample_test(
    observed: Array,
    simulated: Array,
    weights: Array,
    rng: np.random.Generator,
    settings: TwoSampleSettings | None = None,
) -> TwoSampleTest:
    """Hold ``observed`` events [n, D] against ``simulated`` ones [N, D] with ``weights`` [N].

    The units of the observables do not matter.

    Raises:
        InputError: shapes do not fit, there is no event, or an observable is not finite.
        RangeError: the simulated events are worth too few.
    """
    settings = settings or TwoSampleSettings()
    _check(observed, simulated, weights, settings)
    low, middle, high = _quantiles(simulated, weights, (0.159, 0.5, 0.841))
    scale = np.where(high > low, (high - low) / 2, 1.0)
    x, y = (observed - middle) / scale, (simulated - middle) / scale
    order, n = rng.permutation(len(y)), len(x)
    first, second = order[: len(y) // 2], order[len(y) // 2 :]
    reference = y[_drawn(first, weights, settings.reference, rng)]
    own = pdist(reference).mean()
    near = _mean_distances(y[second], reference)
    rows = _drawn(np.arange(len(second)), weights[second], (settings.toys, n), rng)
    toys = [2 * near[row].mean() - _among(y[second[row]]) - own for row in rows]
    distance = 2 * _mean_distances(x, reference).mean() - _among(x) - own
    return TwoSampleTest(n, float(distance), np.array(toys))


def _check(observed: Array, simulated: Array, weights: Array, settings: TwoSampleSettings) -> None:
    if observed.ndim != 2 or not len(observed) or observed.shape[1:] != simulated.shape[1:]:
        raise InputError(
            f"two-sample test: {observed.shape} observed and {simulated.shape} simulated numbers; [events, observables] of "
            "the same observables are needed"
        )
    if weights.shape != simulated.shape[:1] or not (weights >= 0).all():
        raise InputError(f"two-sample test: a weight >= 0 is needed for each of the {len(simulated)} simulated events")
    for what, values in (("observed", observed), ("simulated", simulated)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            raise InputError(f"two-sample test: {bad.size} {what} events have no number for an observable: event {bad[0]}")
    effective, needed = weights.sum() ** 2 / np.square(weights).sum(), settings.reserve * len(observed)
    if effective < needed:
        raise RangeError(
            f"the simulated events are worth {effective:.0f} at the fitted parameters, {needed:.0f} are needed; give a "
            "larger bank, or measure fewer events"
        )


def _quantiles(values: Array, weights: Array, levels: tuple[float, ...]) -> Array:
    """Weighted quantiles of every column, [levels, D]."""
    order = np.argsort(values, axis=0)
    below = weights[order].cumsum(axis=0) / weights.sum()
    columns = range(values.shape[1])
    return np.array([[values[order[np.searchsorted(below[:, d], level), d], d] for d in columns] for level in levels])


def _drawn(rows: IntArray, weights: Array, shape: int | tuple[int, ...], rng: np.random.Generator) -> IntArray:
    """Some of the ``rows`` in proportion to the weights of each."""
    edges = weights[rows].cumsum()
    return rows[np.searchsorted(edges / edges[-1], rng.random(shape), side="right")]


def _mean_distances(x: Array, reference: Array) -> Array:
    """From each event [n, D] to those of the reference, [n]."""
    parts = np.array_split(x, -(-len(x) // _ROWS))
    return np.concatenate([cdist(part, reference).mean(axis=1) for part in parts])


def _among(x: Array) -> float:
    """Mean distance of two events of one sample, an event from itself included."""
    return float(2 * pdist(x).sum() / len(x) ** 2)
