"""What the rate adds, and free couplings, for tHj with x_hard known: against an independent Fisher information.

The reference, from MadGraph's matrix elements at 13 TeV without cuts: 100 events at α = 45° tell σ(α) = 4.6° by their shape
and 3.5° with the rate (measured here: 4.65 ± 0.02° and 3.53 ± 0.01°).
"""

from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.calibration.pulls import moments
from bmem.calibration.yardstick import yardstick_coefficients
from bmem.channels.thj.bases import coupling_basis
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.inference.scale import with_strength
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process import THJ
from bmem.rng import generator

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
TRUTH = np.radians(45)
SHAPE, RATE = 4.6, 3.5
ROUNDING = 0.05
"""The reference has one decimal."""
EVENTS = 40_000
MEASUREMENT = 100


@cache
def measured() -> tuple[MorphingBasis, Coefficients, float]:
    """40 000 hard events at 45° with exact I_k, and σ(45°) in pb."""
    process = THJ()
    x = process.sample(EVENTS, torch.tensor([TRUTH], dtype=torch.float64), generator(1, "rate")).x
    coefficients = yardstick_coefficients(process, x, torch.ones(len(x)), process.total.components.numpy())
    basis = MorphingBasis.of(process)
    return basis, coefficients, float(basis.value([TRUTH]) @ coefficients.fiducial[0])


def sigma_of_a_measurement(rate: bool) -> tuple[float, float]:
    """σ(α) in degrees of 100 events from the mean curvature at the truth, and its standard error."""
    basis, coefficients, sigma = measured()
    parts = np.array_split(np.arange(EVENTS), 40)
    information = []
    for part in parts:
        luminosity = len(part) / sigma if rate else None
        objective = NegativeTwoLogLikelihood.of(coefficients.select(part), basis, luminosity=luminosity)
        information.append(float(objective.curvature([TRUTH])[0, 0]) / 2 * MEASUREMENT / len(part))
    mean, error, _, _ = moments(np.array(information))
    return float(np.degrees(mean**-0.5)), float(np.degrees(mean**-1.5) * error / 2)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "reference"), [(False, SHAPE), (True, RATE)], ids=["shape", "rate"])
def test_information_is_the_reference(rate: bool, reference: float) -> None:
    """Beyond its rounding: LIMIT errors, which are below 0.1°."""
    sigma, error = sigma_of_a_measurement(rate)
    assert error < 0.1 / LIMIT
    assert abs(sigma - reference) < ROUNDING + LIMIT * error


@pytest.mark.slow
def test_estimates_scatter_as_the_information_says() -> None:
    """300 measurements of Poisson(100) events: the spread of α̂ is 4.6°, with the rate 3.5°, within LIMIT errors of 4 %; the
    errors of the fits are right (pull width 1), and α̂ with the rate is nearer in the mean (a paired comparison).

    A free signal strength leaves the α̂ of the shape.
    """
    basis, coefficients, sigma = measured()
    counts = np.random.default_rng(3).poisson(MEASUREMENT, 300)
    found = []
    for events in np.split(np.arange(counts.sum()), np.cumsum(counts)[:-1]):
        part, luminosity = coefficients.select(events), MEASUREMENT / sigma
        likelihoods = [NegativeTwoLogLikelihood.of(part, basis, luminosity=value) for value in (None, luminosity)]
        minima = [fit(likelihood).nearest([TRUTH]) for likelihood in likelihoods]
        found.append([(m.theta[0], m.error[0]) for m in minima])
    estimates, errors = np.moveaxis(np.array(found), -1, 0)
    for i, reference in enumerate((SHAPE, RATE)):
        _, _, width, width_error = moments(np.degrees(estimates[:, i]))
        assert abs(width - reference) < ROUNDING + LIMIT * width_error
        _, _, width, width_error = moments((estimates[:, i] - TRUTH) / errors[:, i])
        assert abs(width - 1) < LIMIT * width_error
    closer = np.abs(estimates[:, 0] - TRUTH) - np.abs(estimates[:, 1] - TRUTH)
    assert closer.mean() > 0
    part = coefficients.select(np.arange(counts[0]))
    free = fit(NegativeTwoLogLikelihood.of(part, with_strength(basis), luminosity=MEASUREMENT / sigma))
    assert free.nearest([TRUTH, 1.0]).theta[0] == pytest.approx(estimates[0, 0], abs=0.01 * errors[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [False, True], ids=["shape", "rate"])
def test_free_couplings_are_found(rate: bool) -> None:
    """4000 events at κ = (cos 45°, (2/3) sin 45°): both within LIMIT of their errors, which the rate makes smaller."""
    _, coefficients, sigma = measured()
    part, truth = coefficients.select(np.arange(4000)), np.array([np.cos(TRUTH), 2 / 3 * np.sin(TRUTH)])
    objective = NegativeTwoLogLikelihood.of(part, coupling_basis(), luminosity=4000 / sigma if rate else None)
    minimum = fit(objective).nearest(truth)
    assert minimum.delta < LIMIT**2
    assert (np.abs(minimum.theta - truth) < LIMIT * np.array(minimum.error)).all()
    shape = NegativeTwoLogLikelihood.of(part, coupling_basis())
    gain = np.linalg.eigvalsh(objective.curvature(truth) - shape.curvature(truth))
    assert gain[0] >= -1e-6 * gain[1]
    assert (gain[1] > 0) == rate
