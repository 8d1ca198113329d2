"""Repeated experiments of a population: what they find at a true θ, with the other parameters treated in one of two ways.

- "profiled": all experiments have the same true values of the other parameters, and measurements from elsewhere fluctuate
  about them. A Neyman construction takes the values that the data have at each θ (Feldman and Cousins with profiling,
  physics/0003056 and arXiv:2207.14353): it covers whatever is true, as far as that is near what is profiled.
- "drawn": every experiment has true values of its own, drawn from what is known of them from elsewhere, and that does not
  fluctuate (Cousins and Highland, NIM A 320 (1992) 331): it covers on average over what is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bmem.calibration.likelihood_ratio import Ratios, likelihood_ratios
from bmem.calibration.population import Population
from bmem.calibration.record import Array, IntArray
from bmem.calibration.toy_fits import Samples
from bmem.calibration.toys import true_values
from bmem.errors import InputError

Others = Literal["profiled", "drawn"]
_BLOCK = 1000
_DRAWS = 64
"""Values of the other parameters in the experiments of one θ, each of several experiments; a power of two, as Sobol asks."""


@dataclass(frozen=True)
class Experiments:
    """Those of a ``population``, scanned at ``grid`` points of θ, with the ``others`` treated in one of two ways."""

    population: Population
    others: Others = "profiled"
    grid: int = 60

    def __post_init__(self) -> None:
        if self.others not in ("profiled", "drawn"):
            raise InputError(f"other parameters are 'profiled' or 'drawn' in toys, not {self.others!r}")

    def ratios(self, theta: float, others: Array, count: int, rng: np.random.Generator) -> Ratios:
        """``count`` experiments at ``theta``, whose other parameters are ``others`` [Q] unless they are drawn.

        Raises:
            InputError: nothing is known of a parameter that is to be drawn.
        """
        first = self.population.parameters[0]
        values = true_values(first, self.grid + (first.period is not None))
        found = [likelihood_ratios(s, theta, others, values) for s in self._samples(theta, others, count, rng)]
        return Ratios(*(np.concatenate([getattr(part, name) for part in found]) for name in ("t", "there", "best")))

    def _samples(self, theta: float, others: Array, count: int, rng: np.random.Generator) -> Iterator[Samples]:
        """Experiments in blocks that bound memory."""
        p = self.population
        if self.others == "profiled":
            true = p.full(theta, others)
            for start in range(0, count, _BLOCK):
                size = min(_BLOCK, count - start)
                yield self._of(*p.draw(true, size, rng), p.known.measured(true, size, rng))
            return
        draws = p.known.drawn(_DRAWS, rng)
        sizes = np.diff(np.linspace(0, count, len(draws) + 1).astype(int))
        for block in np.array_split(np.arange(len(draws)), -(-count // _BLOCK)):
            parts = [p.draw(p.full(theta, draws[d]), int(sizes[d]), rng) for d in block if sizes[d]]
            rows, weights = (_stacked([part[i] for part in parts]) for i in (0, 1))
            yield self._of(rows, weights, np.tile(p.known.pull, (len(rows), 1)))

    def _of(self, rows: IntArray, weights: Array, pull: Array) -> Samples:
        p = self.population
        return Samples(*p.compact, p.composition.luminosity, p.known, rows, weights, pull)


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """[T_i, n_i] → [Σ T_i, max n_i], filled with zeros."""
    longest = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, [(0, 0), (0, longest - part.shape[1])]) for part in parts])
