"""How many events of each process a sample has: a fixed number with known fractions, or Poisson numbers of a luminosity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bmem.calibration.record import Array, IntArray
from bmem.inference.objective import Basis


class Composition(Protocol):
    """The numbers of events of S processes, the signal first, at all parameters θ [P] of a likelihood."""

    @property
    def luminosity(self) -> float | None:
        """In 1/pb; None if the number of events says nothing."""

    @property
    def size(self) -> int | None:
        """Events in a sample; None if that is random."""

    def expected(self, theta: Array) -> Array:
        """[S]."""

    def counts(self, theta: Array, toys: int, rng: np.random.Generator) -> IntArray:
        """Of every toy, [T, S]."""


@dataclass(frozen=True)
class ByFractions:
    """``size`` events in all; each is of background j with a probability that is the parameter ``fractions`` [j] (index)."""

    size: int
    fractions: tuple[int, ...] = ()
    luminosity: float | None = None

    def expected(self, theta: Array) -> Array:
        shares = theta[list(self.fractions)]
        return self.size * np.concatenate([[1 - shares.sum()], shares])

    def counts(self, theta: Array, toys: int, rng: np.random.Generator) -> IntArray:
        return rng.multinomial(self.size, self.expected(theta) / self.size, size=toys).astype(np.int64)


@dataclass(frozen=True)
class Rate:
    """The accepted cross section Σ b_k σ_k of a process: its ``basis`` of the parameters ``index``, its ``sigma`` [K] in pb.

    The basis of a signal has its rate factor, see ``bmem.inference.rate``.
    """

    basis: Basis
    sigma: Array
    index: tuple[int, ...]

    def at(self, theta: Array) -> float:
        return float(self.basis.value(theta[list(self.index)]) @ self.sigma)


@dataclass(frozen=True)
class ByRate:
    """Poisson numbers of a ``luminosity`` in 1/pb with the ``rates`` of all processes."""

    luminosity: float
    rates: Sequence[Rate]
    size: int | None = None

    def expected(self, theta: Array) -> Array:
        return self.luminosity * np.array([rate.at(theta) for rate in self.rates])

    def counts(self, theta: Array, toys: int, rng: np.random.Generator) -> IntArray:
        return rng.poisson(self.expected(theta), size=(toys, len(self.rates))).astype(np.int64)


@dataclass(frozen=True)
class ByShares:
    """``size`` events in all, shared between the processes as their ``rates`` are: where backgrounds depend on θ, too."""

    size: int
    rates: Sequence[Rate]
    luminosity: float | None = None

    def expected(self, theta: Array) -> Array:
        rates = np.array([rate.at(theta) for rate in self.rates])
        return self.size * rates / rates.sum()

    def counts(self, theta: Array, toys: int, rng: np.random.Generator) -> IntArray:
        return rng.multinomial(self.size, self.expected(theta) / self.size, size=toys).astype(np.int64)
