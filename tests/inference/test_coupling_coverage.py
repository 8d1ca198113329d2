"""How often the region of two couplings from 100 tHj events with x_hard known holds the true ones."""

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.calibration.yardstick import yardstick_coefficients
from bmem.channels.thj.bases import coupling_basis
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.inference.regions import LEVELS
from bmem.process import THJ
from bmem.rng import generator

FALSE_ALARM = 2e-5
SAMPLES, MEASUREMENT = 250, 100


def held(degrees: int, rate: bool) -> list[int]:
    """For each level, in how many of SAMPLES the likelihood ratio at the truth is below the threshold of the contour."""
    process, basis, alpha = THJ(), coupling_basis(), np.radians(degrees)
    theta = torch.tensor([alpha], dtype=torch.float64)
    x = process.sample(30_000, theta, generator(2, "cover", degrees)).x
    coefficients = yardstick_coefficients(process, x, torch.ones(len(x)), process.total.components.numpy())
    truth = np.array([np.cos(alpha), 2 / 3 * np.sin(alpha)])
    luminosity = MEASUREMENT / float(basis.value(truth) @ coefficients.fiducial[0]) if rate else None
    counts = np.random.default_rng(1).poisson(MEASUREMENT, SAMPLES) if rate else np.full(SAMPLES, MEASUREMENT)
    deltas = []
    for events in np.split(np.arange(counts.sum()), np.cumsum(counts)[:-1]):
        objective = NegativeTwoLogLikelihood.of(coefficients.select(events), basis, luminosity=luminosity)
        deltas.append(float(objective.value(truth)) - fit(objective).best.value)
    return [int((np.array(deltas) <= stats.chi2.ppf(level, 2)).sum()) for level in LEVELS]


@pytest.mark.slow
@pytest.mark.parametrize(("degrees", "rate"), [(0, False), (0, True), (45, False), (45, True), (90, False)])
def test_regions_of_two_couplings_cover(degrees: int, rate: bool) -> None:
    """Binomial counts, FALSE_ALARM for each level; coverages off by 0.13 and 0.07 would be noticed. At 0°, where the
    likelihood is nearly even in κ_P, the region may hold the truth too often: only too seldom is a failure."""
    for count, level in zip(held(degrees, rate), LEVELS, strict=True):
        alternative = "less" if degrees == 0 else "two-sided"
        assert stats.binomtest(count, SAMPLES, level, alternative).pvalue > FALSE_ALARM
