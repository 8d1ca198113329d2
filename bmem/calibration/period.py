"""Calibration over the whole range of a parameter: bias, spread and the coverage of every interval, from toys of a bank.

The bank is cut into two halves without a common event. Toys of each half are measured with the belt of the other one, so
that belt and toys share no fluctuation. Toys of one half share events: their common fluctuation does not average out over
them, and is measured by the difference of the halves. Half of the toys of a truth θ of an angle are made at -θ; estimates
are folded onto the sign of the truth, and intervals are asked both whether they hold the truth and whether their image on
|θ| holds |θ|. A parameter without a period has no mirror image: its truths have their signs, and nothing is folded.

The yardstick is the fit of the same toys with x_hard known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bmem.calibration.bank import Bank
from bmem.calibration.mirror import fold, own_mirror
from bmem.calibration.neyman import Belt
from bmem.calibration.pulls import short_way
from bmem.calibration.record import Array, JsonRecord
from bmem.calibration.toy_intervals import held, lengths
from bmem.calibration.toys import AS_INTEGRATED, Minima, Toys, ToyScan, Treatment
from bmem.errors import InputError
from bmem.rng import numpy_generator

LEVELS = (0.05, *(round(0.1 * i, 1) for i in range(1, 7)), 0.683, 0.8, 0.9, 0.954, 0.99)
_RESERVE = 2.0
"""Times the events of a toy that a half of the bank must be worth."""


@dataclass(frozen=True)
class PeriodSettings:
    """``toys`` of ``size`` events for each truth, scanned at ``grid`` points and analysed by a ``treatment``."""

    size: int = 100
    toys: int = 4000
    grid: int = 360
    treatment: Treatment = AS_INTEGRATED

    def __post_init__(self) -> None:
        if self.size < 1 or self.toys < 40 or self.grid < 8:
            raise InputError("calibration over the period: at least 1 event, 40 toys and a grid of 8 are needed")


@dataclass(frozen=True)
class PeriodPoint(JsonRecord):
    """What the H = 2 halves of a bank say of one ``truth`` (>= 0 of an angle), with ``toys`` of ``events`` events in all.

    Arrays [H]: ``effective`` events that a half is worth; ``bias`` and ``spread`` of the estimates; mean and width of the
    pulls, and the share of toys ``unusable`` for them; the share with the ``right_sign`` (NaN where there is none); bias and
    spread with x_hard ``known``, and the spread of the ``difference`` of the two estimates of a toy. For the M intervals of
    ``toy_intervals.METHODS`` at the ``levels`` [L]: ``covered`` and ``covered_magnitude`` [H, M, L], the fractions that
    hold the truth, and whose image on |θ| holds its magnitude; ``length`` [H, M, L] their mean total lengths.
    """

    truth: float
    events: int
    toys: int
    levels: Array
    effective: Array
    bias: Array
    spread: Array
    pull_mean: Array
    pull_width: Array
    unusable: Array
    right_sign: Array
    known_bias: Array
    known_spread: Array
    difference: Array
    covered: Array
    covered_magnitude: Array
    length: Array

    def bias_error(self) -> float:
        """Standard error of the mean bias.

        The bank is balanced (see ``bmem.calibration.balance``): its events fluctuate together only as far as the estimates
        differ from those with x_hard known.
        """
        toys, common = np.mean(self.spread) ** 2 / self.toys, np.mean(self.difference) ** 2 * self._share
        return float(np.sqrt(toys + common))

    def excess_error(self) -> float:
        """Standard error of the mean bias less that of the yardstick on the same toys."""
        return float(np.mean(self.difference) * np.sqrt(1 / self.toys + self._share))

    @property
    def _share(self) -> float:
        """Events of a toy over effective events of the bank."""
        return float(self.events / self.effective.sum())


class PeriodScan:
    """The halves of a bank with their belts, ready to be asked about any truth.

    Raises:
        InputError: a belt is for another number of events, treatment or levels than those of the calibration.
    """

    def __init__(self, halves: Sequence[Bank], belts: Sequence[Belt], seed: int, settings: PeriodSettings) -> None:
        self.seed, self.settings = seed, settings
        self.levels = belts[0].levels
        for belt in belts:
            _check(belt, self.levels, settings)
        scans = [ToyScan(half, settings.grid, settings.treatment) for half in halves]
        known = [ToyScan(half.known(), settings.grid) for half in halves]
        self._halves = [_Half(*parts) for parts in zip(scans, known, list(belts)[::-1], strict=True)]
        self._parameter = halves[0].basis.parameters[0]

    def at(self, truth: float) -> PeriodPoint:
        """Calibrate ``truth`` and, of an angle, its opposite, unless it is its own mirror image.

        Raises:
            RangeError: a half of the bank is worth fewer than twice the events of a toy there.
        """
        period = self._parameter.period
        truth = float(truth) if period is None else abs(float(truth))
        truths = [truth, -truth] if _has_mirror(truth, period) else [truth]
        shape = (self.settings.toys // (2 * len(truths)), self.settings.size)
        measured = []
        for h, half in enumerate(self._halves):
            paths = [(self.seed, "period", repr(value), h) for value in truths]
            parts = [half.measure(value, path, shape) for value, path in zip(truths, paths, strict=True)]
            measured.append(_summary(parts))
        columns = {name: np.array([m[name] for m in measured], dtype=np.float64) for name in measured[0]}
        return PeriodPoint(
            truth=truth,
            events=shape[1],
            toys=2 * len(truths) * shape[0],
            levels=self.levels,
            effective=np.array([half.scan.bank.effective_events([truth]) for half in self._halves]),
            **columns,
        )


def _has_mirror(truth: float, period: float | None) -> bool:
    """Whether there is another truth, of the other sign, that is hard to tell from this one."""
    return period is not None and not own_mirror(truth, period)


def _check(belt: Belt, levels: Array, settings: PeriodSettings) -> None:
    wanted = (settings.size, settings.treatment.replicas, settings.treatment.resampled, levels.tolist())
    found = (belt.events, belt.replicas, belt.resampled, belt.levels.tolist())
    if found != wanted:
        raise InputError(
            f"calibration over the period: a belt is of (events, replicas, resampled, levels) = {found}, but {wanted} are "
            "needed; make the belts with the settings of the calibration"
        )


@dataclass(frozen=True)
class _Half:
    """A half of the bank, the same with x_hard known, and the belt of the other half."""

    scan: ToyScan
    known: ToyScan
    belt: Belt

    def measure(self, truth: float, path: tuple[int | str, ...], shape: tuple[int, int]) -> _Measured:
        """Toys of one signed truth; the same events are drawn for both scans."""
        mirror = [-truth] * (self.scan.bank.basis.parameters[0].period is not None)
        points, reserve, (seed, *names) = np.array([truth, *mirror]), _RESERVE * shape[1], path
        toys = self.scan.draw(truth, points, shape, numpy_generator(int(seed), *names), reserve)
        known = self.known.draw(truth, points, shape, numpy_generator(int(seed), *names), reserve)
        levels = self.belt.levels
        critical, along = ([self.belt.critical_value(x, level) for level in levels] for x in (points, toys.values))
        inside = held(toys, levels, np.array(critical))
        return _Measured(
            truth=truth,
            toys=toys,
            found=toys.estimates(),
            known=known.estimates(),
            covered=inside[..., 0].mean(axis=-1),
            covered_magnitude=inside.any(axis=-1).mean(axis=-1),
            length=lengths(toys, levels, np.array(along)),
        )


@dataclass(frozen=True)
class _Measured:
    """Toys of one signed truth, with their estimates and those with x_hard known."""

    truth: float
    toys: Toys
    found: Minima
    known: Minima
    covered: Array
    covered_magnitude: Array
    length: Array

    def shift(self, minima: Minima) -> Array:
        """θ̂ - θ [T]; of an angle with a mirror image away from zero, and folded onto the sign of the truth."""
        place, period = minima.place, self.toys.period
        if not _has_mirror(self.truth, period):
            return short_way(place - self.truth, period)
        return np.sign(self.truth) * (fold(place, self.truth, period) - self.truth)

    @property
    def right_sign(self) -> float:
        period = self.toys.period
        same = np.sign(short_way(self.found.place, period)) == np.sign(self.truth)
        return float(same.mean()) if _has_mirror(self.truth, period) else np.nan


def _summary(parts: list[_Measured]) -> dict[str, Any]:
    """The numbers of one half, by the names of the fields of ``PeriodPoint``."""
    shift, known = (np.concatenate([p.shift(m) for p, m in pairs]) for pairs in _estimates(parts))
    pulls = shift / np.concatenate([p.found.error for p in parts])
    usable = np.isfinite(pulls)
    return {
        "bias": shift.mean(),
        "spread": shift.std(ddof=1),
        "pull_mean": pulls[usable].mean(),
        "pull_width": pulls[usable].std(ddof=1),
        "unusable": 1 - usable.mean(),
        "right_sign": np.mean([p.right_sign for p in parts]),
        "known_bias": known.mean(),
        "known_spread": known.std(ddof=1),
        "difference": short_way(shift - known, parts[0].toys.period).std(ddof=1),
        "covered": np.mean([p.covered for p in parts], axis=0),
        "covered_magnitude": np.mean([p.covered_magnitude for p in parts], axis=0),
        "length": np.mean([p.length for p in parts], axis=0),
    }


def _estimates(parts: list[_Measured]) -> tuple[list[tuple[_Measured, Minima]], ...]:
    return [(p, p.found) for p in parts], [(p, p.known) for p in parts]
