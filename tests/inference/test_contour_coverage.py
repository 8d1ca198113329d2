"""How often contours of two parameters hold both true values: angle and background fraction of the linear-Gaussian toy."""

import numpy as np
import pytest
import torch
from likelihood_examples import FALSE_ALARM, RESOLVED
from matplotlib.path import Path as Polygon
from scipy import stats
from torch.distributions import MultivariateNormal

from bmem.inference.minima import fit
from bmem.inference.mixture import mixture_by_fractions
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.inference.regions import LEVELS, ContourSet, contours
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.rng import generator

TRUTH = (0.8, 0.3)
SIZE = 400
BACKGROUND = MultivariateNormal(torch.tensor([1.0, -2.5], dtype=torch.float64), 1.5 * torch.eye(2, dtype=torch.float64))


def measurement(seed: int) -> NegativeTwoLogLikelihood:
    """SIZE events, a binomial number of them background."""
    rng = generator(seed, "coverage")
    n = int((torch.rand(SIZE, generator=rng) < TRUTH[1]).sum())
    theta = torch.tensor([TRUTH[0]], dtype=torch.float64)
    signal = RESOLVED.response(RESOLVED.sample(SIZE - n, theta, rng).x, rng)
    noise = torch.randn(n, 2, generator=rng, dtype=torch.float64)
    x = torch.cat([signal, BACKGROUND.loc + noise @ BACKGROUND.scale_tril.T])
    exact = Coefficients(
        values=RESOLVED.integrals(x).numpy()[None],
        covariance=np.zeros((1, SIZE, 3, 3)),
        fiducial=RESOLVED.fiducial().numpy()[None],
        fiducial_covariance=np.zeros((1, 3, 3)),
    )
    logs = {"b": BACKGROUND.log_prob(x).numpy()}
    return NegativeTwoLogLikelihood.of(*mixture_by_fractions(exact, MorphingBasis.of(RESOLVED), logs))


def holds_truth(found: ContourSet) -> list[bool]:
    """For each level, whether an odd number of its closed paths runs around the truth."""
    held = []
    for contour in found.contours:
        assert all(path.closed for path in contour.paths)
        turns = [(TRUTH[0] + turn, TRUTH[1]) for turn in (0.0, 2 * np.pi)]
        held.append(any(sum(Polygon(p.points).contains_point(t) for p in contour.paths) % 2 == 1 for t in turns))
    return held


def test_polygons_hold_what_the_likelihood_ratio_says() -> None:
    for seed in range(2):
        objective = measurement(seed)
        result = fit(objective)
        found = contours(objective, result)
        delta = float(objective.value(TRUTH)) - result.best.value
        assert holds_truth(found) == [delta <= contour.threshold for contour in found.contours]


@pytest.mark.slow
def test_coverage_of_both_parameters() -> None:
    """300 measurements of 400 events: the truth lies inside, by the likelihood ratio that the polygons agree with, in a
    binomial number of cases, FALSE_ALARM for each level. It would notice coverages off by 0.12 and 0.06."""
    deltas = []
    for seed in range(300):
        objective = measurement(1000 + seed)
        deltas.append(float(objective.value(TRUTH)) - fit(objective).best.value)
    for level in LEVELS:
        held = int((np.array(deltas) <= stats.chi2.ppf(level, 2)).sum())
        assert stats.binomtest(held, 300, level).pvalue > FALSE_ALARM
