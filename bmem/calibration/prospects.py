"""What measurements are expected to tell, from a bank: precision along the truth, and the regions that remain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bmem.calibration.bank import Bank
from bmem.calibration.neyman import Belt
from bmem.calibration.power import Expectation, Power, power_at
from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.inference.intervals import IntervalSet
from bmem.inference.rate import RateFactor
from bmem.process.contract import Parameter

LEVEL = 0.683
RESERVE = 10.0
"""The bank must be worth so many times the events of a sample that is to be expected from it."""
_TIMES = 2.0 ** np.arange(-3, 9)
"""Numbers of events for the lengths of the regions, in units of those of the fit."""
_FEWEST = 5
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prospects(JsonRecord):
    """What measurements are expected to tell: the ``power`` along the truth, and expected regions of ``level``.

    ``regions`` by their label, one for each of the ``truths``; total ``lengths`` [T, E] of those at ``length_truths`` [T]
    for numbers of ``events`` [E], NaN where the bank is too small to tell.
    """

    power: Power
    level: float
    truths: Array
    regions: Mapping[str, tuple[IntervalSet, ...]]
    length_truths: Array
    events: Array
    lengths: Array


def prospects_of(
    bank: Bank,
    events: int,
    belt: Belt | None = None,
    progress: Progress | None = None,
    *,
    factor: RateFactor | None = None,
) -> Prospects:
    """Expected precision and regions of measurements of ``events`` events; by the ``belt``, too, if there is one.

    ``factor`` is that of the number of events, see ``Channel.rate``.

    Raises:
        InputError: the bank is of several parameters.
        RangeError: it is worth too few events even for the precision.
    """
    truths = _Truths.of(bank.basis.parameters[0])
    found = power_at(bank, truths.power, factor=factor)
    numbers = np.unique(np.round(_TIMES * events)).astype(np.int64)
    numbers = numbers[numbers >= _FEWEST]
    steps = len(truths.regions) + len(truths.lengths)
    regions: dict[str, list[IntervalSet]] = {}
    for done, truth in enumerate(truths.regions, 1):
        for label, region in _regions(Expectation.of(bank, truth), events, belt):
            regions.setdefault(label, []).append(region)
        if progress is not None:
            progress(done, steps)
    lengths = []
    for done, truth in enumerate(truths.lengths, len(truths.regions) + 1):
        lengths.append(_lengths(Expectation.of(bank, truth), numbers))
        if progress is not None:
            progress(done, steps)
    whole = {label: tuple(sets) for label, sets in regions.items() if len(sets) == len(truths.regions)}
    return Prospects(found, LEVEL, truths.regions, whole, truths.lengths, numbers.astype(np.float64), np.array(lengths))


@dataclass(frozen=True)
class _Truths:
    """Truths of the ``power``, of the expected ``regions`` and of their ``lengths``."""

    power: Array
    regions: Array
    lengths: Array

    @classmethod
    def of(cls, parameter: Parameter) -> _Truths:
        """Of an angle the power from zero to the half turn (the other half is its mirror image), else the whole range."""
        low, high = parameter.bounds
        start, end = (low, high) if parameter.period is None else (0.0, parameter.period / 2)
        lengths = np.linspace(start, end, 5)
        return cls(np.linspace(start, end, 25), np.linspace(low, high, 13), lengths[:-1])


def _regions(expectation: Expectation, events: int, belt: Belt | None) -> list[tuple[str, IntervalSet]]:
    """The expected regions for which the bank does, by label, the widest first."""
    named = f"{events} events"
    wanted: list[tuple[str, int, Belt | None]] = [] if belt is None else [(f"{named}, Feldman-Cousins", events, belt)]
    wanted += [(named, events, None), (f"{4 * events} events", 4 * events, None)]
    return [(label, expectation.interval(n, LEVEL, by)) for label, n, by in wanted if _does(expectation, n)]


def _lengths(expectation: Expectation, numbers: IntArray) -> list[float]:
    return [expectation.interval(int(n), LEVEL).length if _does(expectation, n) else np.nan for n in numbers]


def _does(expectation: Expectation, events: float) -> bool:
    return RESERVE * events <= expectation.effective
