"""How the calibration of the posterior and its predictions for the observables are shown."""

from __future__ import annotations

from collections.abc import Mapping

from bmem.calibration.predictive import PredictiveHistogram
from bmem.calibration.sample import LEVELS
from bmem.calibration.sbc import SimulationBasedCalibration, region_coverage
from bmem.plotting.calibration import draw_coverage
from bmem.plotting.posterior import draw_predictive, draw_sbc
from bmem.quantity import Quantity
from bmem.reports.album import Album
from bmem.reports.formulas import plain
from bmem.reports.page import Picture, Table
from bmem.reports.words import in_tex, percent

TEXT = (
    "Is the posterior calibrated? Truths are drawn from the prior and samples from the bank: the posterior probability "
    "below the truth has to be uniform, and regions of highest density have to hold it as often as they say. Below, what "
    "the posterior of each sample predicts for its observables: the bands are those of its mean and of samples of as many "
    "events; disagreement means that data and simulation differ."
)
Predictions = Mapping[str, PredictiveHistogram]
"""By the name of the observable."""
_SHOWN = (0.5, 0.683, 0.9, 0.954)
_FALSE_ALARM = 1e-3
"""Chance that any observable of a sample without fault is blamed."""


def posterior_table(found: SimulationBasedCalibration) -> Table:
    """Whether ranks and levels are uniform, and the coverage of regions of highest density."""
    result = region_coverage(found, _SHOWN)
    shares = (
        f"{100 * f:.1f} (−{100 * (f - low):.1f} +{100 * (high - f):.1f})"
        for f, low, high in zip(result.fraction, result.lower, result.upper, strict=True)
    )
    heads = (f"coverage at {percent(level)}" for level in _SHOWN)
    columns = ("samples", "events", "p of the ranks", "p of the levels", *heads)
    row = (len(found.truths), found.events, f"{found.p_ranks:.3f}", f"{found.p_levels:.3f}", *shares)
    verdict = "calibrated" if found.calibrated else "not calibrated"
    chance = f"a perfect posterior is blamed with a chance of {100 * found.false_alarm:g} %"
    return Table("Calibration of the posterior", columns, (row,), f"Prior: {found.prior}. Verdict: {verdict}; {chance}.")


def posterior_warnings(found: SimulationBasedCalibration) -> list[str]:
    """A sentence on a posterior that is not calibrated."""
    if found.calibrated:
        return []
    return [f"The posterior is not calibrated: p = {found.p_ranks:.2g} of its ranks, {found.p_levels:.2g} of its levels."]


def posterior_figures(album: Album, found: SimulationBasedCalibration) -> list[Picture]:
    """Ranks of the truths in their posteriors, and the coverage of its regions."""
    return [
        album.panels(
            "posterior_ranks",
            "Posterior probability below the truth, and of all that is more likely: flat if it is calibrated.",
            lambda panels: draw_sbc(panels, found),
            height=3.4,
            ratio=1,
        ),
        album.panel(
            "posterior_coverage",
            f"Coverage of the regions of highest density, averaged over the prior ({found.prior}); points share samples.",
            lambda axes: draw_coverage(axes, region_coverage(found, LEVELS), "regions of highest density"),
        ),
    ]


def predictive_table(found: Mapping[str, Predictions], quantities: Mapping[str, Quantity]) -> Table:
    """p-values of the observables, one column for each sample."""
    names = dict.fromkeys(name for histograms in found.values() for name in histograms)
    rows = tuple(
        (f"{_shown(name, quantities)}", *(f"{histograms[name].p_value:.2f}" for histograms in found.values()))
        for name in names
    )
    note = (
        "Share of replicated samples with a larger χ²; values crowd around 1/2, because they were fitted to the same events."
    )
    return Table("Predictive p-values", ("observable", *found), rows, note)


def predictive_warnings(name: str, found: Predictions, quantities: Mapping[str, Quantity]) -> list[str]:
    """A sentence on observables whose p-value is too small for the number of them (Bonferroni)."""
    small = [observable for observable, histogram in found.items() if histogram.p_value < _FALSE_ALARM / len(found)]
    bad = [plain(_shown(observable, quantities)) for observable in small]
    return [f"{name}: {', '.join(bad)}: not distributed as the posterior predicts."] if bad else []


def predictive_figures(album: Album, name: str, found: Predictions, quantities: Mapping[str, Quantity]) -> list[Picture]:
    """What the posterior predicts for the observables of a sample, and what was observed."""
    return [
        _predictive(album, f"predictive_{observable}_{name}", name, histogram, quantities[observable])
        for observable, histogram in found.items()
    ]


def _predictive(album: Album, file: str, name: str, histogram: PredictiveHistogram, quantity: Quantity) -> Picture:
    caption = (
        f"{name}: {in_tex(quantity)} of the events in the fit, and as the posterior predicts it; its bins are correlated."
    )
    return album.panel(file, caption, lambda axes: draw_predictive(axes, histogram, quantity))


def _shown(name: str, quantities: Mapping[str, Quantity]) -> str:
    return in_tex(quantities[name]) if name in quantities else name
