"""How the calibration over the period is shown: estimates, coverage of every method, verdicts."""

from __future__ import annotations

import numpy as np

from bmem.calibration.period_verdict import TARGETS, PeriodCalibration
from bmem.calibration.toy_intervals import METHODS
from bmem.inference.rounding import number
from bmem.plotting.coverage import draw_bias_and_spread, draw_levels, draw_methods_along
from bmem.quantity import Quantity
from bmem.reports.album import Album
from bmem.reports.page import Picture, Table
from bmem.reports.words import percent, printed, value_with_error, with_unit

TEXT = (
    "Toys drawn from the bank at every true value (of an angle half of them at its mirror image) and measured in all ways. "
    "The belts are made from one half of the bank and tested with the other one. Estimates are folded onto the sign of the "
    "truth; coverage is that of the parameter, signs included. σ known is the spread with the hard event known, on "
    "the same toys."
)


RECOMMENDED = "Feldman-Cousins"


def period_warnings(result: PeriodCalibration, quantity: Quantity) -> list[str]:
    """A sentence if the recommended interval undercovers significantly or misses a target."""
    verdict = result.verdict(RECOMMENDED)
    if verdict.within and not verdict.undercovers:
        return []
    places = ", ".join(f"{printed(quantity, truth, 3)} ({percent(level)})" for truth, level in verdict.undercovers)
    return [f"{verdict}" + (f"; significantly too low at {quantity.shown} = {places}" if places else "") + "."]


def period_tables(result: PeriodCalibration, quantity: Quantity) -> tuple[Table, ...]:
    """Estimates, coverage by every method at the levels of the targets, and the verdicts."""
    return (
        _estimates(result, quantity),
        *(_coverage(result, level, quantity) for level in TARGETS),
        _verdicts(result, quantity),
    )


def period_figures(album: Album, result: PeriodCalibration, quantity: Quantity) -> list[Picture]:
    """Coverage of all methods along the truth and along the level, bias and spread."""
    name = quantity.shown
    return [
        album.panels(
            "period_coverage",
            f"Coverage of {name} by the intervals of every method, all of the same toys; the bands are the targets.",
            lambda panels: draw_methods_along(panels, result, quantity),
            height=3.8,
            ratio=1,
        ),
        album.panels(
            "period_coverage_magnitude",
            f"The same for |{name}|, by the images of the intervals.",
            lambda panels: draw_methods_along(panels, result, quantity, magnitude=True),
            height=3.8,
            ratio=1,
        ),
        album.panel(
            "period_levels",
            f"Coverage of the {RECOMMENDED} interval less the level, one line for each {name}; points of a line share toys.",
            lambda axes: draw_levels(axes, result, RECOMMENDED, quantity),
        ),
        album.panels(
            "period_bias",
            "Bias and spread of the estimate against those with the hard event known.",
            lambda panels: draw_bias_and_spread(panels, result, quantity),
        ),
    ]


def _estimates(result: PeriodCalibration, quantity: Quantity) -> Table:
    (bias, error), (excess, excess_error) = result.bias(), result.excess_bias()
    rows = []
    for a, point in enumerate(result.points):
        spread, known = float(point.spread.mean()), float(point.known_spread.mean())
        rows.append(
            (
                _truth(point.truth, quantity),
                round(float(point.effective.sum())),
                value_with_error(bias[a] / spread, error[a] / spread),
                value_with_error(excess[a] / spread, excess_error[a] / spread),
                number(float(quantity.printed(spread)), 2),
                number(float(quantity.printed(known)), 2),
                f"{spread / known:.3f}",
                number(float(point.pull_mean.mean()), 2),
                f"{point.pull_width.mean():.2f}",
                "–" if np.isnan(point.right_sign).all() else f"{100 * point.right_sign.mean():.0f} %",
            )
        )
    sigma, known_sigma = with_unit("σ", quantity), with_unit("σ known", quantity)
    name = with_unit(quantity.shown, quantity)
    columns = (name, "events of the bank", "bias / σ", "less that of known", sigma, known_sigma, "ratio")
    first = result.points[0]
    note = f"{first.toys} toys of {first.events} events at each value; events of the bank: effective number there."
    return Table("Estimates over the period", (*columns, "pull mean", "pull width", "right sign"), tuple(rows), note)


def _coverage(result: PeriodCalibration, level: float, quantity: Quantity) -> Table:
    """Coverage and length of every method at one level."""
    column = result.level(level)
    common = max(float(result.common_error(method)[column]) for method in METHODS)
    shares = np.array([100 * result.coverage(method)[:, column] for method in METHODS])
    lengths = quantity.printed([result.length(method)[:, column] for method in METHODS])
    rows = tuple(
        (_truth(point.truth, quantity), *(number(x, 1) for x in shares[:, a]), *(number(x, 0) for x in lengths[:, a]))
        for a, point in enumerate(result.points)
    )
    heads = (with_unit(f"{method}: length", quantity) for method in METHODS)
    columns = (with_unit(quantity.shown, quantity), *METHODS, *heads)
    note = f"In %; the halves of the bank differ by up to {percent(common)} (half their rms difference)."
    return Table(f"Coverage of {quantity.shown} at {percent(level)}", columns, rows, note)


def _truth(truth: float, quantity: Quantity) -> float:
    return round(float(quantity.printed(truth)), 3)


def _verdicts(result: PeriodCalibration, quantity: Quantity) -> Table:
    rows, alarm = [], 0.0
    for method in METHODS:
        for magnitude in (False, True):
            verdict = result.verdict(method, magnitude)
            alarm = verdict.false_alarm
            ranges = (
                f"{number(100 * low, 1)} to {number(100 * high, 1)}"
                for low, high in zip(verdict.lowest, verdict.highest, strict=True)
            )
            word = "within" if verdict.within else "outside"
            rows.append(
                (
                    method,
                    f"|{quantity.shown}|" if magnitude else quantity.shown,
                    *ranges,
                    word,
                    len(verdict.undercovers),
                    len(verdict.overcovers),
                )
            )
    columns = ("interval", "of", *(f"deviation at {100 * level:.1f} % [%]" for level in TARGETS), "targets")
    targets = " and ".join(f"{100 * tolerance:.0f} %" for tolerance in TARGETS.values())
    note = (
        f"Targets: within {targets} of the levels everywhere. Too low and too high: at how many (value, level) "
        f"significantly; a perfect interval is blamed at all with a chance of {100 * alarm:g} %."
    )
    return Table("Verdict", (*columns, "too low", "too high"), tuple(rows), note)
