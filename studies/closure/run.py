"""Closure on oracles: python run.py [toy] [fine] [coarse] [fits_fine] [fits_coarse] [--out OUT] [--quick].

Prints tables and writes them and figures to OUT; see README.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measurements import Array, FitClosure, IntegralClosure, exact_coefficients, fixed
from oracles import COARSE, FINE
from thj_closure import ThjStudy, angle
from toy_closure import ToyStudy

from bmem.calibration.pulls import moments, summarise_pulls
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.basis import MorphingBasis
from bmem.plotting import style
from bmem.plotting.calibration import draw_estimates, draw_pulls
from bmem.process.single_top_higgs import ALPHA
from bmem.quantity import Quantity

SEED = 1
ADAPTIVE = IntegrationSettings(pilot=256, min_points=256, max_points=8192, relative_error=0.02, points_per_chunk=1 << 15)
FITTED = IntegrationSettings(pilot=128, min_points=128, max_points=2048, relative_error=0.05, points_per_chunk=1 << 15)
POINTS = 4096
TOY_ANGLES = torch.deg2rad(torch.tensor([[60.0], [120.0]], dtype=torch.float64))
THJ_ANGLES = torch.deg2rad(torch.tensor([[0.0], [90.0]], dtype=torch.float64))
RESOLUTIONS = {"fine": FINE, "coarse": COARSE}
ALIVE = [0, 1, 2, 3, 5]
TRUTH = 60
ELSEWHERE = 120
DEGREES = math.degrees(1)
INTEGRALS = (
    "| integrals | number | points | effective | error | mean pull of each I_k | width | log ratio: mean | width | sums |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
FITS = (
    "| fits | subsamples | bias | spread | Fisher | pull mean | pull width | covers 68.3 % | 95.4 % | mean score p |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
ERRORS = "| training events | median abs. error | rms | mean | MC error |\n|---|---|---|---|---|"


class Report:
    """Lines that are printed, and kept in OUT/NAME.md; figures in OUT. ``scale`` divides the work."""

    def __init__(self, out: Path, name: str, scale: int) -> None:
        self.out, self.path, self.scale = out, out / f"{name}.md", scale
        out.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def say(self, line: str) -> None:
        """Print and keep a line."""
        print(line, flush=True)
        with self.path.open("a") as stream:
            stream.write(line + "\n")

    def runs(self, n: int) -> range:
        """Seeds of repeated integrations."""
        return range(max(1, n // self.scale))

    def integrals(self, name: str, found: IntegralClosure) -> None:
        """A row of the table ``INTEGRALS``; of the errors of means and widths the largest is given."""
        c, (runs, events) = found.closure, found.ratio_pulls.shape
        mean, mean_error, width, width_error = moments(found.ratio_pulls.ravel())
        sums = f"{found.sum_pulls.mean():+.2f} ± {1 / math.sqrt(runs):.2f}"
        self.say(
            f"| {name} | {events} x {runs} | {found.points:.0f} | {100 * found.effective_fraction:.0f} % | "
            f"{100 * found.relative_error:.2f} % | {_each(c.mean, '+')} (± {np.nanmax(c.mean_error):.3f}) | "
            f"{_each(c.width)} (± {np.nanmax(c.width_error):.3f}) | {mean:+.3f} ± {mean_error:.3f} | "
            f"{width:.3f} ± {width_error:.3f} | {sums} |"
        )

    def fits(self, name: str, found: FitClosure) -> None:
        """A row of the table ``FITS``, angles in degrees."""
        p, fisher = found.pulls, DEGREES * found.score.expected_error(found.fits.size)[0]
        self.say(
            f"| {name} | {len(found.fits.estimates)} x {found.fits.size} | {DEGREES * p.bias:+.2f} ± "
            f"{DEGREES * p.bias_error:.2f}° | {DEGREES * p.spread:.2f} ± {DEGREES * p.spread_error:.2f}° | {fisher:.2f}° | "
            f"{p.mean:+.2f} ± {p.mean_error:.2f} | {p.width:.3f} ± {p.width_error:.3f} | {100 * found.covered[0]:.1f} % | "
            f"{100 * found.covered[1]:.1f} % | {found.score.p_value:.2g} |"
        )

    def fit_figures(self, name: str, found: FitClosure, quantity: Quantity = ALPHA.quantity) -> None:
        """Estimates around the truth, and their pulls."""
        with style.house_style():
            figure, panels = style.new_panels()
            draw_estimates(panels, found.fits, quantity)
            style.save(figure, self.out / f"{name}_estimates")
            figure, axes = style.new_figure()
            draw_pulls(axes, found.pulls, quantity)
            style.save(figure, self.out / f"{name}_pulls")

    def ratio_figure(self, name: str, found: IntegralClosure) -> None:
        """Pulls of the log-likelihood ratios of single events."""
        pulls = found.ratio_pulls.ravel()
        with style.house_style():
            figure, axes = style.new_figure()
            artists = draw_pulls(axes, summarise_pulls(pulls, np.ones_like(pulls), 0.0), ALPHA.quantity)
            artists["histogram"].set_label("integrals")
            style.legend_above(axes)
            axes.set(xlabel="(log ratio - exact) / its error", ylabel="integrals")
            style.save(figure, self.out / f"{name}_pulls")


def _each(numbers: Array, sign: str = "") -> str:
    return " ".join(f"{x:{sign}.3f}" for x in numbers if np.isfinite(x))


def toy(report: Report) -> None:
    """The linear-Gaussian toy."""
    study, theta = ToyStudy(SEED, steps=2000 // report.scale), math.radians(TRUTH)
    proposal = study.learn("proposal", 30_000)
    x_reco, _ = study.pairs(500, angle(TRUTH), "integrals")
    integrand, exact = study.integrand(x_reco, proposal), study.exact(x_reco)
    report.say("\n### Toy: exact transfer, learned proposal\n\n" + INTEGRALS)
    for settings in (fixed(POINTS), ADAPTIVE):
        closed = IntegralClosure.of(integrand, settings, exact, TOY_ANGLES, report.runs(8))
        report.integrals("adaptive" if settings is ADAPTIVE else "fixed", closed)
        report.ratio_figure("toy_adaptive" if settings is ADAPTIVE else "toy_fixed", closed)

    x_reco, _ = study.pairs(200_000 // report.scale, angle(TRUTH), "fits")
    first = x_reco[:10_000]
    measured = study.measured(study.integrand(first, proposal), fixed(512))
    integrated = FitClosure.of(study.process, measured, theta, 100, SEED)
    known = FitClosure.of(study.process, study.known(first), theta, 100, SEED)
    report.say(f"\n### Toy: θ = {TRUTH}°, exact transfer\n\n" + FITS)
    report.fits("integrated", integrated)
    report.fits("closed form, the same events", known)
    for size in (100, 1000):
        report.fits("closed form, more events", FitClosure.of(study.process, study.known(x_reco), theta, size, SEED))
    elsewhere = study.known(study.pairs(len(x_reco), angle(ELSEWHERE), "fits elsewhere")[0])
    report.fits(f"closed form, at {ELSEWHERE}°", FitClosure.of(study.process, elsewhere, math.radians(ELSEWHERE), 100, SEED))
    report.fit_figures("toy_fits", integrated, Quantity("theta", r"\theta", "deg", DEGREES))
    step = (integrated.fits.estimates - known.fits.estimates) / known.fits.errors
    report.say(f"\nθ̂(integrated) - θ̂(closed form) in σ: mean {step.mean():+.4f}, rms {np.sqrt((step**2).mean()):.4f}")
    _toy_network_error(report, study, theta)


def _toy_network_error(report: Report, study: ToyStudy, theta: float) -> None:
    proposal, (x_reco, _) = study.learn("proposal", 30_000), study.pairs(10_000, angle(TRUTH), "network error")
    report.say("\n### Toy: relative error of Σ c_k I_k by a learned transfer over 500 events\n\n" + ERRORS)
    fits = []
    for events in (2_000, 8_000, 32_000, 128_000):
        transfer = study.learn("transfer", events)
        error, noise = study.network_error(study.integrand(x_reco[:500], proposal, transfer), fixed(2048))
        rms = math.sqrt(max(float((error**2).mean() - (noise**2).mean()), 0.0))
        report.say(
            f"| {events} | {100 * np.median(np.abs(error)):.2f} % | {100 * rms:.2f} % | {100 * error.mean():+.2f} ± "
            f"{100 * error.std() / math.sqrt(len(error)):.2f} % | {100 * np.median(noise):.2f} % |"
        )
        measured = study.measured(study.integrand(x_reco, proposal, transfer), fixed(512))
        fits.append((f"learned from {events}", FitClosure.of(study.process, measured, theta, 100, SEED)))
    report.say(f"\n### Toy: θ = {TRUTH}°, learned transfer\n\n" + FITS)
    for name, found in fits:
        report.fits(name, found)
    report.fits("closed form", FitClosure.of(study.process, study.known(x_reco), theta, 100, SEED))


def thj_integrals(report: Report, label: str) -> None:
    """Integrals of tHj against vegas, with the resolutions called ``label``."""
    report.say(f"\n### tHj, {label} resolution: integrals against vegas (I_k of W², WS, WP, S², P²)\n\n{INTEGRALS}")
    study = ThjStudy(SEED, resolutions=RESOLUTIONS[label])
    x_reco, _ = study.pairs(100 // report.scale, angle(45), "integrals")
    exact = study.brute_force(x_reco)
    learned = study.learned(60_000 // report.scale, epochs=12)
    cases = {
        "Gaussian": (study.transfer, fixed(POINTS // 8)),
        "heavy tails": (study.heavy_tailed(20_000), fixed(POINTS)),
        "learned": (learned, fixed(POINTS)),
        "learned, adaptive": (learned, ADAPTIVE),
    }
    for name, (proposal, settings) in cases.items():
        integrand = study.integrand(x_reco, proposal)
        closed = IntegralClosure.of(integrand, settings, exact, THJ_ANGLES, report.runs(16))
        report.integrals(f"{label}, {name}", closed)
    report.ratio_figure(f"thj_{label}", closed)
    sigma = np.sqrt(np.diagonal(exact.covariance, axis1=1, axis2=2))
    error = np.median(sigma[:, ALIVE] / np.abs(exact.values[:, ALIVE]), 0)
    ours, theirs = (_estimate(study, v) for v in (study.measured(integrand, ADAPTIVE).values[0], exact.values))
    report.say(f"\nvegas itself, 200 000 evaluations per event: errors of the I_k {_each(100 * error)} % (medians).")
    report.say(f"α̂ of these {len(sigma)} events: by vegas {theirs}, by bmem (learned, adaptive) {ours}")


def _estimate(study: ThjStudy, values: Array) -> str:
    """α̂ of all events together."""
    basis = MorphingBasis.of(study.process)
    best = fit(NegativeTwoLogLikelihood.of(exact_coefficients(values, study.fiducial), basis)).best
    return f"{DEGREES * best.theta[0]:.3f} ± {DEGREES * best.error[0]:.2f}°"


def thj_fits(report: Report, label: str) -> None:
    """α̂ of subsamples of tHj, beside the yardstick on the same events; the coarse ones pass a soft threshold, too."""
    report.say(f"\n### tHj, {label} resolution: α̂ from the integrals, and with x_hard known\n\n{FITS}")
    study = ThjStudy(SEED, label == "coarse", RESOLUTIONS[label])
    proposal = study.learned(60_000 // report.scale, epochs=12) if study.threshold else study.transfer
    for degrees in (45, 90):
        x_reco, x_hard = study.pairs(100_000 // report.scale, angle(degrees), f"fits {degrees}")
        found = {
            "integrated": study.measured(study.integrand(x_reco, proposal), FITTED),
            "x_hard known": study.known(x_hard),
        }
        for events, size in ((10_000, 100), (len(x_reco), 100), (len(x_reco), 1000)):
            for name, coefficients in found.items():
                part = FitClosure.of(study.process, coefficients.select(slice(events)), degrees / DEGREES, size, SEED)
                report.fits(f"{degrees}°, {name}", part)
                if name == "integrated" and events == 10_000:
                    report.fit_figures(f"thj_{label}_{degrees}", part)


PARTS: dict[str, Callable[[Report], None]] = {
    "toy": toy,
    "fine": partial(thj_integrals, label="fine"),
    "coarse": partial(thj_integrals, label="coarse"),
    "fits_fine": partial(thj_fits, label="fine"),
    "fits_coarse": partial(thj_fits, label="coarse"),
}


def main() -> None:
    """Run the parts that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("out/closure"))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part {sorted(unknown)}; there are {list(PARTS)}")
    torch.set_num_threads(1)
    for part in arguments.parts or PARTS:
        PARTS[part](Report(arguments.out, part, scale=10 if arguments.quick else 1))


if __name__ == "__main__":
    main()
