"""A population: simulated events of a signal and its backgrounds, all analysed as data are, from which samples are drawn.

Where a bank knows events of one process and one parameter θ, a population knows everything that a sample may hold, and all
parameters of its likelihood: θ first, then what is fitted beside it (strengths of systematic effects, fractions or cross
sections of backgrounds) and what is known of it from elsewhere. Every process has events of its own; those with weights
stand for any value of the parameters that their basis has.

With several replicas of the networks the integrals and σ_k are averaged over them, event by event: a likelihood that is not
that of a measurement, but a sum over events, and the same for toys and data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bmem.calibration.compact import compacted
from bmem.calibration.composition import Composition
from bmem.calibration.known_elsewhere import KnownElsewhere
from bmem.calibration.record import Array, IntArray
from bmem.calibration.reweighted import Reweighted
from bmem.calibration.toy_fits import Valued
from bmem.errors import InputError, RangeError
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.objective import Basis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

Analysis = Callable[[Coefficients, Mapping[str, Array]], Hypothesis]
"""What is made of the signal's coefficients of some events and of the log-densities of the backgrounds, as of data."""
_BLOCK = 1000
"""Events analysed at once."""


@dataclass(frozen=True)
class SourceEvents:
    """Events of one process: the signal's coefficients and, by background, the log-densities [N] or [R, N] of all of them.

    ``weighted`` are the same events with their weights; None: they are a sample as they are.
    """

    coefficients: Coefficients
    log_densities: Mapping[str, Array]
    weighted: Reweighted | None = None


@dataclass(frozen=True)
class PopulationSource:
    """Where the events of one process are in a population, ``rows`` [M], and their weights."""

    rows: IntArray
    weighted: Reweighted | None

    def effective(self, theta: Array, parameters: Sequence[Parameter]) -> float:
        """Unweighted events that it is worth at the ``parameters`` θ [P]."""
        if self.weighted is None:
            return float(len(self.rows))
        return self.weighted.effective_events(_own(theta, parameters, self.weighted.basis))

    def draw(self, theta: Array, parameters: Sequence[Parameter], count: int, rng: np.random.Generator) -> IntArray:
        """``count`` rows of the population."""
        if self.weighted is None:
            return self.rows[rng.integers(len(self.rows), size=count)]
        return self.rows[self.weighted.draw(_own(theta, parameters, self.weighted.basis), (count,), rng)]

    def select(self, chosen: IntArray) -> PopulationSource:
        """Of the events at these places [M']."""
        return PopulationSource(self.rows[chosen], None if self.weighted is None else self.weighted.select(chosen))


@dataclass(frozen=True)
class Population:
    """N events of all ``sources``: ``integrals`` [N, K] and ``fiducial`` [K] of the whole mixture with its ``basis``.

    ``composition`` says how many events of each source a sample has. ``known`` is what is known of the parameters beside θ,
    and ``nominal`` [Q] are their values where nothing else is said. ``excluded`` events have no usable density.
    """

    basis: Basis
    integrals: Array
    fiducial: Array
    sources: tuple[PopulationSource, ...]
    composition: Composition
    known: KnownElsewhere
    nominal: Array
    excluded: int

    @classmethod
    def of(
        cls, sources: Sequence[SourceEvents], analysis: Analysis, composition: Composition, nominal: ArrayLike
    ) -> Population:
        """Analyse the events of all ``sources``, the signal first.

        Raises:
            InputError: a source has no usable event, or ``nominal`` has not one value for each parameter beside the first.
        """
        found, start, parts, lost = list[PopulationSource](), 0, list[Array](), 0
        for number, events in enumerate(sources):
            values, kept, last = _analysed(events, analysis)
            if not kept.size:
                raise InputError(f"population: no event of source {number} has a usable density; integrate with more points")
            weighted = None if events.weighted is None else events.weighted.select(kept)
            found.append(PopulationSource(np.arange(start, start + len(kept)), weighted))
            parts.append(values)
            start, lost = start + len(kept), lost + events.coefficients.n_events - len(kept)
        values = np.asarray(nominal, np.float64)
        if len(values) != len(last.basis.parameters) - 1:
            names = [p.name for p in last.basis.parameters[1:]]
            raise InputError(f"population: {len(values)} nominal values for the parameters {names}; give one for each")
        return cls(
            basis=last.basis,
            integrals=np.concatenate(parts),
            fiducial=averaged(last.coefficients)[1],
            sources=tuple(found),
            composition=composition,
            known=KnownElsewhere.of(last.constraints, last.basis.parameters),
            nominal=values,
            excluded=lost,
        )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.basis.parameters

    @cached_property
    def compact(self) -> tuple[Valued, Array, Array]:
        """Basis, integrals and σ_k of fewer components with the same likelihood ratios."""
        return compacted(self.basis, self.integrals, self.fiducial)

    def full(self, theta: float, others: ArrayLike) -> Array:
        """θ and all others, [P]."""
        return np.concatenate([[theta], np.asarray(others, np.float64)])

    def effective_events(self, theta: Array) -> Array:
        """Unweighted events that each source is worth at θ [P], [S]."""
        return np.array([source.effective(theta, self.parameters) for source in self.sources])

    def check(self, theta: Array, reserve: float) -> None:
        """Make sure that every source is worth ``reserve`` times the events that are expected of it.

        Raises:
            RangeError: one is not.
        """
        effective, expected = self.effective_events(theta), self.composition.expected(theta)
        short = np.flatnonzero(effective < reserve * expected)
        if short.size:
            s = int(short[0])
            what = "signal" if s == 0 else f"background {s}"
            raise RangeError(
                f"the bank's events of the {what} are worth {effective[s]:.0f} at {theta.round(3).tolist()}, "
                f"{reserve * expected[s]:.0f} are needed; give more of them, or measure fewer events"
            )

    def draw(self, theta: Array, toys: int, rng: np.random.Generator) -> tuple[IntArray, Array]:
        """``toys`` samples at θ [P]: events [T, n] and 1 for each that there is, 0 where a sample has fewer than n."""
        counts = self.composition.counts(theta, toys, rng)
        edges = counts.cumsum(axis=1)
        place = np.arange(max(int(edges[:, -1].max()), 1))
        kinds = (place[None, :, None] >= edges[:, None, :]).sum(axis=2)
        rows = np.zeros(kinds.shape, np.int64)
        for s, source in enumerate(self.sources):
            here = kinds == s
            rows[here] = source.draw(theta, self.parameters, int(here.sum()), rng)
        return rows, (kinds < len(self.sources)).astype(np.float64)

    def halves(self, rng: np.random.Generator) -> tuple[Population, Population]:
        """Two populations without a common event: one to make a belt, the other one to test it."""
        first, second = list[PopulationSource](), list[PopulationSource]()
        for source in self.sources:
            order, middle = rng.permutation(len(source.rows)), len(source.rows) // 2
            first.append(source.select(np.sort(order[:middle])))
            second.append(source.select(np.sort(order[middle:])))
        return replace(self, sources=tuple(first)), replace(self, sources=tuple(second))


def averaged(coefficients: Coefficients) -> tuple[Array, Array]:
    """Integrals [N, K] and σ_k [K], averaged over replicas."""
    return coefficients.values.mean(axis=0), coefficients.fiducial.mean(axis=0)


def _own(theta: Array, parameters: Sequence[Parameter], basis: Basis) -> Array:
    """Of all parameters those of a ``basis``."""
    names = [p.name for p in parameters]
    return theta[[names.index(p.name) for p in basis.parameters]]


def _analysed(events: SourceEvents, analysis: Analysis) -> tuple[Array, IntArray, Hypothesis]:
    """Integrals of the usable events, which these are, and the last hypothesis; in blocks that bound memory."""
    values, kept, count = list[Array](), list[IntArray](), events.coefficients.n_events
    for start in range(0, count, _BLOCK):
        block = slice(start, min(start + _BLOCK, count))
        logs = {name: np.asarray(found)[..., block] for name, found in events.log_densities.items()}
        hypothesis = analysis(events.coefficients.select(block), logs)
        usable = np.setdiff1d(np.arange(block.stop - block.start), hypothesis.excluded)
        values.append(averaged(hypothesis.coefficients)[0][usable])
        kept.append(usable + start)
    return np.concatenate(values), np.concatenate(kept), hypothesis
