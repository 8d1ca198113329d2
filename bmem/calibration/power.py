"""What n events will tell: expected precision and expected intervals at any true θ, before they are taken.

``power`` gives the Fisher information per event from the bank, in the reconstructed events and with x_hard known, at every
true value: σ(θ) for any number of events or luminosity, and how many are needed for a wanted σ. Where the information
vanishes (θ = 0 and 180°, for an even likelihood) σ is infinite, though an interval is not: ``Expectation`` is the Asimov
likelihood (Cowan et al., 1007.1727), that of the average sample of n events, with profile or Feldman-Cousins thresholds.

The information of the reconstructed events is that in their likelihood's score ŝ as an estimator of θ,
(∂E[ŝ]/∂θ)² / Var(ŝ) = E[ŝ s]² / Var(ŝ), with s the exact score of x_hard; ŝ is the mean over the replicas, as in the
estimate. For an exact likelihood it is the Fisher
information E[ŝ²]; an error of networks or integrals makes it smaller, where E[ŝ²] would count noise as information. The
share that the reconstruction keeps is then the squared correlation of ŝ and s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.stats import chi2

from bmem.calibration.bank import Bank
from bmem.calibration.mean_density import mean_score
from bmem.calibration.neyman import Belt
from bmem.calibration.record import Array, JsonRecord
from bmem.errors import InputError, RangeError
from bmem.inference.evidence import log_mean, log_pool
from bmem.inference.intervals import IntervalSet, regions
from bmem.inference.objective import axes
from bmem.inference.rate import RateFactor, with_rate

_MINIMUM = 200.0
"""Unweighted events that the bank must be worth for an information: it is then known to some 10 %."""
_RESERVE = 10.0
"""Times the number of events that the bank must be worth: its fluctuation moves an expected interval by 1/3 σ at most."""
_FINE = 40
"""Points between two of the scan, for the length of a region."""
_SAME = 1e-6
_PARTS = 12
"""Slices of the scan, which bound memory."""
_ROUNDING = 1e-10
"""A score smaller than this over the range of the parameter is none."""


@dataclass(frozen=True)
class Power(JsonRecord):
    """Information per event on one parameter at the ``truths`` [A], in inverse squares of its unit, and what follows.

    ``reco`` [A] of the reconstructed events and ``hard`` [A] with x_hard known, ``kept`` [A] their ratio (NaN if both are
    zero), with Monte Carlo errors ``..._error`` [A] (at most: the balance of the weights makes them smaller); ``rate`` [A]
    that of the number of events, (∂ log f σ_fid/∂θ)² for each of them; ``fiducial`` [A] f σ_fid in pb, with the factor f by
    which the branching ratios depend on θ; ``effective`` [A] what
    the bank was worth.
    """

    truths: Array
    reco: Array
    reco_error: Array
    hard: Array
    hard_error: Array
    kept: Array
    kept_error: Array
    rate: Array
    fiducial: Array
    effective: Array

    def information(self, hard: bool = False, rate: bool = False) -> Array:
        """Per event [A]: of the shape, with ``rate`` of the number of events too; ``hard`` with x_hard known."""
        return (self.hard if hard else self.reco) + (self.rate if rate else 0.0)

    def sigma(self, events: float, hard: bool = False, rate: bool = False) -> Array:
        """Expected standard deviation [A] of θ̂ from ``events`` events; infinite where there is no information.

        Raises:
            InputError: not a positive number of events.
        """
        if not events > 0:
            raise InputError(f"an expected precision needs a positive number of events, not {events}")
        with np.errstate(divide="ignore"):
            return 1 / np.sqrt(events * self.information(hard, rate))

    def sigma_error(self, events: float, hard: bool = False) -> Array:
        """Monte Carlo error [A] of ``sigma`` of the shape."""
        information, error = (self.hard, self.hard_error) if hard else (self.reco, self.reco_error)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.sigma(events, hard) * error / (2 * information)

    def events_needed(self, sigma: float, hard: bool = False, rate: bool = False) -> Array:
        """Events [A] for a standard deviation ``sigma``; infinite where there is no information.

        Raises:
            InputError: ``sigma`` is not positive.
        """
        if not sigma > 0:
            raise InputError(f"a wanted precision is positive, not {sigma}")
        with np.errstate(divide="ignore"):
            return 1 / (self.information(hard, rate) * sigma**2)

    def luminosity_needed(self, sigma: float, hard: bool = False, rate: bool = False) -> Array:
        """Integrated luminosity in 1/pb [A] for a standard deviation ``sigma``.

        Raises:
            InputError: ``sigma`` is not positive.
        """
        return self.events_needed(sigma, hard, rate) / self.fiducial


def power_at(bank: Bank, truths: ArrayLike, minimum: float = _MINIMUM, factor: RateFactor | None = None) -> Power:
    """The information in the events of ``bank`` at every one of the ``truths`` [A]; the rate has the ``factor`` f(θ).

    Raises:
        InputError: the basis has several parameters.
        RangeError: the bank is worth fewer than ``minimum`` events at one of them.
    """
    _demand_one_parameter(bank)
    truths = np.asarray(truths, np.float64)
    counted = with_rate(bank.basis, factor)
    rows = []
    for truth in truths:
        mean, slope = (f([truth]) @ bank.exact_fiducial for f in (counted.value, counted.gradient))
        shape, effective = _at(bank, float(truth), minimum)
        rows.append((*shape, float(slope[0] / mean) ** 2, float(mean), effective))
    return Power(truths, *np.array(rows).T)


def _at(bank: Bank, truth: float, minimum: float) -> tuple[tuple[float, ...], float]:
    """The information of the shape in one row of ``Power``, and what the bank is worth there."""
    weights, effective = _weights(bank, truth, minimum)
    b, slope = bank.basis.value([truth]), bank.basis.gradient([truth])[0]
    used = weights > 0
    w = weights[used]
    own = mean_score(bank.integrals[:, used], bank.fiducial, b, slope)
    exact = mean_score(bank.exact[None, used], bank.exact_fiducial[None], b, slope)
    low, high = bank.basis.parameters[0].bounds
    own, exact = (_unless_rounding(score - w @ score, w, high - low) for score in (own, exact))
    return _shape(own, exact, w), effective


def _unless_rounding(score: Array, w: Array, span: float) -> Array:
    """``score`` [N], or zeros where it is rounding."""
    return score if w @ score**2 > (_ROUNDING / span) ** 2 else np.zeros_like(score)


def _shape(own: Array, exact: Array, w: Array) -> tuple[float, ...]:
    """Information in the score ``own`` [N], that in the ``exact`` one and their ratio, each with its error."""
    squares, hard = float(w @ own**2), float(w @ exact**2)
    ratio = float(w @ (own * exact)) / squares if squares > 0 else 0.0
    each = 2 * ratio * own * exact - (ratio * own) ** 2  # its mean is the information, linear in all fluctuations
    reco = float(w @ each)
    kept = reco / hard if hard > 0 else np.nan

    def error(deviation: Array) -> float:
        return float(np.sqrt(w**2 @ deviation**2))

    kept_error = error(each - kept * exact**2) / hard if hard > 0 else np.nan
    return reco, error(each - reco), hard, error(exact**2 - hard), kept, kept_error


@dataclass(frozen=True)
class Expectation:
    """The mean of -2 log p(x | θ) over events made at ``truth``.

    ``weights`` [N] make the ``bank`` a sample of ``truth``, worth ``effective`` unweighted events.
    """

    bank: Bank
    truth: float
    weights: Array
    effective: float

    @classmethod
    def of(cls, bank: Bank, truth: float) -> Expectation:
        """The expectation at ``truth``.

        Raises:
            InputError: the basis has several parameters.
            RangeError: the bank does not reach ``truth``.
        """
        _demand_one_parameter(bank)
        weights, effective = _weights(bank, truth, 0.0)
        return cls(bank, truth, weights, effective)

    def log_density(self, x: ArrayLike) -> Array:
        """E[log p(x_n | x)] per event in each replica: x [G] → [R, G], by a cubic spline through the points of a scan."""
        return np.asarray(self._spline(x))

    def curve(self, x: ArrayLike, events: float) -> Array:
        """-2 log L of the average sample of ``events`` events, averaged over replicas as data are: x [G] → [G].

        Replicas that disagree keep it from becoming narrow without limit.
        """
        return -2 * log_pool(events * self.log_density(x), self._evidence(events))

    def _evidence(self, events: float) -> Array:
        """log of the mean likelihood of as many events over the range, in each replica [R]."""
        (grid,), period = axes(self.bank.basis.parameters), self.bank.basis.parameters[0].period
        return log_mean(-2 * events * self.log_density(grid), grid, period)

    def interval(self, events: int, level: float, belt: Belt | None = None) -> IntervalSet:
        """The region of ``level`` that ``events`` events are expected to leave, by the χ² quantile or the ``belt``.

        Raises:
            InputError: the level is no probability, or the belt is of another parameter, process, or number of events.
            RangeError: the bank is worth too few events for as many, or the belt was not made for this level.
        """
        self._demand(events)
        _demand_level(level)
        if belt is not None:
            self._check(belt, events)
        parameter, grid = self.bank.basis.parameters[0], axes(self.bank.basis.parameters, 2)[0]
        values = self.curve(grid, events)

        def excess(x: Array) -> Array:
            threshold = chi2.ppf(level, 1) if belt is None else belt.critical_value(x, level)
            return self.curve(x, events) - values.min() - threshold

        return IntervalSet(parameter, float(level), regions(excess, grid, excess(grid), parameter.period))

    def events_needed(self, length: float, level: float) -> float:
        """Events after which the expected profile region of ``level`` has a total ``length``, all its pieces together.

        Raises:
            InputError: the level is no probability, or the length not between 0 and the whole range.
            RangeError: even as many events as the bank can stand for leave a longer one.
        """
        _demand_level(level)
        low, high = self.bank.basis.parameters[0].bounds
        if not 0 < length < high - low:
            raise InputError(f"the length of an interval lies between 0 and {high - low:.4g}, not at {length}")
        most, threshold = self.effective / _RESERVE, float(chi2.ppf(level, 1))
        fine = self.log_density(np.linspace(low, high, _FINE * len(axes(self.bank.basis.parameters)[0]) + 1))

        def excess(log_events: float) -> float:
            events = float(np.exp(log_events))
            curve = -2 * log_pool(events * fine, self._evidence(events))
            return float(np.quantile(curve - curve.min(), length / (high - low))) - threshold

        if most <= 1 or excess(np.log(most)) < 0:
            raise RangeError(
                f"a region of {100 * level:.1f} % at {self.truth:.4g} is longer than {length:.4g} even for {most:.0f} "
                "events, the most that this bank can stand for; give a larger bank, or better networks if replicas disagree"
            )
        return float(np.exp(brentq(excess, 0.0, np.log(most)))) if excess(0.0) < 0 else 1.0

    @cached_property
    def _spline(self) -> CubicSpline:
        parameter = self.bank.basis.parameters[0]
        grid, used = axes((parameter,))[0], self.weights > 0  # the other events need not have a density
        bank, w = self.bank.select(np.flatnonzero(used)), self.weights[used]
        parts = np.array_split(grid[:, None], _PARTS)
        replicas = range(len(bank.fiducial))
        values = np.concatenate([np.stack([w @ bank.log_densities(part, r) for r in replicas]) for part in parts], axis=1)
        if parameter.period is None:
            return CubicSpline(grid, values, axis=1)
        closed = np.append(grid, parameter.bounds[1]), np.concatenate([values, values[:, :1]], axis=1)
        return CubicSpline(*closed, axis=1, bc_type="periodic", extrapolate="periodic")

    def _demand(self, events: float) -> None:
        if not events > 0:
            raise InputError(f"an expected interval needs a positive number of events, not {events}")
        if self.effective < _RESERVE * events:
            raise RangeError(
                f"the bank is worth {self.effective:.0f} events at {self.truth:.4g}; to say what {events:.0f} events can "
                f"tell it must be worth {_RESERVE * events:.0f}: give a larger bank"
            )

    def _check(self, belt: Belt, events: int) -> None:
        """Refuse a belt that was not made for such measurements."""
        if belt.events != events:
            raise InputError(f"the belt is for {belt.events} events, not for {events}; make another one")
        same = belt.parameter == self.bank.basis.parameters[0]
        for own, other in ((belt.basis, self.bank.basis.value(belt.values[:, None])), (belt.fiducial, self.bank.fiducial)):
            same = same and own.shape == other.shape and np.allclose(own, other, rtol=_SAME, atol=_SAME * np.abs(own).max())
        if not same:
            raise InputError(
                "the belt was made for another parameter, process or other networks than the bank; make it anew"
            )


def _weights(bank: Bank, truth: float, minimum: float) -> tuple[Array, float]:
    weights = bank.weights([truth])
    effective = float(1 / np.square(weights).sum())
    if effective < minimum:
        raise RangeError(
            f"the bank is worth {effective:.0f} events at {truth:.4g}, {minimum:.0f} are needed for its information; add "
            "events made near it"
        )
    return weights, effective


def _demand_one_parameter(bank: Bank) -> None:
    if len(bank.basis.parameters) != 1:
        raise InputError(f"power is of one parameter, the bank has {len(bank.basis.parameters)}")


def _demand_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"confidence levels lie between 0 and 1, not {level}")
