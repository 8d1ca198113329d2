"""What the report says of the expected precision, and of the calibration and the predictions of the posterior."""

from __future__ import annotations

import math

import numpy as np

from bmem import artifacts
from bmem.calibration.sbc import region_coverage
from bmem.plotting.report import Section, Table
from bmem.stages.figures import Figures
from bmem.stages.prospects import PREDICTED, Prospects, load_posterior_calibration, load_predictive, load_prospects
from bmem.stages.run import Run

_POWER = (
    "What measurements will tell, from the bank: the Fisher information of this likelihood along α, and the region that the "
    "average sample leaves. Where the likelihood is even, at 0 and 180°, σ diverges; the regions do not."
)
_POSTERIOR = (
    "Is the posterior calibrated? Truths are drawn from the prior and samples from the bank: the posterior probability "
    "below the truth has to be uniform, and regions of highest density have to hold it as often as they say. Below, what "
    "the posterior of each sample predicts for its observables: the bands are those of its mean and of samples of as many "
    "events; disagreement means that data and simulation differ."
)
_LEVELS = (0.5, 0.683, 0.9, 0.954)
_SUSPICIOUS = 1e-3
"""A p-value below this of any predicted observable, divided by their number, is a warning."""


def prospect_sections(run: Run, figures: Figures) -> list[Section]:
    """Those for which there are artifacts; none without a bank."""
    sections = []
    if artifacts.exists(run.prospects):
        table = _power_table(run, load_prospects(run))
        sections.append(Section("Expected precision", _POWER, (table,), tuple(figures.prospects())))
    names = _predicted(run)
    calibrated = artifacts.exists(run.posterior_calibration)
    if calibrated or names:
        tables = ((_calibration_table(run),) if calibrated else ()) + ((_predictive_table(run, names),) if names else ())
        shown = figures.posterior_calibration() if calibrated else []
        shown += [figure for name in names for figure in figures.predictive(name)]
        sections.append(Section("Posterior", _POSTERIOR, tables, tuple(shown)))
    return sections


def prospect_warnings(run: Run) -> tuple[str, ...]:
    """Sentences on a posterior that is not calibrated and on observables that are not as predicted."""
    found = []
    if artifacts.exists(run.posterior_calibration):
        sbc = load_posterior_calibration(run)
        if not sbc.calibrated:
            found.append(
                f"The posterior is not calibrated: p = {sbc.p_ranks:.2g} of its ranks, {sbc.p_levels:.2g} of its levels."
            )
    for name in _predicted(run):
        p_values = {observable: h.p_value for observable, h in load_predictive(run, name).items()}
        bad = [observable for observable, p in p_values.items() if p < _SUSPICIOUS * len(p_values)]
        if bad:
            found.append(f"{name}: {', '.join(bad)} is not distributed as the posterior predicts it.")
    return tuple(found)


def _predicted(run: Run) -> list[str]:
    """Samples with a predictive check."""
    return [sample.name for sample in run.config.sample if artifacts.exists(run.predictive(sample.name))]


def _power_table(run: Run, found: Prospects) -> Table:
    """Precision at the angles of the calibration, and the events that take one further."""
    events, power = run.config.fit.size, found.power
    wanted = run.config.precisions
    needed = {degrees: power.events_needed(math.radians(degrees)) for degrees in wanted}
    luminosity = power.luminosity_needed(math.radians(wanted[0])) / 1000 if wanted else None
    rows = []
    for a in range(0, len(power.truths), 2):
        cells = [_number(n[a]) for n in needed.values()]
        if luminosity is not None:
            cells.append(_number(luminosity[a]))
        sigma, error, known, rate = (
            np.degrees(values[a])
            for values in (
                power.sigma(events),
                power.sigma_error(events),
                power.sigma(events, hard=True),
                power.sigma(events, rate=True),
            )
        )
        kept = f"{power.kept[a]:.3f} ± {power.kept_error[a]:.3f}" if np.isfinite(power.kept[a]) else "–"
        shown = f"{sigma:.2f} ± {error:.2f}" if sigma < 180 else "–"
        rows.append((round(float(np.degrees(power.truths[a])), 3), shown, _degrees(known), _degrees(rate), kept, *cells))
    columns = ["α [°]", "σ [°]", "x_hard known [°]", "with rate [°]", "information kept"]
    columns += [f"events for {degrees:g}°" for degrees in wanted] + [f"fb⁻¹ for {degrees:g}°" for degrees in wanted[:1]]
    note = (
        f"σ of {events} events after the selection, from their shape; with rate: σ_fid and the luminosity are trusted. "
        "Needed are accepted events, and luminosity times branching ratios."
    )
    return Table("Expected precision", tuple(columns), tuple(rows), note)


def _degrees(sigma: float) -> str:
    return f"{sigma:.2f}" if sigma < 180 else "–"


def _number(value: float) -> str:
    """Two significant digits; a dash for more than a million."""
    return "–" if not value < 1e6 else f"{float(f'{value:.2g}'):,g}".replace(",", "\u202f")


def _calibration_table(run: Run) -> Table:
    found = load_posterior_calibration(run)
    result = region_coverage(found, _LEVELS)
    shares = (
        f"{100 * f:.1f} (-{100 * (f - low):.1f} +{100 * (high - f):.1f})"
        for f, low, high in zip(result.fraction, result.lower, result.upper, strict=True)
    )
    columns = (
        "samples",
        "events",
        "p of the ranks",
        "p of the levels",
        *(f"coverage at {100 * level:.1f} %" for level in _LEVELS),
    )
    row = (len(found.truths), found.events, f"{found.p_ranks:.3f}", f"{found.p_levels:.3f}", *shares)
    verdict = "calibrated" if found.calibrated else "not calibrated"
    chance = f"a perfect posterior is blamed with a chance of {100 * found.false_alarm:g} %"
    note = f"Prior: {found.prior}. Verdict: {verdict}; {chance}."
    return Table("Calibration of the posterior", columns, (row,), note)


def _predictive_table(run: Run, names: list[str]) -> Table:
    rows = []
    for name in names:
        p_values = {observable: found.p_value for observable, found in load_predictive(run, name).items()}
        rows.append((name, *(f"{p_values[observable]:.2f}" for observable in PREDICTED)))
    note = "Share of replicated samples with a larger χ²; values crowd around 1/2, because α was fitted to the same events."
    return Table("Predictive p-values", ("sample", *PREDICTED), tuple(rows), note)
