"""Fits against closed forms: shares, rates, twin minima, flat likelihoods, boundaries."""

import json

import numpy as np
import pytest
import torch
from likelihood_examples import ANGLE, FALSE_ALARM, MIXTURE, PLANE, RESOLVED, YUKAWA, counts, toy_sample
from scipy import stats

from bmem.errors import InputError
from bmem.inference.minima import FitResult, Minimum, difference, fit, wrap
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter

FLAT = [1.0, 0.0, 0.0, 0.0]


def test_a_share_is_the_counted_share():
    result = fit(NegativeTwoLogLikelihood(counts(20, 30), [1.0, 1.0], MIXTURE))
    assert result.valid
    assert len(result.minima) == 1
    assert result.theta[0] == pytest.approx(0.6, abs=1e-3 * result.error[0])
    assert result.error[0] == pytest.approx(np.sqrt(0.6 * 0.4 / 50), rel=1e-3)
    assert result.n_events == 50


def test_a_rate_is_the_counted_rate():
    """σ(θ) = θ: the shape is empty, the Poisson term gives n / L and sqrt(n) / L."""
    basis = MorphingBasis((Parameter("mu", (0.1, 10.0)),), lambda theta: theta)
    result = fit(NegativeTwoLogLikelihood(np.ones((64, 1)), [1.0], basis, luminosity=32.0))
    assert result.theta[0] == pytest.approx(2.0, abs=2e-3 * 0.25)
    assert result.error[0] == pytest.approx(0.25, rel=2e-3)


def test_two_shares_and_their_errors():
    """Multinomial: x = n_1 / N with variance x (1 - x) / N."""
    result = fit(NegativeTwoLogLikelihood(counts(50, 30, 20), [1.0, 1.0, 1.0], PLANE))
    assert result.valid
    np.testing.assert_allclose(result.theta, [0.3, 0.2], atol=1e-4)
    np.testing.assert_allclose(result.error, np.sqrt([0.3 * 0.7 / 100, 0.2 * 0.8 / 100]), rtol=2e-3)


def even_events(odd: float) -> np.ndarray:
    """1 ± 0.8 cos α events, three to one, and one event with a sine of size ``odd``: minima at cos α = 0.625 for odd = 0."""
    plus, minus = [1.0, 0.8, 0.0, 0.0], [1.0, -0.8, 0.0, 0.0]
    return np.array([plus] * 75 + [minus] * 25 + [[1.0, 0.0, odd, 0.0]])


def test_twin_minima_are_both_found():
    """75 / (1 + 0.8 c) = 25 / (1 - 0.8 c) at c = 0.625."""
    result = fit(NegativeTwoLogLikelihood(even_events(0.0), FLAT, YUKAWA))
    assert len(result.minima) == 2
    assert sorted(m.theta[0] for m in result.minima) == pytest.approx([-np.arccos(0.625), np.arccos(0.625)], abs=1e-4)
    assert result.minima[1].delta == pytest.approx(0, abs=1e-5)
    assert result.absolute() == pytest.approx(np.arccos(0.625), abs=1e-4)


@pytest.mark.parametrize("odd", [0.5, -0.5])
def test_an_odd_term_orders_the_twins(odd):
    result = fit(NegativeTwoLogLikelihood(even_events(odd), FLAT, YUKAWA))
    assert np.sign(result.theta[0]) == np.sign(odd)
    assert len(result.minima) == 2
    sine = abs(odd) * np.sqrt(1 - 0.625**2)
    assert result.minima[1].delta == pytest.approx(2 * np.log((1 + sine) / (1 - sine)), rel=0.05)
    assert result.nearest([-result.theta[0]]) is result.minima[1]


def test_a_likelihood_flat_at_zero_has_no_curvature_error():
    """75 log(1 + u/2) + 25 log(1 - u/2) with u = cos α is stationary in u at 1, so that -2 log L = const + O(α⁴)."""
    plus, minus = [1.0, 0.5, 0.0, 0.0], [1.0, -0.5, 0.0, 0.0]
    result = fit(NegativeTwoLogLikelihood(np.array([plus] * 75 + [minus] * 25), FLAT, YUKAWA))
    objective = NegativeTwoLogLikelihood(np.array([plus] * 75 + [minus] * 25), FLAT, YUKAWA)
    assert objective.gradient([0.0])[0] == pytest.approx(0, abs=1e-12)
    assert objective.curvature([0.0])[0, 0] == pytest.approx(0, abs=1e-12)
    assert result.absolute() < 0.15
    assert result.best.value <= objective.value([0.0]) + 1e-3
    assert not result.error[0] < 1.0


def test_a_constant_likelihood_is_not_valid():
    result = fit(NegativeTwoLogLikelihood(np.tile(FLAT, (10, 1)), FLAT, YUKAWA))
    assert not result.valid
    assert np.isnan(result.error).all()
    assert len(result.minima) == 1


def test_an_estimate_at_a_boundary_is_said_to_be_there():
    result = fit(NegativeTwoLogLikelihood(counts(0, 30), [1.0, 1.0], MIXTURE))
    assert result.best.at_boundary
    assert not result.valid
    assert result.theta[0] == pytest.approx(0.999, abs=1e-4)


def test_a_minimum_at_the_seam_of_the_period_is_found_once():
    phase = np.pi - 1e-3
    events = np.tile([1.0, 0.8 * np.cos(phase), 0.8 * np.sin(phase), 0.0], (20, 1))
    result = fit(NegativeTwoLogLikelihood(events, FLAT, YUKAWA))
    assert len(result.minima) == 1
    assert float(difference(result.theta, np.array([phase]), (ANGLE,))[0]) == pytest.approx(0, abs=1e-3)
    assert -np.pi <= result.theta[0] < np.pi


def test_the_toys_parameter_is_found_without_bias():
    """200 samples of 200 events: mean pull and its χ² against a unit Gaussian, at false-alarm rate 2e-5 each. The second
    allows the O(1/n) excess of the width that a likelihood has: its square is tested against 1.15."""
    basis, fiducial, truth = MorphingBasis.of(RESOLVED), RESOLVED.fiducial().numpy(), 2.2
    events = toy_sample(RESOLVED, 40_000, truth, seed=5).reshape(200, 200, 3)
    fits = [fit(NegativeTwoLogLikelihood(e, fiducial, basis)) for e in events]
    pulls = np.array([difference(f.theta, np.array([truth]), f.parameters)[0] / f.error[0] for f in fits])
    assert 2 * stats.norm.sf(abs(pulls.mean()) * np.sqrt(200)) > FALSE_ALARM
    assert stats.chi2.sf((pulls**2).sum() / 1.15, 200) > FALSE_ALARM
    assert stats.chi2.cdf((pulls**2).sum(), 200) > FALSE_ALARM


def test_json_and_back():
    result = fit(NegativeTwoLogLikelihood(even_events(0.5), FLAT, YUKAWA, exclude=[3]))
    assert FitResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.excluded == (3,)
    flat = fit(NegativeTwoLogLikelihood(np.tile(FLAT, (10, 1)), FLAT, YUKAWA))
    text = json.dumps(flat.to_dict(), allow_nan=False)
    assert np.isnan(FitResult.from_dict(json.loads(text)).error).all()
    with pytest.raises(InputError, match="fit result"):
        FitResult.from_dict({"minima": []})


@pytest.mark.parametrize(("angle", "expected"), [(-0.5, 0.5), (0.5, 0.5), (-np.pi, np.pi), (3.0, 3.0)])
def test_absolute_folds_the_sign(angle, expected):
    result = FitResult((ANGLE,), (Minimum((angle,), 0.0, 0.0, (0.1,), True, False),), 1)
    assert result.absolute() == pytest.approx(expected)


def test_absolute_of_an_angle_counted_from_zero():
    parameter = Parameter("alpha", (0.0, 2 * np.pi), 2 * np.pi)
    result = FitResult((parameter,), (Minimum((2 * np.pi - 0.3,), 0.0, 0.0, (0.1,), True, False),), 1)
    assert result.absolute() == pytest.approx(0.3)


def test_wrap_and_difference_go_the_short_way():
    parameters = (ANGLE, Parameter("x", (0.0, 1.0)))
    np.testing.assert_allclose(wrap(np.array([4.0, 4.0]), parameters), [4.0 - 2 * np.pi, 4.0])
    delta = difference(np.array([[3.1, 0.9]]), np.array([-3.1, 0.1]), parameters)
    np.testing.assert_allclose(delta, [[6.2 - 2 * np.pi, 0.8]])


def test_derivatives_may_come_from_automatic_differentiation():
    """A bounded angle has no Fourier series; the fit is the same."""
    bounded = MorphingBasis((Parameter("alpha", ANGLE.bounds),), YUKAWA.function)
    a = fit(NegativeTwoLogLikelihood(even_events(0.5), FLAT, YUKAWA))
    b = fit(NegativeTwoLogLikelihood(even_events(0.5), FLAT, bounded))
    assert b.theta[0] == pytest.approx(a.theta[0], abs=1e-3 * a.error[0])
    assert b.error[0] == pytest.approx(a.error[0], rel=1e-3)
    assert isinstance(bounded.function(torch.zeros(1)), torch.Tensor)
