"""What the tables say, one row for each number, in printed units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bmem.measurement.estimate import Estimate
from bmem.measurement.record import Measurement

Results = Mapping[str, Measurement]
"""By the name of the sample."""
PROFILE, BELT, DENSEST = "profile likelihood", "Feldman-Cousins", "highest posterior density"


@dataclass(frozen=True)
class Region:
    """The pieces of an interval of a ``sample``'s parameter by a ``method`` at a ``level``, in printed units."""

    sample: str
    estimate: Estimate
    method: str
    level: float
    pieces: tuple[tuple[float, float], ...]


def estimates(results: Results) -> Iterator[tuple[str, Measurement, Estimate]]:
    """Every parameter of every sample."""
    for name, found in results.items():
        for estimate in found.estimates:
            yield name, found, estimate


def sources(results: Results) -> list[str]:
    """The sources of error that any of the estimates has, in the order of the budget."""
    return list(dict.fromkeys(source for _, _, estimate in estimates(results) for source in estimate.sources))


def regions(results: Results) -> Iterator[Region]:
    """Profile intervals of all parameters; those by belt and posterior are of the first."""
    for name, found in results.items():
        methods = [(estimate, PROFILE, estimate.intervals) for estimate in found.estimates]
        if found.belt is not None:
            methods.append((found.estimate, BELT, found.belt.intervals))
        if found.posterior is not None:
            methods.append((found.estimate, DENSEST, found.posterior.intervals))
        for estimate, method, sets in methods:
            for one in sets:
                pieces = tuple((float(a), float(b)) for a, b in estimate.quantity.printed(one.intervals).reshape(-1, 2))
                yield Region(name, estimate, method, one.level, pieces)
