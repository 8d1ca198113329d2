"""tHj behind an analytic Gaussian response: bmem's integrals against the package vegas, and the fit of α.

Seeded; a mean or width is rejected beyond ``LIMIT`` standard errors, with a probability of ``FALSE_ALARM`` each.
"""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from measurements import Exact, FitClosure, IntegralClosure, fixed
from oracles import COARSE, FINE, GaussianSmearing
from scipy import stats
from thj_closure import ThjStudy, angle

from bmem.calibration.pulls import moments
from bmem.calibration.score import score_test
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.basis import MorphingBasis
from bmem.networks.contract import ConditionalDensity

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
THETAS = torch.deg2rad(torch.tensor([[0.0], [90.0]], dtype=torch.float64))
FITTED = IntegrationSettings(pilot=128, min_points=128, max_points=2048, relative_error=0.05, points_per_chunk=1 << 15)
ALIVE = [0, 1, 2, 3, 5]
RESOLUTIONS = {"fine": FINE, "coarse": COARSE}


@cache
def study(resolution: str) -> ThjStudy:
    return ThjStudy(seed=1, resolutions=RESOLUTIONS[resolution])


@cache
def by_vegas(resolution: str, events: int, evaluations: int) -> tuple[torch.Tensor, Exact]:
    x_reco, _ = study(resolution).pairs(events, angle(45), "integrals")
    return x_reco, study(resolution).brute_force(x_reco, evaluations)


def proposal(resolution: str, name: str) -> ConditionalDensity:
    s = study(resolution)
    if name == "Gaussian":
        return s.transfer
    return s.heavy_tailed(20_000) if name == "heavy" else s.learned(60_000, epochs=12)


def assert_standard(pulls: np.ndarray) -> None:
    """Mean 0 and width 1 within LIMIT standard errors: 2 FALSE_ALARM."""
    mean, mean_error, width, width_error = moments(pulls.ravel())
    assert abs(mean) < LIMIT * mean_error
    assert abs(width - 1) < LIMIT * width_error


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_response_is_normalised_and_sampled_as_it_is_evaluated(resolution: str) -> None:
    """∫ p dx_reco = 1 by sampling a 1.3 times wider response: LIMIT errors."""
    narrow = study(resolution).transfer
    wide = GaussianSmearing(tuple(1.3 * r for r in RESOLUTIONS[resolution]))
    x_hard = torch.tensor([100.0, 3.1, 0.5, 60.0, -2.0, -2.5, 0.1], dtype=torch.float64).expand(20_000, 7)
    x_reco, log_q = wide.sample(x_hard, torch.Generator().manual_seed(1))
    torch.testing.assert_close(wide.log_prob(x_reco, x_hard), log_q, rtol=0, atol=1e-9)
    mean, error, _, _ = moments(torch.exp(narrow.log_prob(x_reco, x_hard) - log_q).numpy())
    assert abs(mean - 1) < LIMIT * error


@pytest.mark.parametrize("name", ["Gaussian", "heavy"])
def test_a_few_integrals_against_vegas(name: str) -> None:
    """15 events, 4 integrations each: χ² of the 60 x 5 correlated differences, pulls of log ratios (3 FALSE_ALARM)."""
    x_reco, exact = by_vegas("coarse", 15, 3_000)
    integrand = study("coarse").integrand(x_reco, proposal("coarse", name))
    found = IntegralClosure.of(integrand, fixed(2048), exact, THETAS, range(4))
    assert found.closure.dof.max() == len(ALIVE)
    assert np.isnan(found.closure.pulls[:, 4]).all()
    assert found.closure.chi2_p > FALSE_ALARM
    assert_standard(found.ratio_pulls)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Gaussian", "heavy", "learned"])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_integrals_against_vegas(resolution: str, name: str) -> None:
    """100 events, 16 integrations each, at 0.5 to 3 % accuracy against vegas at 0.1 %: pulls of I_k and of log-likelihood
    ratios have mean 0 and width 1 within 0.1. Their errors are 0.025 and 0.018: 0.1 is a false alarm with 6e-5 for a mean,
    3e-8 for a width, for each of six numbers (the I_k of an event are strongly correlated).

    The mean pull of M points with skewness γ is -γ/(2√M): the Gaussian proposal has γ = 6 for P² at coarse resolution, so
    that 512 points are too few for 0.1 there (measured: -0.14).
    """
    x_reco, exact = by_vegas(resolution, 100, 20_000)
    points = 512 if (resolution, name) == ("fine", "Gaussian") else 4096
    integrand = study(resolution).integrand(x_reco, proposal(resolution, name))
    found = IntegralClosure.of(integrand, fixed(points), exact, THETAS, range(16))
    assert np.abs(found.closure.mean[ALIVE]).max() < 0.1
    assert np.abs(found.closure.width[ALIVE] - 1).max() < 0.1
    mean, _, width, _ = moments(found.ratio_pulls.ravel())
    assert abs(mean) < 0.1
    assert abs(width - 1) < 0.1
    assert abs(found.sum_pulls.mean()) < LIMIT / math.sqrt(len(found.sum_pulls))


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [45, 90])
def test_fits_close(degrees: int) -> None:
    """α̂ of 1000 subsamples of 100: pull width 1 within 0.1, whose error is 0.023 (2e-5); mean score 0; coverage not
    blamed (1 %).

    At 90° the pulls are skewed: the information falls with α, so that an α̂ that came out high has a large error. Their mean
    is then not 0, and neither is that of the fit with x_hard known; the two agree within LIMIT errors of one of them (which
    is conservative, they share their events), and the bias of α̂ is below LIMIT errors + σ/10.
    """
    s, truth = study("fine"), math.radians(degrees)
    x_reco, x_hard = s.pairs(100_000, angle(degrees), f"fits {degrees}")
    measured = s.measured(s.integrand(x_reco, s.transfer), FITTED)
    ours, known = (FitClosure.of(s.process, c, truth, 100, seed=1) for c in (measured, s.known(x_hard)))
    assert min(ours.score.p_value, known.score.p_value) > FALSE_ALARM
    assert ours.fits.coverage().passed
    assert abs(ours.pulls.width - 1) < 0.1
    assert abs(ours.pulls.mean - known.pulls.mean) < LIMIT * ours.pulls.mean_error
    assert abs(ours.pulls.bias) < LIMIT * ours.pulls.bias_error + 0.1 * ours.pulls.spread


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [45, 90])
def test_fits_close_behind_an_acceptance(degrees: int) -> None:
    """The same with coarse resolution and an acceptance that loses a third of the events: the mean score of 27 000 events is
    0 (2 FALSE_ALARM) if ε stands where it should in integrand and σ_fid. At 90° that has power: without ε in σ_fid the
    p-value is 5e-12 with x_hard known (at 45° it would be 0.05)."""
    s = ThjStudy(1, threshold=True, resolutions=COARSE)
    x_reco, x_hard = s.pairs(40_000, angle(degrees), f"fits {degrees}")
    measured = s.measured(s.integrand(x_reco, s.transfer), FITTED)
    ours, known = (FitClosure.of(s.process, c, math.radians(degrees), 100, seed=1) for c in (measured, s.known(x_hard)))
    assert min(ours.score.p_value, known.score.p_value) > FALSE_ALARM
    assert ours.fits.coverage().passed
    if degrees == 45:
        return
    blind = replace(measured, fiducial=study("coarse").fiducial.values)
    assert score_test(blind, MorphingBasis.of(s.process), [math.radians(degrees)]).p_value < FALSE_ALARM
