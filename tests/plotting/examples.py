"""Finished results to draw, the same on every machine: sequences of known distribution instead of random numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bmem.calibration.coverage import Coverage, coverage_of
from bmem.calibration.goodness import Goodness
from bmem.calibration.neyman import Belt
from bmem.calibration.period import PeriodPoint
from bmem.calibration.period_verdict import PeriodCalibration
from bmem.calibration.power import Power
from bmem.calibration.predictive import PredictiveHistogram
from bmem.calibration.sbc import SimulationBasedCalibration
from bmem.calibration.subsamples import SubsampleFits
from bmem.calibration.toy_intervals import METHODS
from bmem.channels.contract import DisplayObject
from bmem.inference.bayes import Posterior
from bmem.inference.event_influence import OUTSIDE, Influence
from bmem.inference.intervals import IntervalSet
from bmem.inference.ranking import Impact
from bmem.inference.regions import Contour, ContourPath, ContourSet
from bmem.networks.band import DensityBand
from bmem.plotting.acceptance import Predictions
from bmem.plotting.budget import BudgetScan
from bmem.plotting.likelihood import LikelihoodCurve
from bmem.process.contract import Parameter
from bmem.quantity import Quantity
from bmem.training.settings import History

Array = NDArray[np.float64]

ANGLE = Parameter("alpha", (-np.pi, np.pi), 2 * np.pi, r"\alpha", "deg", 180 / np.pi)
PT = Quantity("pt", r"p_{T}", "GeV")
LEVELS = np.array([0.683, 0.954])
_SERIES = tuple(math.sqrt(prime) for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29))
"""Multiples of these fill the unit interval evenly, and of two of them the unit square (Weyl)."""


def uniform(n: int, series: int = 0) -> Array:
    """``n`` numbers between 0 and 1; those of another ``series`` know nothing of them."""
    return np.asarray(np.mod(_SERIES[series % len(_SERIES)] * np.arange(1, n + 1), 1.0))


def gaussian(n: int, series: int = 0) -> Array:
    return np.asarray(stats.norm.ppf(uniform(n, series)))


def falling(n: int, mean: float, series: int = 0) -> Array:
    """Exponentially distributed."""
    return np.asarray(-mean * np.log(uniform(n, series)))


def curve(width: float, other: float = 5.0) -> LikelihoodCurve:
    """Two minima at ±45°, of this ``width`` (degrees), the wrong one as high as ``other``."""
    theta, truth, sigma = np.linspace(-np.pi, np.pi, 721), np.radians(45.0), np.radians(width)
    sides = np.array([(1 - np.cos(theta - sign * truth)) * 2 / sigma**2 for sign in (1, -1)])
    delta = np.minimum(sides[0], sides[1] + other)
    scatter = 1 + 0.1 * gaussian(60)
    ends = {level: math.sqrt(stats.chi2.ppf(level, 1)) * sigma for level in LEVELS.tolist()}
    return LikelihoodCurve(
        theta=theta,
        delta=delta,
        curves=delta * scatter[:, None],
        minima=np.array([truth, -truth]),
        minimum_values=np.array([0.0, other]),
        intervals={level: ((truth - end, truth + end),) for level, end in ends.items()},
        truth=truth + 0.5 * sigma,
        period=2 * np.pi,
    )


def posterior(centre: float) -> Posterior:
    """Two modes, the wrong one half as high."""
    x = -np.pi + (np.arange(720) + 0.5) * 2 * np.pi / 720
    density = np.exp(12 * np.cos(x - centre)) + 0.5 * np.exp(12 * np.cos(x + centre))
    return Posterior(ANGLE, "flat in α", x, np.log(density / density.sum() * 720 / (2 * np.pi)), 0.0)


def belt() -> Belt:
    values = np.radians(np.arange(-180.0, 180.0, 45.0))
    critical = stats.chi2.ppf(LEVELS, 1)[:, None] * (1 + 0.2 * np.cos(values))
    return Belt(
        name="alpha",
        bounds=(-np.pi, np.pi),
        period=2 * np.pi,
        events=100,
        toys=1000,
        levels=LEVELS,
        values=values,
        critical=critical,
        error=0.05 * critical,
        effective=np.full(8, 5000.0),
        basis=np.ones((8, 2)),
        fiducial=np.ones((1, 2)),
        replicas="marginal",
        resampled=False,
    )


def subsamples(count: int = 40) -> SubsampleFits:
    """Of 100 events at 45°; the eighth has no error."""
    truth, errors = np.radians(45.0), np.radians(3 + 4 * uniform(count))
    errors[7] = np.nan
    return SubsampleFits(
        truth=truth,
        period=2 * np.pi,
        folded=True,
        resampled=False,
        events=np.arange(count * 100).reshape(count, 100),
        estimates=truth + np.nan_to_num(errors, nan=0.1) * gaussian(count, 1),
        errors=errors,
        valid=np.isfinite(errors),
        levels=LEVELS,
        intervals=(((),) * count,) * 2,
        delta_truth=np.asarray(stats.chi2.ppf(uniform(count, 2), 1)),
        sign_gap=np.zeros(count),
        excluded=np.zeros(count, int),
    )


def coverages(count: int = 3) -> list[Coverage]:
    """Of 30 measurements each."""
    return [coverage_of(uniform(30, i)[None] < LEVELS[:, None], LEVELS) for i in range(count)]


def period() -> PeriodCalibration:
    """The calibration over the period at four truths."""
    levels = np.array([0.3, *LEVELS])

    def point(i: int, degrees: float) -> PeriodPoint:
        shift = 0.02 * (uniform(2 * len(METHODS) * 3, i) - 0.5).reshape(2, len(METHODS), 3)
        covered = np.clip(levels + shift, 0, 1)
        names = ("bias", "spread", "known_bias", "known_spread", "difference")
        arrays = {name: 0.1 + 0.02 * uniform(2, i + k) for k, name in enumerate(names)}
        rest = {name: np.ones(2) for name in ("pull_mean", "pull_width", "unusable", "right_sign")}
        return PeriodPoint(
            truth=float(np.radians(degrees)),
            events=100,
            toys=2000,
            levels=levels,
            effective=np.full(2, 5000.0),
            covered=covered,
            covered_magnitude=np.minimum(covered + 0.01, 1),
            length=np.ones_like(covered),
            **arrays,
            **rest,
        )

    return PeriodCalibration(tuple(point(i, d) for i, d in enumerate((0, 45, 90, 180))))


def power() -> Power:
    """An information that vanishes at 0."""
    truths = np.radians([-90.0, -45.0, 0.0, 45.0, 90.0])
    hard, quarter = 2 * np.sin(truths) ** 2, np.full(5, 0.25)
    return Power(
        truths, 0.5 * hard, 0.05 * hard, hard, 0.1 * hard, 2 * quarter, quarter / 10, quarter, quarter, 400 * quarter
    )


def regions(half: float) -> list[IntervalSet]:
    """Expected intervals of this ``half`` width (degrees) around five truths, those of 180° across the end of the range."""
    return [IntervalSet(ANGLE, 0.683, ((t - h, t + h),)) for t, h in ((np.radians(d), np.radians(half)) for d in DEGREES)]


DEGREES = (0.0, 45.0, 90.0, 135.0, 180.0)


def goodness() -> Goodness:
    toys = np.stack([gaussian(500), falling(500, 1.0, 1)])
    return Goodness(0.4, 0, -40 + 20 * uniform(60), uniform(60, 1), np.linspace(-40, -20, 400), np.array([1.5, 0.7]), toys)


def influence() -> Influence:
    """Of 30 events, a third of them doubtful."""
    shift = np.radians(gaussian(30))[:, None]
    return Influence((ANGLE,), np.array([0.5]), np.radians([4.0]), np.arange(30), shift, {OUTSIDE: np.arange(30) % 3 == 0})


def predictive() -> PredictiveHistogram:
    expected = 30 - 2.5 * np.arange(8) + 4 * (uniform(50)[:, None] - 0.5)
    replicated = np.round(expected + np.sqrt(expected) * gaussian(400, 1).reshape(50, 8))
    observed = np.linspace(29.0, 15.0, 8, dtype=np.float64)
    return PredictiveHistogram(np.linspace(0, 4, 9), observed, expected, replicated, expected[:3])


def sbc() -> SimulationBasedCalibration:
    return SimulationBasedCalibration("flat", 50, uniform(200), uniform(200, 1), uniform(200, 2) ** 2, 1e-3)


def predictions() -> tuple[Predictions, Array]:
    """Held-out events, and a variable that grows with their acceptance."""
    predicted = np.asarray(stats.beta.ppf(uniform(3000), 2, 6))
    return Predictions(predicted, uniform(3000, 1) < predicted), 300 * predicted * (0.8 + 0.4 * uniform(3000, 2))


def contours() -> ContourSet:
    circle = np.linspace(0, 2 * np.pi, 40, endpoint=False)

    def ring(x: float, y: float, radius: float) -> ContourPath:
        return ContourPath(tuple(zip(x + radius * np.cos(circle), y + radius * np.sin(circle), strict=True)), True)

    inner = Contour(0.683, 2.3, (ring(0.5, 0.5, 0.2), ring(0.5, -0.5, 0.2)))
    outer = Contour(0.954, 6.2, (ring(0.5, 0.0, 1.0),))
    strength = Parameter("mu", (0.0, 5.0), None, r"\mu")
    return ContourSet((ANGLE, strength), (inner, outer), ((0.5, 0.5, 0.0), (0.5, -0.5, 0.7)), 2)


def band(dims: int) -> DensityBand:
    """A learned density near one, of so many coordinates, against an exact one."""
    edges = (np.linspace(0, 1, 11), np.linspace(0, 2, 7))[:dims]
    shape = tuple(len(each) - 1 for each in edges)
    members = 1 + 0.1 * gaussian(8 * math.prod(shape)).reshape(8, *shape)
    return DensityBand(edges, members, np.zeros(shape)).against(np.ones(shape))


def budget_scan() -> BudgetScan:
    events = np.array([30.0, 100.0, 300.0, 1000.0])
    sources = {"statistical": 1 / np.sqrt(events), "integration": 0.1 / np.sqrt(events), "network": np.full(4, 0.02)}
    known = {"statistical": np.zeros(4), "integration": np.full(4, 0.1), "network": np.full(4, 0.25)}
    return BudgetScan(events, sources, known)


def history() -> History:
    return History([3.0, 2.0, 1.5, 1.2, 1.1], [3.1, 2.2, 1.9, 1.8, 1.85], best_epoch=3)


def event() -> list[DisplayObject]:
    """A line, a cone across φ = π, a marked one, and one beyond |η| = 5."""
    return [
        DisplayObject("photon", r"\gamma", 60, -1.0, 1.5),
        DisplayObject("jet", "j", 120, 1.0, 3.0, 0.4),
        DisplayObject("b jet", "b", 80, -0.5, -1.0, 0.4, True),
        DisplayObject("jet", "j", 40, 5.5, 0.5, 0.4),
    ]


def impacts() -> list[Impact]:
    """Three nuisance parameters, the second constrained by the events, the third pulled."""
    rows = {"jet_scale": (0.1, 0.98, 1.5, 1.4), "photon_scale": (-0.3, 0.6, 1.2, 0.7), "pdf": (0.9, 1.0, 0.5, 0.5)}
    found = []
    for name, (value, error, before, after) in rows.items():
        shifts = [(-shift, 1.1 * shift) for shift in np.radians([before, after])]
        found.append(Impact(Parameter(name, (-5.0, 5.0)), value, error, (0.0, 1.0), *shifts))
    return found
