"""Score and Fisher information of a polynomial morphing model on [0, 1] whose answers are integrals of one variable."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from bmem.calibration.score import ScoreSummary, information_kept, score_test, scores
from bmem.calibration.yardstick import yardstick_coefficients
from bmem.errors import InputError
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
FIDUCIAL = np.array([1.0, 0.5, 1.0 / 3.0])
THETA = 0.6
EVENTS = 20_000


@dataclass(frozen=True)
class Slope:
    """dσ/dx = 1 + θ x + θ² x² on [0, 1]; the efficiency, if any, is 1 - x/2."""

    parameters: tuple[Parameter, ...] = field(default=(Parameter("slope", (-0.5, 3.0)),))

    def basis(self, theta):
        return torch.stack([torch.ones_like(theta[..., 0]), theta[..., 0], theta[..., 0] ** 2], dim=-1)

    def components(self, x):
        x = x[..., 0]
        inside = (x >= 0) & (x <= 1)
        return torch.stack([torch.ones_like(x), x, x * x], dim=-1) * inside[..., None]

    def sample(self, n, theta, rng):
        raise NotImplementedError


SLOPE: Any = Slope()
"""As much of a process as is asked for here."""


def density(x, theta=THETA):
    return (1 + theta * x + theta**2 * x**2) / (1 + theta / 2 + theta**2 / 3)


def draw(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.random(4 * n)
    return torch.from_numpy(x[rng.random(4 * n) * density(1.0) < density(x)][:n, None])


NAMES = ("values", "covariance", "fiducial", "fiducial_covariance")


@pytest.fixture(scope="module")
def hard():
    x = draw(EVENTS, 3)
    return score_test(yardstick_coefficients(SLOPE, x, torch.ones(len(x)), FIDUCIAL), MorphingBasis.of(SLOPE), [THETA])


def test_mean_score_vanishes_at_the_truth_only(hard):
    """p-value above FALSE_ALARM at the truth, below it at θ + 0.3 (there the mean is 15 standard errors off)."""
    assert hard.p_value > FALSE_ALARM
    assert abs(hard.mean[0]) < LIMIT * hard.mean_error[0]
    coefficients = yardstick_coefficients(SLOPE, draw(EVENTS, 3), torch.ones(EVENTS), FIDUCIAL)
    assert score_test(coefficients, MorphingBasis.of(SLOPE), [THETA + 0.3]).p_value < FALSE_ALARM


def test_wrong_fiducial_cross_section_is_seen():
    coefficients = yardstick_coefficients(SLOPE, draw(EVENTS, 3), torch.ones(EVENTS), FIDUCIAL * [1, 1.1, 1.1])
    assert score_test(coefficients, MorphingBasis.of(SLOPE), [THETA]).p_value < FALSE_ALARM


def test_information_is_the_integral(hard):
    """E[score²] within LIMIT standard errors of the quadrature; expected error of n events is 1/√(n J)."""

    def integrand(x, h=1e-4):
        slope = (np.log(density(x, THETA + h)) - np.log(density(x, THETA - h))) / (2 * h)
        return slope**2 * density(x)

    exact = integrate.quad(integrand, 0, 1)[0]
    assert hard.information[0, 0] == pytest.approx(exact, abs=LIMIT * hard.information_error[0, 0])
    assert hard.information_error[0, 0] < 0.02 * exact
    assert hard.expected_error(100)[0] == pytest.approx(1 / np.sqrt(100 * hard.information[0, 0]))


def test_information_kept_by_a_coarse_reconstruction(hard):
    """A reconstruction that only tells x < 1/2 from x > 1/2 keeps a known fraction of the information."""
    x = draw(EVENTS, 3)
    halves = np.array([[0.5, 0.125, 1 / 24], [0.5, 0.375, 7 / 24]])
    coefficients = yardstick_coefficients(SLOPE, x, torch.ones(len(x)), FIDUCIAL)
    coarse = replace(coefficients, values=halves[(x[:, 0] > 0.5).long().numpy()][None])
    basis = MorphingBasis.of(SLOPE)
    reco = score_test(coarse, basis, [THETA])
    value, gradient = basis.value([THETA]), basis.gradient([THETA])[0]
    probabilities = halves @ value / (FIDUCIAL @ value)
    slopes = halves @ gradient / (halves @ value) - FIDUCIAL @ gradient / (FIDUCIAL @ value)
    kept, error = information_kept(reco, hard)
    expected = probabilities @ slopes**2 / hard.information[0, 0]
    hard_error = expected * hard.information_error[0, 0] / hard.information[0, 0]
    assert kept[0] == pytest.approx(expected, abs=LIMIT * (error[0] + hard_error))
    assert 0.5 < kept[0] < 0.9
    np.testing.assert_allclose(information_kept(hard, hard), ([1.0], [0.0]), atol=1e-12)


def test_noise_of_the_integrals_is_no_information(hard):
    """Scores with noise of the same size as themselves keep half of the information, though their own variance doubles."""
    noise = np.random.default_rng(5).normal(0, hard.scores.std(), hard.scores.shape)
    noisy = replace(hard, scores=hard.scores + noise)
    kept, error = information_kept(noisy, hard)
    assert kept[0] == pytest.approx(0.5, abs=LIMIT * error[0])
    assert error[0] < 0.02


def test_replicas_are_averaged():
    x = draw(50, 4)
    first = yardstick_coefficients(SLOPE, x, torch.ones(50), FIDUCIAL)
    second = replace(first, values=first.values**1.1, fiducial=first.fiducial * [1.0, 1.1, 1.2])
    both: dict[str, Any] = {n: np.concatenate([getattr(c, n) for c in (first, second)]) for n in NAMES}
    joined = Coefficients(**both)
    basis = MorphingBasis.of(SLOPE)
    each = [scores(c, basis, [THETA]) for c in (first, second)]
    np.testing.assert_allclose(scores(joined, basis, [THETA]), np.mean(each, axis=0), rtol=1e-12)


def test_efficiency_cancels_in_the_scores_if_the_fiducial_is_the_same():
    x = draw(200, 4)
    plain = yardstick_coefficients(SLOPE, x, torch.ones(200), FIDUCIAL)
    efficient = yardstick_coefficients(SLOPE, x, 1 - x[:, 0] / 2, FIDUCIAL)
    np.testing.assert_allclose(efficient.values, plain.values * (1 - x.numpy() / 2), rtol=1e-12)
    one, other = (score_test(c, MorphingBasis.of(SLOPE), [THETA]).scores for c in (plain, efficient))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_bad_input():
    x = draw(10, 4)
    with pytest.raises(InputError, match="3 components"):
        yardstick_coefficients(SLOPE, x, torch.ones(10), FIDUCIAL[:2])
    x[6] = 2.0
    with pytest.raises(InputError, match="event 6"):
        yardstick_coefficients(SLOPE, x, torch.ones(10), FIDUCIAL)
    coefficients = yardstick_coefficients(SLOPE, draw(10, 4), torch.ones(10), FIDUCIAL)
    coefficients.values[0, :3] *= -1
    summary = score_test(coefficients, MorphingBasis.of(SLOPE), [THETA])
    assert summary.excluded == 3
    assert ScoreSummary.from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False))).to_dict() == summary.to_dict()
    few = score_test(yardstick_coefficients(SLOPE, x[:5], torch.ones(5), FIDUCIAL), MorphingBasis.of(SLOPE), [THETA])
    with pytest.raises(InputError, match="same events"):
        information_kept(summary, few)
    coefficients.values[0] = -1
    with pytest.raises(InputError, match="0 of 10 events"):
        score_test(coefficients, MorphingBasis.of(SLOPE), [THETA])
