"""The calibration over the range of a parameter without a period, on the forward-backward channel of the guide."""

from __future__ import annotations

import channel_examples  # noqa: F401  (makes the channel of the guide importable)
import numpy as np
import torch
from asymmetry import ForwardBackward
from scipy import stats

from bmem.calibration.bank import Bank, BankSample
from bmem.calibration.neyman import BeltSettings, make_belt
from bmem.calibration.period import LEVELS, PeriodPoint, PeriodScan, PeriodSettings
from bmem.calibration.period_verdict import PeriodCalibration
from bmem.calibration.toy_intervals import METHODS
from bmem.config import parse
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.rng import generator, numpy_generator

FALSE_ALARM = 2e-5
TOYS, SIZE, EVENTS = 1000, 100, 3000


def bank() -> Bank:
    """Events whose integrals are those of x_hard itself: no detector, no cuts."""
    process = ForwardBackward()
    found = []
    for value in (-0.7, 0.0, 0.7):
        x = process.sample(EVENTS, torch.tensor([value], dtype=torch.float64), generator(1, str(value))).x
        values, fiducial = process.components(x).numpy()[None], np.array([[process.sigma, 0.0]])
        exact = Coefficients(values, np.zeros((1, EVENTS, 2, 2)), fiducial, np.zeros((1, 2, 2)))
        found.append(BankSample(np.array([value]), exact, exact))
    return Bank.of(found, MorphingBasis.of(process))


def point(truth: float) -> PeriodPoint:
    halves = bank().halves(numpy_generator(1))
    belts = [make_belt(half, SIZE, h, BeltSettings(toys=TOYS, levels=LEVELS, points=5)) for h, half in enumerate(halves)]
    return PeriodScan(halves, belts, 3, PeriodSettings(SIZE, TOYS)).at(truth)


def test_truths_spread_over_the_whole_range() -> None:
    """They used to go from 0 up, with half of the toys at the negatives: of a range (-1, 3) outside of it."""
    config = parse({"channel": {"name": "asymmetry:Asymmetry"}})
    np.testing.assert_allclose(config.truths, np.linspace(-0.7, 0.7, 13), atol=1e-9)
    angle = parse({})
    np.testing.assert_allclose(angle.truths, np.linspace(0, 180, 13))


def test_a_truth_keeps_its_sign_and_has_no_mirror_image() -> None:
    """Bias within its error, and coverage, for toys of one negative truth; false alarm 2e-5 for each of the two.

    The spread is that of the Fisher information within 8 %: √(2 · 1000) toys fix it to 2.2 %, the bank to 2 %.
    """
    found = point(-0.35)
    assert (found.truth, found.toys) == (-0.35, TOYS)
    assert np.isnan(found.right_sign).all()
    np.testing.assert_array_equal(found.covered, found.covered_magnitude)
    limit = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(found.bias.mean()) < limit * found.bias_error() + 0.002  # the estimate of 100 events is not quite unbiased
    x = np.linspace(-1, 1, 20_001)
    density = 0.375 * (1 + x**2) - 0.35 * x
    information = SIZE * np.trapezoid(x**2 / density, x)
    assert abs(found.spread.mean() * np.sqrt(information) - 1) < 0.08
    level = PeriodCalibration((found,)).level(0.683)
    halves = found.covered[:, METHODS.index("Feldman-Cousins"), level]
    # of the toys, of those of the two belts, and what the halves tell of their common events
    error = np.hypot(np.sqrt(0.683 * 0.317 * (1 / TOYS + 1 / (2 * TOYS))), abs(np.ptp(halves)) / 2)
    assert abs(halves.mean() - 0.683) < limit * error
