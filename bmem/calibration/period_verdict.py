"""All truths of a calibration over the period together: coverage with its errors, and a verdict on every method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import stats

from bmem.calibration.coverage import FALSE_ALARM, AtTruths, clopper_pearson, error_of_halves
from bmem.calibration.period import PeriodPoint
from bmem.calibration.record import Array
from bmem.calibration.toy_intervals import METHODS
from bmem.errors import ArtifactError

TARGETS = {0.683: 0.03, 0.954: 0.02}
"""How far the coverage of an interval may lie from its level and still be called correct."""


@dataclass(frozen=True)
class Verdict:
    """On one ``method``: ``lowest`` and ``highest`` deviation of its coverage from each level of ``TARGETS`` [2].

    ``within``: all of them lie within the targets. ``undercovers`` and ``overcovers``: the (truth, level) where the
    deviation is significant; a perfect method is blamed at all with a chance of at most ``false_alarm``.
    """

    method: str
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    within: bool
    undercovers: tuple[tuple[float, float], ...]
    overcovers: tuple[tuple[float, float], ...]
    false_alarm: float

    def __str__(self) -> str:
        ranges = (
            f"{100 * level:.1f} % covers {100 * (level + low):.1f} to {100 * (level + high):.1f} %"
            for level, low, high in zip(TARGETS, self.lowest, self.highest, strict=True)
        )
        word = "within the targets" if self.within else "outside the targets"
        return f"{self.method}: {', '.join(ranges)}: {word}"


@dataclass(frozen=True)
class PeriodCalibration(AtTruths):
    """The ``points`` of A truths with the same levels."""

    points: tuple[PeriodPoint, ...]

    def level(self, nominal: float) -> int:
        """The index of a level."""
        return int(np.abs(self.levels - nominal).argmin())

    def coverage(self, method: str, magnitude: bool = False) -> Array:
        """Fraction of the intervals that hold the truth (or |θ|, if ``magnitude``), [A, L]."""
        return self._halves(method, magnitude).mean(axis=1)

    def common_error(self, method: str, magnitude: bool = False) -> Array:
        """What the finite bank does to the coverage of all toys of a truth, [L]: half the rms difference of the halves."""
        return error_of_halves(self._halves(method, magnitude))

    def coverage_error(self, method: str, magnitude: bool = False) -> Array:
        """Lower and upper errors [2, A, L]: Clopper-Pearson (68.3 %) of the toys, but at least that of the common events."""
        fraction = self.coverage(method, magnitude)
        toys = np.array([point.toys for point in self.points])[:, None]
        lower, upper = clopper_pearson(np.round(fraction * toys), toys)
        return np.maximum(np.stack([fraction - lower, upper - fraction]), self.common_error(method, magnitude))

    def verdict(self, method: str, magnitude: bool = False, false_alarm: float = FALSE_ALARM) -> Verdict:
        """Judge ``method`` at the levels of ``TARGETS``."""
        columns = [self.level(level) for level in TARGETS]
        nominal, tolerance = np.array(list(TARGETS)), np.array(list(TARGETS.values()))
        deviation = self.coverage(method, magnitude)[:, columns] - nominal
        toys = np.array([point.toys for point in self.points])[:, None]
        error = np.maximum(np.sqrt(nominal * (1 - nominal) / toys), self.common_error(method, magnitude)[columns])
        limit = stats.norm.isf(false_alarm / 2 / deviation.size)

        def where(mask: Any) -> tuple[tuple[float, float], ...]:
            return tuple((float(self.truths[a]), float(nominal[i])) for a, i in zip(*np.nonzero(mask), strict=True))

        return Verdict(
            method=method,
            lowest=tuple(deviation.min(axis=0).tolist()),
            highest=tuple(deviation.max(axis=0).tolist()),
            within=bool((np.abs(deviation) <= tolerance).all()),
            undercovers=where(deviation < -limit * error),
            overcovers=where(deviation > limit * error),
            false_alarm=false_alarm,
        )

    def bias(self) -> tuple[Array, Array]:
        """Mean of θ̂ - θ (away from zero) and its error, [A]."""
        return self._mean("bias"), np.array([point.bias_error() for point in self.points])

    def excess_bias(self) -> tuple[Array, Array]:
        """The bias less that of the yardstick on the same toys, and its error [A]: most of the fluctuation cancels."""
        error = np.array([point.excess_error() for point in self.points])
        return self._mean("bias") - self._mean("known_bias"), error

    def spread(self, known: bool = False) -> Array:
        """Standard deviation of θ̂ [A], or of that with x_hard known."""
        return self._mean("known_spread" if known else "spread")

    def length(self, method: str) -> Array:
        """Mean total length of the intervals [A, L]."""
        return np.array([p.length[:, METHODS.index(method)].mean(axis=0) for p in self.points])

    def _mean(self, name: str) -> Array:
        return np.array([getattr(point, name).mean() for point in self.points])

    def _halves(self, method: str, magnitude: bool) -> Array:
        """[A, H, L]."""
        name = "covered_magnitude" if magnitude else "covered"
        return np.array([getattr(point, name)[:, METHODS.index(method)] for point in self.points])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"points": [point.to_dict() for point in self.points]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: keys are missing or unknown.
        """
        if set(content) != {"points"} or not content["points"]:
            raise ArtifactError("not a stored PeriodCalibration: it has no points; compute it again")
        return cls(tuple(PeriodPoint.from_dict(point) for point in content["points"]))
