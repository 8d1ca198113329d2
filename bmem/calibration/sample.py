"""The calibration of one sample of known truth: subsamples fitted like data, beside the yardstick with x_hard known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bmem.artifacts import read_json
from bmem.calibration.record import IntArray, JsonRecord
from bmem.calibration.score import ScoreSummary, information_kept, score_test
from bmem.calibration.subsamples import SubsampleFits, fit_subsamples
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.rounding import number
from bmem.likelihood.coefficients import Coefficients
from bmem.quantity import Quantity

KIND = "calibration"
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.683, 0.8, 0.9, 0.954)
SHOWN = (0.683, 0.954)
_SUSPICIOUS = 1e-3


@dataclass(frozen=True)
class SampleCalibration(JsonRecord):
    """Fits of subsamples and score test, from reconstructed events and with x_hard known (``yardstick_*``).

    With backgrounds there is no yardstick, and the score is that of all parameters of the sample.
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

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against it: of samples without fault one in 100 for its coverage, one in 1000 for its score."""
        coverage = self.fits.coverage(SHOWN)
        verdicts = zip(coverage.levels, coverage.verdicts, coverage.fraction, strict=True)
        too_few = [(level, fraction) for level, verdict, fraction in verdicts if verdict == "undercovers"]
        found = [f"the {100 * level:.1f} % interval holds the truth in {100 * share:.0f} % only" for level, share in too_few]
        if self.score.p_value < _SUSPICIOUS:
            found.append(f"the mean score is not zero at the truth (p = {self.score.p_value:.2g}): the likelihood is biased")
        return tuple(found)

    def line(self, quantity: Quantity) -> str:
        """Bias, spread, pulls, coverage and yardstick in one line."""
        pulls, coverage, unit = self.fits.pulls(), self.fits.coverage(SHOWN), quantity.suffix
        truth, bias, error, spread = quantity.printed([self.fits.truth, pulls.bias, pulls.bias_error, pulls.spread])
        known = "" if self.yardstick_fits is None else _known(self.yardstick_fits, quantity)
        shares = " and ".join(f"{k}/{n}" for k, n in zip(coverage.covered, coverage.trials, strict=True))
        return (
            f"{quantity.shown} = {number(truth, 0)}{unit}, {len(self.fits.estimates)} x {self.fits.size} events: bias "
            f"{number(bias, 1)} ± {error:.1f}{unit}, spread {spread:.1f}{unit}{known}, pull {number(pulls.mean, 2)} ± "
            f"{pulls.mean_error:.2f}, width {pulls.width:.2f} ± {pulls.width_error:.2f}, coverage {shares}"
        )

    @classmethod
    def load(cls, path: Path) -> SampleCalibration:
        """Read a calibration artifact.

        Raises:
            ArtifactError: it is missing, foreign, damaged or of a newer format.
        """
        return cls.from_dict(read_json(path, KIND))


def _known(fits: SubsampleFits, quantity: Quantity) -> str:
    return f" (x_hard known: {float(quantity.printed(fits.pulls().spread)):.1f}{quantity.suffix})"


def calibrate_sample(
    hypothesis: Hypothesis, rows: IntArray, theta: Sequence[float], hard: Coefficients | None = None
) -> SampleCalibration:
    """Calibrate on subsamples of known truth.

    Args:
        hypothesis: all events of the sample, and how they are fitted.
        rows: events [S, n] of each subsample, see ``disjoint_subsamples``.
        theta: true values of all parameters, the one of interest first.
        hard: coefficients of the same events with x_hard known, for the yardstick.
    """
    objective, truth = hypothesis.of_other_events, theta[0]
    found = SampleCalibration(
        fits=fit_subsamples(hypothesis.coefficients, objective, rows, truth),
        score=score_test(hypothesis.coefficients, hypothesis.basis, theta),
        yardstick_fits=None,
        yardstick_score=None,
    )
    if hard is None:
        return found
    return replace(
        found,
        yardstick_fits=fit_subsamples(hard, objective, rows, truth),
        yardstick_score=score_test(hard, hypothesis.basis, theta[:1]),
    )
