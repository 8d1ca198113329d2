"""Stage 5: bias, pulls and coverage over subsamples of known α, beside the yardstick with x_hard known; then by the bank."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.calibration.score import ScoreSummary, information_kept, score_test
from bmem.calibration.subsamples import SubsampleFits, disjoint_subsamples, fit_subsamples
from bmem.inference.objective import MarginalLikelihood, Objective, unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients, load_diagnostics
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import background_parents, log_densities
from bmem.stages.hypotheses import Hypothesis
from bmem.stages.period import calibrate_period
from bmem.stages.prospects import foresee
from bmem.stages.run import Run, plain
from bmem.stages.simulate import load_sample

KIND = "calibration"
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.683, 0.8, 0.9, 0.954)


@dataclass(frozen=True)
class SampleCalibration:
    """One sample's subsample fits and score test, from reconstructed events and with x_hard known (``yardstick_*``).

    With backgrounds there is no yardstick, and the score is that of α and the fractions of the sample.
    """

    fits: SubsampleFits
    score: ScoreSummary
    yardstick_fits: SubsampleFits | None
    yardstick_score: ScoreSummary | None

    @property
    def information_kept(self) -> tuple[float, float] | None:
        """Fraction of the hard-level Fisher information that is kept, and its error; None without a yardstick."""
        if self.yardstick_score is None:
            return None
        kept, error = information_kept(self.score, self.yardstick_score)
        return float(kept[0]), float(error[0])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: None if value is None else value.to_dict() for name, value in vars(self).items()}

    @classmethod
    def load(cls, path: Path) -> SampleCalibration:
        """Read a calibration artifact."""
        artifacts.verify(path, KIND)
        content = json.loads(path.read_text())
        return cls(
            fits=SubsampleFits.from_dict(content["fits"]),
            score=ScoreSummary.from_dict(content["score"]),
            yardstick_fits=SubsampleFits.from_dict(content["yardstick_fits"]) if content["yardstick_fits"] else None,
            yardstick_score=ScoreSummary.from_dict(content["yardstick_score"]) if content["yardstick_score"] else None,
        )


def calibrate_all(run: Run) -> None:
    """Calibrate every sample whose truth is known and that has no calibration yet, the period of α and the posterior."""
    calibrate_samples(run)
    calibrate_period(run)
    foresee(run)


def calibrate_samples(run: Run) -> None:
    """Calibrate every sample whose truth is known and that has no calibration yet."""
    for sample in run.config.sample:
        name = sample.name
        own = {key: plain(run.config.calibration)[key] for key in ("subsamples", "size")}
        settings: dict[str, Any] = {"calibration": own, "luminosity": None, "seed": run.config.seed}
        settings["background"] = [plain(background) for background in run.config.background]
        parents = {"coefficients": run.coefficients(name)} | background_parents(run)
        if not run.config.background:
            parents["yardstick"] = run.hard_coefficients(name)
        if run.done(run.calibration(name), KIND, settings, parents):
            continue
        events = len(load_diagnostics(run.coefficients(name))["points"])
        truth = true_alpha(run, name)
        if truth is None:
            run.say(f"  {name}: the truth is not known, no calibration")
            continue
        size = run.config.calibration.size
        if events < 3 * size:
            run.say(
                f"  [yellow]{name}: no calibration: {events} accepted events do not make 3 subsamples of {size}; give more "
                "events, or lower calibration.size[/]"
            )
            continue
        result = _calibrate(run, name, truth)
        run.save_json(run.calibration(name), KIND, result.to_dict(), settings, parents)
        shape = "" if run.config.fit.luminosity is None else ", of the shape alone: subsamples of a fixed size have no rate"
        run.say(f"  {name}: {summary(result)}{shape}")


def _calibrate(run: Run, name: str, truth: float) -> SampleCalibration:
    # the resamples are for the error of one measurement; here they would only cost time
    reco = replace(Coefficients.load(run.coefficients(name)), bootstrap=None, fiducial_bootstrap=None)
    basis, section = MorphingBasis.of(run.process), run.config.calibration
    rows = disjoint_subsamples(reco.n_events, section.size, numpy_generator(run.config.seed, "subsamples", name))
    rows = rows[: section.subsamples]
    whole = Hypothesis.of(run.config, reco, basis, log_densities(run, name, reco.n_events))
    # subsamples of a fixed size say nothing of a rate: their coverage is that of the shape
    whole = replace(whole, luminosity=None)
    # a constraint on α itself would pull every sample to one value, whatever its truth
    whole = replace(whole, constraints=tuple(c for c in whole.constraints if basis.parameters[0].name not in c._parameters))
    theta = [truth, *(background.fraction for background in run.config.background)]
    found = SampleCalibration(
        fits=fit_subsamples(whole.coefficients, _objective(whole), rows, truth),
        score=score_test(whole.coefficients, whole.basis, theta),
        yardstick_fits=None,
        yardstick_score=None,
    )
    if run.config.background:
        return found
    hard = Coefficients.load(run.hard_coefficients(name))
    return replace(
        found,
        yardstick_fits=fit_subsamples(hard, _objective(whole), rows, truth),
        yardstick_score=score_test(hard, basis, [truth]),
    )


def _objective(hypothesis: Hypothesis) -> Callable[[Coefficients], Objective]:
    """The likelihood of other events under the ``hypothesis``, its constraints included."""

    def objective(coefficients: Coefficients) -> Objective:
        lost = unusable_events(coefficients, hypothesis.basis)
        likelihood = MarginalLikelihood.of(coefficients, hypothesis.basis, hypothesis.luminosity, lost)
        return hypothesis.constrained(likelihood)

    return objective


def true_alpha(run: Run, name: str) -> float | None:
    """The α in radians at which the events of a sample were made; None if it is not known or not the same for all."""
    _, hard = load_sample(run, name)
    if hard is None or len(hard) == 0 or (hard.theta != hard.theta[0]).any():
        return None
    return float(hard.theta[0, 0])


def summary(result: SampleCalibration) -> str:
    """One line: bias, spread, pulls, coverage, yardstick."""
    pulls, coverage = result.fits.pulls(), result.fits.coverage((0.683, 0.954))
    bias, bias_error, spread = np.degrees([pulls.bias, pulls.bias_error, pulls.spread])
    known = (
        "" if result.yardstick_fits is None else f" (x_hard known: {np.degrees(result.yardstick_fits.pulls().spread):.1f}°)"
    )
    shares = " and ".join(f"{k}/{n}" for k, n in zip(coverage.covered, coverage.trials, strict=True))
    return (
        f"α = {np.degrees(result.fits.truth):.0f}°, {len(result.fits.estimates)} x {result.fits.size} events: bias "
        f"{bias:+.1f} ± {bias_error:.1f}°, spread {spread:.1f}°{known}, pull {pulls.mean:+.2f} ± "
        f"{pulls.mean_error:.2f}, width {pulls.width:.2f} ± {pulls.width_error:.2f}, coverage {shares}"
    )
