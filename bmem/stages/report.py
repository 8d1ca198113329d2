"""Stage 6: all figures, and one self-contained HTML page with the numbers, the configuration and the provenance."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from bmem import artifacts
from bmem.calibration.goodness import STATISTICS, Goodness
from bmem.calibration.subsamples import SubsampleFits
from bmem.config import PERIOD
from bmem.inference.combine import Spread, estimates_needed
from bmem.inference.influence import Influence
from bmem.integration.diagnostics import Flag
from bmem.likelihood.coefficients import load_diagnostics
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.networks.classifier import reliability
from bmem.plotting.integration import worst_events
from bmem.plotting.report import Headline, Report, Section, Table, write_report
from bmem.stages.backgrounds import background_parents, background_trainings
from bmem.stages.calibrate import SampleCalibration, true_alpha
from bmem.stages.figures import Figures
from bmem.stages.fit import KIND as FIT
from bmem.stages.parameter_report import fraction_lines, parameter_tables
from bmem.stages.period_report import belt_intervals, period_section, period_warnings
from bmem.stages.prospects_report import prospect_sections, prospect_warnings
from bmem.stages.run import Run
from bmem.stages.train import NAMES, Networks, Pairs, load_history, posterior_of, trainings

_CALIBRATION = (
    "Disjoint subsamples of known α, fitted like data. The likelihood has minima near α and -α; estimates are folded "
    "onto the sign of the truth, and the gap tells how well the sign itself is resolved: the mean of -2 Δ log L between "
    "the best minimum of the wrong sign and that of the right one."
)


_SCRUTINY = (
    "How far the estimate moves when an event is left out, to first order, and whether the densities of the events are "
    "those expected at α̂: held against toys from the bank, fitted in the same way."
)


def report(run: Run) -> None:
    """Draw everything and write ``report.html``; always anew, it is quick."""
    figures, names = Figures(run), [sample.name for sample in run.config.sample]
    networks, data = Networks.load(run), Pairs.load(run, "validation")
    calibrated = [name for name in names if artifacts.exists(run.calibration(name))]
    shown = [figures.likelihood(name) for name in names] + figures.belts()
    shown += [figure for name in names for figure in figures.second_fits(name)]
    tables = (_budget_table(run, names), *parameter_tables(run))
    sections = [Section("Measurement", tables=tables, figures=tuple(shown))]
    shown = [figure for name in names for figure in figures.scrutiny(name)]
    tables = tuple(_drivers_table(run, name) for name in names)
    sections.append(Section("Events and goodness of fit", _SCRUTINY, (_goodness_table(run, names), *tables), tuple(shown)))
    if calibrated:
        shown = [figure for name in calibrated for figure in figures.calibration(name)]
        sections.append(Section("Calibration", _CALIBRATION, (_calibration_table(run, calibrated),), tuple(shown)))
    if artifacts.exists(run.calibration(PERIOD)):
        sections.append(period_section(run, tuple(figures.period())))
    sections += prospect_sections(run, figures)
    shown = [figure for name in names for figure in figures.integration(name)]
    tables = tuple(_worst_table(run, name) for name in names)
    sections.append(Section("Integration", figures=tuple(shown), tables=tables))
    shown = figures.training() + figures.densities(networks, data) + figures.acceptance(networks, data)
    shown += figures.backgrounds()
    tables = (_training_table(run), _cross_section_table(run), _acceptance_table(networks, data))
    sections.append(Section("Networks", tables=tables, figures=tuple(shown)))
    page = Report(
        title="Measurement of the CP phase α of the top Yukawa coupling",
        subtitle=f"pp → tHj at {run.config.process.sqrt_s / 1000:g} TeV, {run.config.simulation.response} response",
        headlines=tuple(_headline(run, name) for name in names),
        warnings=tuple(_network_warnings(run) + [w for name in names for w in _warnings(run, name)])
        + period_warnings(run)
        + prospect_warnings(run),
        sections=tuple(sections),
        configuration=json.dumps(json.loads(run.config.model_dump_json(exclude_defaults=False)), indent=1),
        provenance=_provenance(run, names),
    )
    write_report(run.out / "report.html", page)
    run.say(f"  {run.out / 'report.html'}")


def _headline(run: Run, name: str) -> Headline:
    fit = run.load_json(run.fit(name), FIT)
    table = fit["budget"]
    best = np.degrees(table["estimate"]["minima"][0]["theta"][0])
    errors = {"statistical": table["statistical"][0], "integration": table["integration_linear"][0]}
    if table["integration"] is not None:
        errors["integration"] = table["integration"]["std"][0]
    if table["network"] is not None:
        parts = {"simulation statistics": table["simulation"][0], "weights": table["weights"][0]}
        errors |= parts | {"total": table["total"][0]}
    budget = [(source, _degrees(error)) for source, error in errors.items()]
    budget += [("network", "not evaluated")] * (table["network"] is None)
    regions = zip(fit["intervals"], fit["printed_intervals"], strict=True)
    shown = tuple((f"{100 * region['level']:.1f} %", text) for region, text in regions) + belt_intervals(fit)
    bayesian = zip(fit["posterior"]["intervals"], fit["posterior"]["printed_intervals"], strict=True)
    prior = "flat prior" + " and constraints" * bool(fit["constraints"])
    shown += tuple((f"{100 * region['level']:.1f} %, highest density, {prior}", text) for region, text in bayesian)
    shown += fraction_lines(fit)
    alpha = true_alpha(run, name)
    remark = f"{fit['events']} events" + ("" if alpha is None else f", generated at α = {np.degrees(alpha):.4g}°")
    return Headline(f"α̂ of {name}", f"{best:.1f}°", shown, tuple(budget), remark)


def _budget_table(run: Run, names: list[str]) -> Table:
    """The uncertainty of α̂ by source, and how well each is known from so many estimates."""
    rows = []
    for name in names:
        budget = run.load_json(run.fit(name), FIT)["budget"]
        rows.append((name, "statistical", _degrees(budget["statistical"][0]), "curvature of -2 log L", "", ""))
        for source, what in (("integration", "resamples"), ("network", "replicas")):
            if budget[source] is not None:
                found = Spread(**budget[source])
                known = f"{100 * found.relative_error:.0f} %"
                share = f"{100 * found.switched:.0f} %"
                rows.append((name, source, _degrees(found.std[0]), f"{found.n} {what}", known, share))
        if budget["weights"] is not None:
            for part, what in (("simulation", "counting of σ_k"), ("weights", "same σ_k for all replicas")):
                rows.append((name, f"network: {part}", _degrees(budget[part][0]), what, "", ""))
        count, of = budget["effective_replicas"], 1 if budget["network"] is None else budget["network"]["n"]
        rows.append((name, "effective replicas", f"{count:.1f} of {of}", "shares in the average likelihood at α̂", "", ""))
    note = (
        f"An error bar known to 20 % takes {estimates_needed(0.2)} replicas or resamples, to 10 % {estimates_needed(0.1)}. "
        "Switched: estimates whose best minimum is another than that of α̂; the spread follows the one of α̂."
    )
    return Table("Uncertainty budget", ("sample", "source", "σ(α̂)", "from", "known to", "switched"), tuple(rows), note)


def _goodness_table(run: Run, names: list[str]) -> Table:
    """Is a sample compatible with any α?"""
    rows: list[tuple[str, ...]] = []
    for name in names:
        found = run.load_json(run.fit(name), FIT)["goodness"]
        if found is None or "refused" in found:
            rows.append((name, "not evaluated: " + ("no bank" if found is None else found["refused"]), "", ""))
            continue
        goodness = Goodness.from_dict(found)
        p_values = (f"{p:.3f} ± {e:.3f}" for p, e in zip(goodness.p_values, goodness.p_errors, strict=True))
        both, error = goodness.p_value
        rows.append((name, *p_values, f"{both:.3f} ± {error:.3f}"))
    columns = ("sample", *(f"p of the {statistic}" for statistic in STATISTICS), "p of both")
    return Table("Goodness of fit", columns, tuple(rows))


def _drivers_table(run: Run, name: str) -> Table:
    """The events that α̂ hangs on."""
    found = Influence.from_dict(run.load_json(run.fit(name), FIT)["influence"])
    rows = tuple(
        (driver.event, f"{-np.degrees(driver.shift[0]):+.2f}", f"{driver.relative:.2f}", ", ".join(driver.doubts))
        for driver in found.drivers(5)
    )
    return Table(f"Most influential events of {name}", ("event", "pull on α̂ [°]", "in σ", "doubts"), rows)


def _degrees(radians: float | None) -> str:
    if radians is None or not np.isfinite(radians):
        return "no curvature, see the intervals"
    return f"{np.degrees(radians):.1f}°"


def _calibration_table(run: Run, names: list[str]) -> Table:
    measured = (
        "bias [°]",
        "spread [°]",
        "spread, x_hard known [°]",
        "pull mean",
        "pull width",
        "coverage 68.3 %",
        "coverage 95.4 %",
    )
    columns = ("sample", "α [°]", "subsamples", *measured, "sign gap", "right sign", "mean score p", "information kept")
    rows = []
    for name in names:
        result = SampleCalibration.load(run.calibration(name))
        pulls, coverage = result.fits.pulls(), result.fits.coverage((0.683, 0.954))
        known = None if result.yardstick_fits is None else result.yardstick_fits.pulls()
        kept = result.information_kept
        rows.append(
            (
                name,
                round(float(np.degrees(result.fits.truth)), 3),
                len(result.fits.estimates),
                f"{np.degrees(pulls.bias):.2f} ± {np.degrees(pulls.bias_error):.2f}",
                f"{np.degrees(pulls.spread):.2f} ± {np.degrees(pulls.spread_error):.2f}",
                "–" if known is None else f"{np.degrees(known.spread):.2f} ± {np.degrees(known.spread_error):.2f}",
                f"{pulls.mean:.2f} ± {pulls.mean_error:.2f}",
                f"{pulls.width:.2f} ± {pulls.width_error:.2f}",
                *(f"{k}/{n}" for k, n in zip(coverage.covered, coverage.trials, strict=True)),
                *_sign(result.fits),
                f"{result.score.p_value:.3g}",
                "–" if kept is None else f"{kept[0]:.2f} ± {kept[1]:.2f}",
            )
        )
    note = "Pulls use the curvature error; coverage is that of the profile intervals."
    return Table("Subsamples", columns, tuple(rows), note)


def _sign(fits: SubsampleFits) -> tuple[str, str]:
    """Mean gap between the signs, and how often the right one is preferred; nothing where the truth has no sign."""
    gaps = fits.sign_gap[np.isfinite(fits.sign_gap)]
    if not fits.folded or len(gaps) == 0:
        return "–", "–"
    return f"{gaps.mean():.1f}", f"{(gaps > 0).sum()}/{len(gaps)}"


def _worst_table(run: Run, name: str) -> Table:
    diagnostics = {k: v for k, v in load_diagnostics(run.coefficients(name)).items() if k != "flags"}
    return Table(f"Worst events of {name}", ("event", *diagnostics), tuple(worst_events(diagnostics)))


def _training_table(run: Run) -> Table:
    rows = []
    for name in trainings(run) + background_trainings(run):
        history = load_history(run, name)
        # what a posterior holds out its point estimate may have been trained on: no held-out loss
        quality = ("–", "–") if name.endswith(posterior_of("")) else (history.best_epoch + 1, history.best_loss)
        rows.append((name, len(history.train_loss), *quality, sum(history.seconds)))
    note = "Epochs and seconds of a posterior with several members are those of one of them."
    return Table("Training", ("network", "epochs", "best epoch", "held-out loss", "seconds"), tuple(rows), note)


def _cross_section_table(run: Run) -> Table:
    fiducial = FiducialCrossSection.load(run.fiducial)
    rows = []
    for degrees in (0, 45, 90, 135, 180):
        theta = torch.deg2rad(torch.tensor([degrees], dtype=torch.float64))
        b = run.process.basis(theta).numpy()
        values = fiducial.values @ b
        sigma, total = float(values.mean()), run.process.cross_section(theta)[0]
        error = float(np.sqrt(b @ fiducial.covariance.mean(0) @ b))
        network = f"{1000 * values.std(ddof=1):.2g}" if len(values) > 1 else "not evaluated"
        rows.append((degrees, 1000 * total, 1000 * sigma, 1000 * error, network, sigma / total))
    return Table(
        "Cross sections",
        ("α [°]", "σ [fb]", "σ_fid [fb]", "integration error [fb]", "network error [fb]", "acceptance"),
        tuple(rows),
        "σ_fid from the learned acceptance; no branching ratios.",
    )


def _acceptance_table(networks: Networks, data: Pairs) -> Table:
    """Is the learned acceptance calibrated on events that it has not seen?"""
    with torch.no_grad():
        predicted = networks.acceptance("probability", data.x_hard).mean(0).numpy()
    observed = data.accepted.numpy()
    test = reliability(predicted, observed, bins=12)
    error = float(observed.std() / np.sqrt(len(observed)))
    row = (len(observed), float(observed.mean()), error, float(predicted.mean()), test.chi2, len(test.count), test.p_value)
    columns = ("validation events", "accepted fraction", "its error", "mean prediction", "χ² of reliability", "bins", "p")
    return Table("Acceptance", columns, (row,))


def _network_warnings(run: Run) -> list[str]:
    """What was found doubtful about the posteriors over weights when they were fitted."""
    names = [*NAMES, *background_parents(run)]
    suspicions = {name: artifacts.read_header(run.network(name)).settings.get("suspicions", []) for name in names}
    return [f"Posterior of the {name}: {suspicion}." for name, found in suspicions.items() for suspicion in found]


def _warnings(run: Run, name: str) -> list[str]:
    """Sentences on what should not be trusted as it stands."""
    diagnostics = load_diagnostics(run.coefficients(name))
    flags, n = diagnostics["flags"], len(diagnostics["flags"])
    found = []
    for flag in Flag:
        count = int(np.count_nonzero(flags & flag))
        if count:
            found.append(f"{name}: {count} of {n} events are flagged {flag.name} in the integration.")
    outside = int(diagnostics["outside"].sum())
    if outside:
        found.append(f"{name}: {outside} of {n} events lie outside the range of the training events.")
    fit = run.load_json(run.fit(name), FIT)
    if "refused" in (fit.get("belt") or {}):
        found.append(f"{name}: no Feldman-Cousins interval: {fit['belt']['refused']}.")
    if fit["excluded"]:
        found.append(f"{name}: events {fit['excluded']} have no usable density and were left out of the fit.")
    return found


def _provenance(run: Run, names: list[str]) -> dict[str, Any]:
    paths = [run.events("training"), *(run.network(n) for n in NAMES), *(run.coefficients(n) for n in names)]
    checksums = {str(p.relative_to(run.out)): artifacts.read_header(p).sha256[:16] for p in paths}
    return {"seed": run.config.seed} | artifacts.software_versions() | checksums
