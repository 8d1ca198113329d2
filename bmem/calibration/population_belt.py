"""Neyman construction with likelihood-ratio ordering where θ is not alone: backgrounds, rates, systematic effects.

The critical value of t = -2 log L(θ)/L(θ̂), all other parameters η fitted in both, is the quantile of t in toys at θ and at
some η. ``others`` says at which (see ``bmem.calibration.experiments``): at those that the data profile at this θ, or at
values drawn from what is known of them. For the first the belt is made at several η, a centre and two more along each
parameter, and a parabola in each of them leads to the profiled ones; beyond these values it stays what it is there. So one
belt serves all data of a kind, whatever they profile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bmem import artifacts
from bmem.calibration.experiments import Experiments, Others
from bmem.calibration.neyman import BeltSettings, Progress, refined
from bmem.calibration.observed import Data
from bmem.calibration.population import Population
from bmem.calibration.record import Array, JsonRecord
from bmem.calibration.toys import quantile
from bmem.errors import ArtifactError, InputError, RangeError
from bmem.inference.intervals import IntervalSet, regions
from bmem.inference.objective import axes
from bmem.process.contract import Parameter
from bmem.rng import numpy_generator
from bmem.workers import Workers

KIND = "population belt"
_SAME = 1e-6
_REACH = 2.0
"""Distance of the nodes from the centre, in standard deviations of the profiled values."""
_SIDE = 4
"""A node beside the centre has as many times fewer toys."""
_PILOT, _PILOT_POINTS = 250, 4


@dataclass(frozen=True)
class PopulationBelt(JsonRecord):
    """Critical values of t for samples of ``events`` events (None: of any number), or of a ``luminosity`` in 1/pb.

    ``critical`` [L, A, M] at the ``levels`` [L], true ``values`` [A] and ``nodes`` [M, Q] of the parameters ``names`` beside
    the first (the centre, then a lower and a higher value of each; with drawn ones the centre alone), with their statistical
    ``error``; ``toys`` at each value and the centre; ``effective`` [A, S] what the sources of the population were worth.
    ``basis`` [A, K], ``fiducial`` [K] (pb) and ``precision`` [P, P] are the population's: data with others are refused.
    """

    name: str
    bounds: tuple[float, float]
    period: float | None
    names: tuple[str, ...]
    others: str
    events: int | None
    luminosity: float | None
    toys: int
    levels: Array
    values: Array
    nodes: Array
    critical: Array
    error: Array
    effective: Array
    basis: Array
    fiducial: Array
    precision: Array

    @property
    def parameter(self) -> Parameter:
        return Parameter(self.name, self.bounds, self.period)

    def critical_value(self, theta: ArrayLike, others: ArrayLike, level: float) -> Array:
        """t_c at θ [G] and the other parameters [G, Q], linear in θ between the true values.

        Raises:
            RangeError: the belt was not made for this level, or θ lies outside of its values (and is no angle).
        """
        found = np.flatnonzero(np.isclose(self.levels, level, rtol=0, atol=1e-9))
        if not found.size:
            raise RangeError(f"the belt was made for the levels {self.levels.tolist()}, not for {level}; make another one")
        x, eta = np.asarray(theta, np.float64), np.asarray(others, np.float64)
        if self.period is None and not ((x >= self.values[0]) & (x <= self.values[-1])).all():
            raise RangeError(f"{self.name} lies outside of the belt, {self.values[0]} to {self.values[-1]}; make it wider")
        at = np.stack([np.interp(x, self.values, column, period=self.period) for column in self.critical[found[0]].T])
        triples = [[0, 1 + 2 * q, 2 + 2 * q] for q in range(len(self.nodes) // 2)]
        shifts = [_parabola(self.nodes[three, q], at[three], eta[:, q]) for q, three in enumerate(triples)]
        return np.maximum(at[0] + np.sum(shifts, axis=0), 0.0)

    def interval(self, data: Data, level: float) -> IntervalSet:
        """The confidence region of θ.

        Raises:
            InputError: the belt was made for other samples, parameters, processes or networks.
            RangeError: it was not made for this level.
        """
        self.check(data)

        def excess(x: Array) -> Array:
            t, others = data.ratio(x)
            return t - self.critical_value(x, others, level)

        grid = np.union1d(axes((self.parameter,))[0], data.minima)
        return IntervalSet(data.parameters[0], float(level), regions(excess, grid, excess(grid), self.period))

    def check(self, data: Data) -> None:
        """Refuse data that this belt was not made for.

        Raises:
            InputError: with what differs.
        """
        names = tuple(p.name for p in data.parameters)
        if names != (self.name, *self.names):
            raise InputError(f"the belt is of {self.name, *self.names}, the data of {names}; make another")
        if data.luminosity != self.luminosity:
            raise InputError(
                f"the belt is for a luminosity of {self.luminosity}, the data have {data.luminosity} 1/pb; make another"
            )
        if self.events is not None and data.events != self.events:
            raise InputError(f"the belt is for {self.events} events, the data have {data.events}; make another")
        basis = data.basis.value(_beside(self.values, self.nodes[0]))
        pairs = (("basis", self.basis, basis), ("σ_k", self.fiducial, data.fiducial))
        for what, own, other in (*pairs, ("constraints", self.precision, data.known.precision)):
            if own.shape != other.shape or not np.allclose(own, other, rtol=_SAME, atol=_SAME * np.abs(own).max()):
                raise InputError(f"the belt was made for another process or other networks: the {what} differ; make it anew")

    def save(
        self, path: Path, settings: Mapping[str, Any] | None = None, parents: Mapping[str, Path] | None = None
    ) -> artifacts.Header:
        """Write as JSON with a header; ``parents`` are the artifacts of the population."""
        text = json.dumps(self.to_dict(), allow_nan=False)

        def write(temporary: Path) -> None:
            temporary.write_text(text)

        return artifacts.write(path, KIND, write, settings, parents)

    @classmethod
    def load(cls, path: Path) -> PopulationBelt:
        """Read what ``save`` wrote.

        Raises:
            ArtifactError: the file is missing, foreign, damaged or of a newer format.
        """
        artifacts.verify(path, KIND)
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except (ValueError, TypeError, OSError) as error:
            raise ArtifactError(f"{path}: not the layout of a belt ({error}); make it again") from error


def make_population_belt(
    population: Population,
    seed: int,
    settings: BeltSettings | None = None,
    others: Others = "profiled",
    progress: Progress | None = None,
    *,
    workers: Workers | None = None,
) -> PopulationBelt:
    """The belt for samples of a ``population``; ``progress(done, total)`` is called after each true value.

    Raises:
        InputError: nothing is known of a parameter whose values are to be drawn.
        RangeError: a source is worth too few events at a true value (``BeltSettings.reserve``).
    """
    settings = settings or BeltSettings()
    experiments = Experiments(population, others)
    nodes = _nodes(experiments, seed)
    columns = refined(_Column(experiments, nodes, seed, settings), population.parameters[0], settings, progress, workers)
    values = np.array(sorted(columns))
    shape = (len(values), len(settings.levels), len(nodes), 2)
    table = np.array([columns[value] for value in values]).reshape(shape)
    critical, error = np.moveaxis(table, -1, 0).swapaxes(1, 2)
    parameter, centre = population.parameters[0], _beside(values, nodes[0])
    return PopulationBelt(
        name=parameter.name,
        bounds=parameter.bounds,
        period=parameter.period,
        names=tuple(p.name for p in population.parameters[1:]),
        others=others,
        events=population.composition.size,
        luminosity=population.composition.luminosity,
        toys=settings.toys,
        levels=np.array(settings.levels),
        values=values,
        nodes=nodes,
        critical=critical,
        error=error,
        effective=np.stack([population.effective_events(theta) for theta in centre]),
        basis=population.basis.value(centre),
        fiducial=population.fiducial,
        precision=population.known.precision,
    )


@dataclass(frozen=True)
class _Column:
    """The critical values and their errors [L M][2] at one true value."""

    experiments: Experiments
    nodes: Array
    seed: int
    settings: BeltSettings

    def __call__(self, value: float) -> list[tuple[float, float]]:
        population = self.experiments.population
        found = []
        for number, node in enumerate(self.nodes):
            population.check(population.full(value, node), self.settings.reserve)
            toys = self.settings.toys // (_SIDE if number else 1)
            rng = numpy_generator(self.seed, "population belt", repr(value), number)
            found.append(self.experiments.ratios(value, node, toys, rng).t)
        return [quantile(t, level) for level in self.settings.levels for t in found]


def _nodes(experiments: Experiments, seed: int) -> Array:
    """[M, Q]: the centre, and beside it what lies as far as profiled values go, within the ranges."""
    population = experiments.population
    centre = population.nominal
    if experiments.others == "drawn" or not centre.size:
        return centre[None]
    first = population.parameters[0]
    places = first.bounds[0] + (np.arange(_PILOT_POINTS) + 0.5) / _PILOT_POINTS * (first.bounds[1] - first.bounds[0])
    rng = numpy_generator(seed, "population belt", "pilot")
    spread = np.mean([experiments.ratios(x, centre, _PILOT, rng).there.std(axis=0) for x in places], axis=0)
    nodes = [centre]
    for q, parameter in enumerate(population.parameters[1:]):
        for sign in (-1, 1):
            nodes.append(centre.copy())
            nodes[-1][q] = np.clip(centre[q] + sign * _REACH * spread[q], *parameter.bounds)
    return np.array(nodes)


def _parabola(places: Array, values: Array, x: Array) -> Array:
    """What the parabola through ``values`` [3, G] at ``places`` [3] (the middle first) adds to the first one at x [G]."""
    (middle, low, high), (centre, below, above) = places, values
    offset = np.clip(x, low, high) - middle
    left, right = low - middle, high - middle
    if not left < 0 < right:
        return np.zeros(len(x))
    down, up = (below - centre) / left, (above - centre) / right
    bend = (up - down) / (right - left)
    return offset * (down + bend * (offset - left))


def _beside(values: Array, others: Array) -> Array:
    """θ [A] with the same other parameters [Q] everywhere, [A, P]."""
    return np.concatenate([values[:, None], np.broadcast_to(others, (len(values), len(others)))], axis=1)
