"""Coverage over the period: python run.py --out OUT. Runs all stages, prints the README's tables, writes results.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console

from bmem.calibration.mirror import fold
from bmem.calibration.period_verdict import TARGETS, PeriodCalibration
from bmem.calibration.reweighting import reweighting_test
from bmem.calibration.toy_intervals import METHODS
from bmem.calibration.toys import ToyScan
from bmem.config import BANK, load
from bmem.inference.objective import unusable_events
from bmem.likelihood.coefficients import Coefficients
from bmem.rng import numpy_generator
from bmem.stages import STAGES, Run
from bmem.stages.belt import load_bank
from bmem.stages.calibrate import true_value
from bmem.stages.period import product

RESULTS = Path(__file__).with_name("results.json")
Rows = list[tuple[str, ...]]


def main() -> None:
    """Run the stages, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/coverage"))
    run = Run(load(Path(__file__).with_name("coverage.toml")), parser.parse_args().out, Console(soft_wrap=True))
    for name, stage in STAGES.items():
        run.say(f"[bold]{name}[/]")
        stage(run)
    result = product(run).load()
    RESULTS.write_text(json.dumps(numbers(result), indent=2) + "\n")
    verdicts: Rows = [(str(result.verdict(method)),) for method in METHODS]
    for table in (estimates(result), coverages(result), verdicts, direct(run), larger_samples(run), sources(run, result)):
        print("\n".join("| " + " | ".join(row) + " |" for row in table), end="\n\n")


def numbers(result: PeriodCalibration) -> dict[str, float]:
    """Coverage of every method in % by its name, level and angle; bias and spread of α̂ in degrees."""
    (bias, error), spread, found = result.bias(), result.spread(), dict[str, float]()
    for a, point in enumerate(result.points):
        angle = f"{np.degrees(point.truth):.0f}"
        values = {"bias": bias[a], "bias_error": error[a], "sigma": spread[a]}
        found |= {f"{name}_{angle}": round(float(np.degrees(value)), 3) for name, value in values.items()}
        for method in METHODS:
            name = method.split(",")[0].lower().replace(" ", "_").replace("-", "_")
            for level in TARGETS:
                covered = 100 * result.coverage(method)[a, result.level(level)]
                found[f"{name}_{100 * level:.0f}_{angle}"] = round(float(covered), 2)
    return found


def estimates(result: PeriodCalibration) -> Rows:
    """Bias and spread of the estimates against the yardstick, one row per α."""
    rows: Rows = [("α", "bias / σ", "with x_hard known", "σ", "σ / σ known", "pull mean", "pull width", "right sign")]
    bias, error = result.bias()
    known = bias - result.excess_bias()[0]
    for a, point in enumerate(result.points):
        spread, floor = point.spread.mean(), point.known_spread.mean()
        sign = point.right_sign.mean()
        rows.append(
            (
                f"{np.degrees(point.truth):.0f}°",
                f"{bias[a] / spread:+.3f} ± {error[a] / spread:.3f}",
                f"{known[a] / floor:+.3f}",
                f"{np.degrees(spread):.1f}°",
                f"{spread / floor:.3f}",
                f"{point.pull_mean.mean():+.2f}",
                f"{point.pull_width.mean():.2f}",
                "–" if np.isnan(sign) else f"{100 * sign:.0f} %",
            )
        )
    return rows


def coverages(result: PeriodCalibration) -> Rows:
    """Coverage of α by every method at the levels of the targets, with the error of the recommended one, one row per α."""
    rows: Rows = [("α", *(f"{method}, {100 * level:.1f} %" for level in TARGETS for method in METHODS))]
    for a, point in enumerate(result.points):
        cells = [f"{np.degrees(point.truth):.0f}°"]
        for level in TARGETS:
            column = result.level(level)
            for method in METHODS:
                cell = f"{100 * result.coverage(method)[a, column]:.1f}"
                error = 100 * result.coverage_error(method)[:, a, column].max()
                cells.append(f"{cell} ± {error:.1f}" if method == "Feldman-Cousins" else cell)
        rows.append(tuple(cells))
    return rows


def direct(run: Run) -> Rows:
    """The bank against events made at the angles of the samples."""
    bank = load_bank(run)
    rows: Rows = [("α", "direct events", "effective events of the bank", "largest deviation", "χ² / dof", "p")]
    for sample in run.config.sample:
        alpha, events = true_value(run, sample.name), Coefficients.load(run.coefficients(sample.name))
        usable = np.setdiff1d(np.arange(events.n_events), unusable_events(events, bank.basis))
        if alpha is None:
            continue
        test = reweighting_test(bank, events.select(usable), alpha)
        rows.append(
            (
                f"{np.degrees(alpha):.0f}°",
                f"{test.direct}",
                f"{test.effective:.0f}",
                f"{np.abs(test.z).max():.1f} σ of {len(test.z)}",
                f"{test.chi2:.1f} / {test.dof}",
                f"{test.p_value:.2f}",
            )
        )
    return rows


def larger_samples(run: Run) -> Rows:
    """Bias of α̂ from 100 and 400 events, where it is large, from reconstructed events and with x_hard known."""
    bank = load_bank(run)
    rows: Rows = [("α", "events", "bias, x_hard known", "bias", "σ")]
    for degrees in (15, 30, 105):
        truth = float(np.radians(degrees))
        for events, toys in ((100, 4000), (400, 2000)):
            shifts = []
            for analysed in (bank.known(), bank):
                rng = numpy_generator(run.config.seed, "larger samples", degrees, events)
                found = ToyScan(analysed, 360).draw(truth, np.array([truth]), (toys, events), rng).estimates()
                shifts.append(np.degrees(fold(found.place, truth, 2 * np.pi) - truth))
            biases = (f"{x.mean():+.2f} ± {x.std() / np.sqrt(toys):.2f}°" for x in shifts)
            rows.append((f"{degrees}°", f"{events}", *biases, f"{shifts[1].std():.1f}°"))
    return rows


def sources(run: Run, result: PeriodCalibration) -> Rows:
    """Where a bias of the likelihood comes from: mean score at the truth times σ², to first order, in degrees."""
    bank, observed = load_bank(run), Coefficients.load(run.coefficients(BANK))
    basis, learned, simulated = bank.basis, bank.fiducial[0], bank.exact_fiducial
    usable = np.setdiff1d(np.arange(observed.n_events), unusable_events(observed, basis))
    integrals, covariance = observed.values[0, usable], observed.covariance[0, usable]
    rows: Rows = [("α", "mean score", "of this: learned σ_fid", "integration noise")]
    for point, spread in zip(result.points, result.spread(), strict=True):
        if not 10 < np.degrees(point.truth) < 110:
            continue
        weights, b, db = bank.weights([point.truth]), basis.value([point.truth]), basis.gradient([point.truth])[0]
        density, slope = integrals @ b, integrals @ db
        score = weights @ (slope / density) - db @ learned / (b @ learned)
        cross_section = db @ simulated / (b @ simulated) - db @ learned / (b @ learned)
        variance, covariant = (np.einsum("k,nkl,l->n", v, covariance, b) for v in (b, db))
        # E[log Î] = log I - Var(Î) / 2 I²
        noise = weights @ (variance * slope / density**3 - covariant / density**2)
        scale = np.degrees(point.events * spread**2)
        rows.append((f"{np.degrees(point.truth):.0f}°", *(f"{scale * x:+.2f}°" for x in (score, cross_section, noise))))
    return rows


if __name__ == "__main__":
    main()
