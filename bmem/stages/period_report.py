"""What the report says of the belt and of the calibration over the period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.calibration.period_verdict import TARGETS, PeriodCalibration
from bmem.calibration.toy_intervals import METHODS
from bmem.config import PERIOD
from bmem.plotting.report import ReportFigure, Section, Table
from bmem.stages.period import RECOMMENDED, load_period
from bmem.stages.run import Run

_INTRODUCTION = (
    "Toys drawn from the bank at every α (half of them at -α) and measured in all ways. The belts are made from one half of "
    "the bank and tested with the other one. Estimates are folded onto the sign of the truth; coverage is that of α, signs "
    "included. σ known is the spread with x_hard known, on the same toys."
)


def period_section(run: Run, figures: tuple[ReportFigure, ...]) -> Section:
    """Tables and figures of the calibration over the period, with its verdicts."""
    result = load_period(run)
    return Section("Calibration over the period", _INTRODUCTION, (_estimates(result), *coverage_tables(result)), figures)


def belt_intervals(fit: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(label, text) of the Feldman-Cousins intervals of a fit; none without a belt."""
    belt = fit.get("belt") or {}
    regions = zip(belt.get("intervals", ()), belt.get("printed_intervals", ()), strict=True)
    return tuple((f"{100 * region['level']:.1f} %, Feldman-Cousins", text) for region, text in regions)


def period_warnings(run: Run) -> tuple[str, ...]:
    """A sentence if the recommended interval undercovers significantly or misses a target."""
    if not artifacts.exists(run.calibration(PERIOD)):
        return ()
    verdict = load_period(run).verdict(RECOMMENDED)
    if verdict.within and not verdict.undercovers:
        return ()
    places = ", ".join(f"{np.degrees(truth):.0f}° ({100 * level:.1f} %)" for truth, level in verdict.undercovers)
    return (f"{verdict}" + (f"; significantly too low at α = {places}" if places else "") + ".",)


def _estimates(result: PeriodCalibration) -> Table:
    (bias, error), (excess, excess_error) = result.bias(), result.excess_bias()
    rows = []
    for a, point in enumerate(result.points):
        spread, known = float(point.spread.mean()), float(point.known_spread.mean())
        rows.append(
            (
                round(float(np.degrees(point.truth)), 3),
                round(float(point.effective.sum())),
                f"{bias[a] / spread:.3f} ± {error[a] / spread:.3f}",
                f"{excess[a] / spread:.3f} ± {excess_error[a] / spread:.3f}",
                f"{np.degrees(spread):.2f}",
                f"{np.degrees(known):.2f}",
                f"{spread / known:.3f}",
                f"{point.pull_mean.mean():.2f}",
                f"{point.pull_width.mean():.2f}",
                "–" if np.isnan(point.right_sign).all() else f"{100 * point.right_sign.mean():.0f} %",
            )
        )
    columns = ("α [°]", "events of the bank", "bias / σ", "less that of known", "σ [°]", "σ known [°]", "ratio")
    first = result.points[0]
    note = f"{first.toys} toys of {first.events} events at each α; events of the bank: effective number at this α."
    return Table("Estimates over the period", (*columns, "pull mean", "pull width", "right sign"), tuple(rows), note)


def coverage_tables(result: PeriodCalibration) -> tuple[Table, ...]:
    """Coverage of α by every method at the levels of the targets, and the verdicts."""
    tables = []
    for level in TARGETS:
        column = result.level(level)
        common = max(float(result.common_error(method)[column]) for method in METHODS)
        cells = [
            [f"{100 * c:.1f}" for c in result.coverage(method)[:, column]]
            + [f"{np.degrees(length):.0f}" for length in result.length(method)[:, column]]
            for method in METHODS
        ]
        count = len(result.points)
        rows = tuple(
            (round(float(np.degrees(point.truth)), 3), *(c[a] for c in cells), *(c[count + a] for c in cells))
            for a, point in enumerate(result.points)
        )
        columns = ("α [°]", *METHODS, *(f"{method}: length [°]" for method in METHODS))
        note = f"In %; the halves of the bank differ by up to {100 * common:.1f} % (half their rms difference)."
        tables.append(Table(f"Coverage of α at {100 * level:.1f} %", columns, rows, note))
    return (*tables, _verdicts(result))


def _verdicts(result: PeriodCalibration) -> Table:
    rows, alarm = [], 0.0
    for method in METHODS:
        for magnitude in (False, True):
            verdict = result.verdict(method, magnitude)
            alarm = verdict.false_alarm
            ranges = (
                f"{100 * low:+.1f} to {100 * high:+.1f}" for low, high in zip(verdict.lowest, verdict.highest, strict=True)
            )
            word = "within" if verdict.within else "outside"
            rows.append(
                (method, "|α|" if magnitude else "α", *ranges, word, len(verdict.undercovers), len(verdict.overcovers))
            )
    columns = ("interval", "of", *(f"deviation at {100 * level:.1f} % [%]" for level in TARGETS), "targets")
    targets = " and ".join(f"{100 * tolerance:.0f} %" for tolerance in TARGETS.values())
    note = (
        f"Targets: within {targets} of the levels at every α. Too low and too high: at how many (α, level) significantly; a "
        f"perfect interval is blamed at all with a chance of {100 * alarm:g} %."
    )
    return Table("Verdict", (*columns, "too low", "too high"), tuple(rows), note)
