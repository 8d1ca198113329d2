"""Figures of a run, drawn from its artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmem import artifacts
from bmem.calibration.goodness import Goodness
from bmem.calibration.neyman import Belt
from bmem.calibration.sbc import region_coverage
from bmem.events.reconstruction import OBSERVABLES
from bmem.inference.contours import ContourSet
from bmem.inference.influence import Influence
from bmem.likelihood.coefficients import load_diagnostics
from bmem.plotting.acceptance import Predictions, draw_acceptance, draw_reliability
from bmem.plotting.belt import draw_belt
from bmem.plotting.calibration import draw_coverage, draw_estimates, draw_pulls
from bmem.plotting.contours import KAPPA_P, KAPPA_S, MU, draw_contours
from bmem.plotting.coverage import draw_bias_and_spread, draw_levels, draw_methods_along
from bmem.plotting.event_display import draw_event, event_figure
from bmem.plotting.goodness import draw_goodness
from bmem.plotting.influence import draw_influence
from bmem.plotting.integration import draw_effective_fraction, draw_pareto_k, draw_relative_error
from bmem.plotting.likelihood import LikelihoodCurve, draw_likelihood
from bmem.plotting.posterior import draw_predictive, draw_sbc
from bmem.plotting.power import draw_expected_intervals, draw_expected_lengths, draw_kept, draw_power
from bmem.plotting.quantity import ALPHA, Quantity
from bmem.plotting.report import ReportFigure
from bmem.plotting.style import legend_above, new_figure, new_panels, save, style
from bmem.plotting.training import draw_losses
from bmem.plotting.transfer import draw_transfer
from bmem.rng import generator
from bmem.stages.backgrounds import background_trainings, drawn, held_out_events, observed
from bmem.stages.calibrate import LEVELS, SampleCalibration, true_alpha
from bmem.stages.fit import KIND as FIT
from bmem.stages.period import RECOMMENDED, load_period
from bmem.stages.prospects import load_posterior_calibration, load_predictive, load_prospects
from bmem.stages.run import Run
from bmem.stages.simulate import load_sample, measured_samples
from bmem.stages.train import Networks, Pairs, load_history, trainings

_SHOWN = {
    "pt_H": Quantity(r"p_{T}^{\gamma\gamma}", "GeV"),
    "y_H": Quantity(r"y_{\gamma\gamma}"),
    "pt_j": Quantity(r"p_{T}^{j}", "GeV"),
    "eta_j": Quantity(r"\eta_{j}"),
    "m_t": Quantity(r"m_{bjj}", "GeV"),
    "m_W": Quantity(r"m_{jj}", "GeV"),
    "y_t": Quantity(r"y_{bjj}"),
}


_DRAWN = 20_000
_OF_BACKGROUND = ("held-out events", "learned density")


class Figures:
    """Draws into ``run.out/figures``; every method returns what the report shows."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def likelihood(self, name: str) -> ReportFigure:
        """-2 Δ log L of a sample with its bands and intervals."""
        fit = self.run.load_json(self.run.fit(name), FIT)
        minima = fit["budget"]["estimate"]["minima"]
        curve = LikelihoodCurve(
            theta=np.array(fit["theta"]),
            delta=np.array(fit["delta"]),
            curves=np.array(fit["curves"]) if fit["curves"] else None,
            minima=np.array([m["theta"][0] for m in minima]),
            minimum_values=np.array([m["delta"] for m in minima]),
            intervals={region["level"]: region["intervals"] for region in fit["intervals"]},
            truth=true_alpha(self.run, name),
        )
        with style():
            figure, axes = new_figure()
            draw_likelihood(axes, curve, top=float(np.clip(1.3 * curve.minimum_values.max(), 12, 25)))
            bands = "resamples of the integration points" + ", the replicas taking turns" * (fit["replicas"] > 1)
            caption = f"{name}: -2 Δ log L of {fit['events']} events; the bands are {bands}."
            return self._saved(figure, f"likelihood_{name}", caption)

    def second_fits(self, name: str) -> list[ReportFigure]:
        """Contours of the free couplings, and of α and a free signal strength, where they were fitted."""
        fit, alpha = self.run.load_json(self.run.fit(name), FIT), true_alpha(self.run, name)
        couplings = None if alpha is None else (float(np.cos(alpha)), float(2 / 3 * np.sin(alpha)))
        shown = []
        strength = None if alpha is None else (alpha, 1.0)
        for what, quantities, truth, caption in (
            ("couplings", (KAPPA_S, KAPPA_P), couplings, "κ_S and κ_P, fitted freely; joint regions."),
            ("strength", (ALPHA, MU), strength, "α and the signal strength, fitted freely; joint regions."),
        ):
            if fit[what] is not None:
                with style():
                    figure, axes = new_figure(height=3.2)
                    draw_contours(axes, ContourSet.from_dict(fit[what]["contours"]), quantities, truth)
                    shown.append(self._saved(figure, f"{what}_{name}", f"{name}: {caption}"))
        return shown

    def scrutiny(self, name: str) -> list[ReportFigure]:
        """The events that drive the estimate, the first of them displayed, and the goodness of fit where there is one."""
        fit = self.run.load_json(self.run.fit(name), FIT)
        found, goodness = Influence.from_dict(fit["influence"]), fit["goodness"] or {}
        first = found.drivers(1)[0].event
        with style():
            figure, axes = new_figure(height=3.2)
            draw_influence(axes, found)
            shown = [self._saved(figure, f"influence_{name}", f"{name}: the events that move the estimate most.")]
            place = int(observed(self.run, name).signal[first])
            if place >= 0:
                figure, panels = event_figure()
                draw_event(panels, load_sample(self.run, name)[0], place, f"{name}, event {first}")
                caption = f"{name}: the most influential event; lengths are pT in GeV."
                shown.append(self._saved(figure, f"event_{name}", caption))
            if "observed" in goodness:
                figure, axes = new_figure()
                draw_goodness(axes, Goodness.from_dict(goodness))
                shown.append(self._saved(figure, f"goodness_{name}", f"{name}: mean log density against toys at α̂."))
        return shown

    def calibration(self, name: str) -> list[ReportFigure]:
        """Estimates, pulls and coverage of the subsamples."""
        result = SampleCalibration.load(self.run.calibration(name))
        with style():
            figure, panels = new_panels()
            draw_estimates(panels, result.fits)
            caption = f"{name}: estimates of {len(result.fits.estimates)} subsamples."
            shown = [self._saved(figure, f"estimates_{name}", caption)]
            figure, axes = new_figure()
            draw_pulls(axes, result.fits.pulls())
            shown.append(self._saved(figure, f"pulls_{name}", f"{name}: pulls of the subsamples."))
            figure, axes = new_figure()
            draw_coverage(axes, result.fits.coverage(LEVELS))
            shown.append(self._saved(figure, f"coverage_{name}", f"{name}: coverage of the profile intervals."))
        return shown

    def period(self) -> list[ReportFigure]:
        """Coverage of all methods along α and along the level, bias and spread."""
        result = load_period(self.run)
        with style():
            figure, panels = new_panels(height=3.8, ratio=1)
            draw_methods_along(panels, result)
            caption = "Coverage of α by the intervals of every method; the bands are the targets."
            shown = [self._saved(figure, "period_coverage", caption)]
            figure, panels = new_panels(height=3.8, ratio=1)
            draw_methods_along(panels, result, magnitude=True)
            shown.append(
                self._saved(figure, "period_coverage_magnitude", "The same for |α|, by the images of the intervals.")
            )
            figure, axes = new_figure()
            draw_levels(axes, result, RECOMMENDED)
            caption = f"Coverage of the {RECOMMENDED} interval less the level, one line for each α."
            shown.append(self._saved(figure, "period_levels", caption))
            figure, panels = new_panels()
            draw_bias_and_spread(panels, result)
            shown.append(self._saved(figure, "period_bias", "Bias and spread of α̂ against those with x_hard known."))
        return shown

    def prospects(self) -> list[ReportFigure]:
        """Expected precision and intervals along α and against the number of events."""
        found, events = load_prospects(self.run), self.run.config.fit.events
        shown = []
        with style():
            figure, panels = new_panels()
            draw_power(panels[0], found.power, events, rate=True)
            draw_kept(panels[1], found.power)
            panels[0].set_xlabel("")
            caption = f"Expected σ(α̂) of {events} events, and the share of the information that the reconstruction keeps."
            shown.append(self._saved(figure, "expected_sigma", caption))
            if found.regions:
                figure, axes = new_figure(height=3.2)
                draw_expected_intervals(axes, found.truths, found.regions)
                legend_above(axes, columns=2)
                caption = f"Expected regions of {100 * found.level:.1f} % at every true α."
                shown.append(self._saved(figure, "expected_intervals", caption))
            if np.isfinite(found.lengths).any():
                figure, axes = new_figure()
                draw_expected_lengths(axes, found.events, found.lengths, found.length_truths.tolist())
                caption = f"Total length of the expected region of {100 * found.level:.1f} %, all its pieces together."
                shown.append(self._saved(figure, "expected_lengths", caption))
        return shown

    def posterior_calibration(self) -> list[ReportFigure]:
        """Ranks of the truths in their posteriors, and the coverage of its regions."""
        found = load_posterior_calibration(self.run)
        with style():
            figure, panels = new_panels(height=3.4, ratio=1)
            draw_sbc(panels, found)
            caption = "Posterior probability below the truth, and of all that is more likely: flat if it is calibrated."
            shown = [self._saved(figure, "posterior_ranks", caption)]
            figure, axes = new_figure()
            draw_coverage(axes, region_coverage(found, LEVELS), "regions of highest density")
            caption = f"Coverage of the regions of highest density, averaged over the prior ({found.prior})."
            shown.append(self._saved(figure, "posterior_coverage", caption))
        return shown

    def predictive(self, name: str) -> list[ReportFigure]:
        """What the posterior predicts for the observables of a sample, and what was observed."""
        shown = []
        with style():
            for observable, found in load_predictive(self.run, name).items():
                figure, axes = new_figure()
                draw_predictive(axes, found, _SHOWN[observable])
                caption = f"{name}: {observable} of the events in the fit, and as the posterior of α predicts it."
                shown.append(self._saved(figure, f"predictive_{observable}_{name}", caption))
        return shown

    def belts(self) -> list[ReportFigure]:
        """Every belt of the run, with the curve of the first sample measured with it."""
        measured: dict[int, tuple[str, LikelihoodCurve]] = {}
        for sample in measured_samples(self.run):
            fit = self.run.load_json(self.run.fit(sample.name), FIT)
            events = fit["events"] - len(fit["excluded"])
            if artifacts.exists(self.run.belt(events)) and "intervals" in (fit.get("belt") or {}):
                measured.setdefault(events, (sample.name, LikelihoodCurve(np.array(fit["theta"]), np.array(fit["delta"]))))
        shown = []
        with style():
            for events, (name, curve) in measured.items():
                figure, axes = new_figure()
                draw_belt(axes, Belt.load(self.run.belt(events)), curve)
                caption = f"Belt for {events} events, and {name}: an interval is where the curve lies below t_c."
                shown.append(self._saved(figure, f"belt_{events}", caption))
        return shown

    def integration(self, name: str) -> list[ReportFigure]:
        """Effective sample, relative error and Pareto k of the events."""
        diagnostics = load_diagnostics(self.run.coefficients(name))
        draw: dict[str, Any] = {
            "effective_fraction": draw_effective_fraction,
            "relative_error": draw_relative_error,
            "pareto_k": draw_pareto_k,
        }
        shown = []
        with style():
            for quantity, function in draw.items():
                figure, axes = new_figure()
                function(axes, diagnostics[quantity])
                caption = f"{name}: {quantity.replace('_', ' ')} of the events' integrals."
                shown.append(self._saved(figure, f"{quantity}_{name}", caption))
        return shown

    def training(self) -> list[ReportFigure]:
        """Learning curves."""
        shown = []
        with style():
            for name in trainings(self.run) + background_trainings(self.run):
                history = load_history(self.run, name)
                if len(history.train_loss) > 1:
                    figure, axes = new_figure()
                    draw_losses(axes, history)
                    shown.append(self._saved(figure, f"training_{name}", f"Loss of the {name} during training."))
        return shown

    def densities(self, networks: Networks, data: Pairs) -> list[ReportFigure]:
        """The learned transfer density against simulated pairs, observable by observable."""
        x_reco, x_hard = data.accepted_pairs
        rng = generator(self.run.config.seed, "figures", "transfer")
        noise = torch.rand(len(x_hard), x_reco.shape[1], generator=rng, dtype=torch.float64)
        with torch.no_grad():
            learned = networks.transfer("from_noise", noise, x_hard)[0].numpy()
        simulated = x_reco.numpy()
        shown = []
        with style():
            for name, quantity in _SHOWN.items():
                column = OBSERVABLES.index(name)
                low, high = np.quantile(simulated[:, column], [0.002, 0.98])
                edges = np.linspace(low, high, 31)
                figure, panels = new_panels()
                draw_transfer(panels, simulated[:, column], learned[..., column], edges, quantity)
                what = f"Learned transfer density ({len(learned)} replicas) against {len(x_hard)} validation events"
                caption = f"{what}: {name}."
                shown.append(self._saved(figure, f"transfer_{name}", caption))
        return shown

    def backgrounds(self) -> list[ReportFigure]:
        """Every learned density of a background against events that it was not trained on."""
        shown = []
        for background in self.run.config.background:
            if background.file is None:
                continue
            x = held_out_events(self.run, background.name).numpy()
            learned = drawn(self.run, background, _DRAWN).numpy()
            with style():
                for name, quantity in _SHOWN.items():
                    column = OBSERVABLES.index(name)
                    low, high = np.quantile(x[:, column], [0.005, 0.98])
                    edges = np.linspace(low, high, 25)
                    figure, panels = new_panels()
                    draw_transfer(panels, x[:, column], learned[..., column], edges, quantity, labels=_OF_BACKGROUND)
                    caption = f"Learned density of {background.name} against {len(x)} held-out events: {name}."
                    shown.append(self._saved(figure, f"background_{background.name}_{name}", caption))
        return shown

    def acceptance(self, networks: Networks, data: Pairs) -> list[ReportFigure]:
        """Reliability of the acceptance, and the acceptance along the Higgs boson's transverse momentum."""
        with torch.no_grad():
            predicted = networks.acceptance("probability", data.x_hard).mean(0).numpy()
        predictions = Predictions(predicted, data.accepted.numpy())
        pt = data.x_hard[:, 0].numpy()
        with style():
            figure, axes = new_figure()
            draw_reliability(axes, predictions, np.quantile(predicted, np.linspace(0, 1, 13)))
            shown = [self._saved(figure, "acceptance_reliability", "Accepted fraction against the learned acceptance.")]
            figure, panels = new_panels()
            edges = np.quantile(pt, np.linspace(0, 0.995, 25))
            draw_acceptance(panels, predictions, pt, edges, Quantity("p_{T}^{H}", "GeV"))
            shown.append(self._saved(figure, "acceptance_pt_H", "Acceptance against the transverse momentum of the Higgs."))
        return shown

    def _saved(self, figure: Any, name: str, caption: str) -> ReportFigure:
        folder = self.run.out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        save(figure, folder / name)
        return ReportFigure(Path(folder / f"{name}.png"), caption)
