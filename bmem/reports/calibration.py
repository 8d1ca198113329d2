"""How the calibration of samples is shown: one column for each sample, estimates, pulls and coverage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bmem.calibration.ceiling import Ceiling
from bmem.calibration.sample import LEVELS, SHOWN, SampleCalibration
from bmem.calibration.subsamples import SubsampleFits
from bmem.inference.rounding import number
from bmem.plotting.calibration import draw_coverage, draw_estimates, draw_pulls
from bmem.quantity import Quantity
from bmem.reports.album import Album
from bmem.reports.page import Picture, Table
from bmem.reports.words import percent, value_with_error, with_unit

TEXT = (
    "Disjoint subsamples of known truth, fitted like data. Where the likelihood has a second minimum at the mirror image of "
    "the truth, estimates are folded onto the sign of the truth, and the gap tells how well the sign itself is resolved: "
    "the mean of −2 Δ log L between the best minimum of the wrong sign and that of the right one."
)
_OF_THE_SHAPE = (
    " It is of the shape alone: subsamples of a fixed number of events have no rate, and say nothing of the coverage of the "
    "measurement with its luminosity."
)
Calibrations = Mapping[str, SampleCalibration]


def calibration_table(found: Calibrations, quantity: Quantity, rate: bool = False) -> Table:
    """Bias, spread, pulls, coverage and score, one column for each sample; a fit with the ``rate`` is another one."""
    columns = [_column(one, quantity) for one in found.values()]
    rows = tuple((row, *(column[row] for column in columns)) for row in columns[0])
    note = "Pulls use the curvature error; coverage is that of the profile intervals." + _OF_THE_SHAPE * rate
    return Table("Subsamples", ("", *found), rows, note)


def _column(one: SampleCalibration, quantity: Quantity) -> dict[str, str]:
    pulls, covered, kept = one.fits.pulls(), one.fits.coverage(SHOWN), one.information_kept
    known = None if one.yardstick_fits is None else one.yardstick_fits.pulls()
    gap, right = _sign(one.fits)

    def with_error(value: float, error: float) -> str:
        return value_with_error(*quantity.printed([value, error]))

    return {
        with_unit(quantity.shown, quantity): f"{float(quantity.printed(one.fits.truth)):.4g}".replace("-", "−"),
        "subsamples": f"{len(one.fits.estimates)} of {one.fits.size} events",
        with_unit("bias", quantity): with_error(pulls.bias, pulls.bias_error),
        with_unit("spread", quantity): with_error(pulls.spread, pulls.spread_error),
        with_unit("spread with the hard event known", quantity): (
            "–" if known is None else with_error(known.spread, known.spread_error)
        ),
        "mean of the pulls": value_with_error(pulls.mean, pulls.mean_error),
        "width of the pulls": value_with_error(pulls.width, pulls.width_error),
        **{
            f"covered by {percent(level)} intervals": f"{k} of {n}"
            for level, k, n in zip(covered.levels, covered.covered, covered.trials, strict=True)
        },
        "gap between the signs": gap,
        "right sign": right,
        "p of the mean score": f"{one.score.p_value:.3g}",
        "information kept": "–" if kept is None else value_with_error(*kept),
    }


def ceiling_tables(found: Mapping[str, Ceiling]) -> list[Table]:
    """What the likelihood keeps of the information of the hard events, and what a regression keeps, if there is one."""
    if not found:
        return []
    rows = tuple(
        (name, one.events, value_with_error(*one.kept), value_with_error(*one.learned), value_with_error(*one.share))
        for name, one in found.items()
    )
    columns = ("sample", "events", "kept by the likelihood", "kept by a regression", "the first over the second")
    note = (
        "Of the information of x_hard. The regression reads all that the networks read, and is a ceiling as far as it was "
        "trained."
    )
    return [Table("Information", columns, rows, note)]


def _sign(fits: SubsampleFits) -> tuple[str, str]:
    """Mean gap between the signs, and how often the right one is preferred; nothing where the truth has no sign."""
    gaps = fits.sign_gap[np.isfinite(fits.sign_gap)]
    if not fits.folded or len(gaps) == 0:
        return "–", "–"
    return number(float(gaps.mean()), 1), f"{(gaps > 0).sum()} of {len(gaps)}"


def calibration_warnings(found: Calibrations) -> list[str]:
    """A sentence for everything that speaks against a calibration."""
    return [f"Calibration of {name}: {doubt}." for name, one in found.items() for doubt in one.doubts]


def calibration_verdict(found: Calibrations, rate: bool = False) -> str:
    """One sentence on all samples, and one more where the measurement is with the ``rate``; empty without any."""
    if not found:
        return ""
    failed = [name for name, one in found.items() if one.doubts]
    if failed:
        names = ", ".join(failed)
        return f"Calibration on simulated subsamples: failed for {names}, see the warnings.{_OF_THE_SHAPE * rate}"
    fewest = min(len(one.fits.estimates) for one in found.values())
    names = f"{', '.join(found)} ({fewest} subsamples each at least)"
    return f"Calibration on simulated subsamples: no fault found in {names}.{_OF_THE_SHAPE * rate}"


def calibration_figures(album: Album, name: str, one: SampleCalibration, quantity: Quantity) -> list[Picture]:
    """Estimates, pulls and coverage of the subsamples."""
    count, fits = len(one.fits.estimates), one.fits
    return [
        album.panels(
            f"estimates_{name}",
            f"{name}: estimates of {count} subsamples; the band is their mean and its error.",
            lambda panels: draw_estimates(panels, fits, quantity),
        ),
        album.panel(
            f"pulls_{name}", f"{name}: pulls of the subsamples.", lambda axes: draw_pulls(axes, fits.pulls(), quantity)
        ),
        album.panel(
            f"coverage_{name}",
            f"{name}: coverage of the profile intervals; the points share their subsamples.",
            lambda axes: draw_coverage(axes, fits.coverage(LEVELS)),
        ),
    ]
