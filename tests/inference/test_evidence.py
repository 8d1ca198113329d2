"""Means of likelihoods over their range against closed forms, however narrow."""

import numpy as np
import pytest
from scipy import special
from scipy.special import logsumexp

from bmem.inference.evidence import log_evidence, log_mean, log_pool
from bmem.inference.objective import axes
from bmem.process.contract import Parameter

ANGLE = Parameter("angle", (-np.pi, np.pi), 2 * np.pi)


@pytest.mark.parametrize("concentration", [0.5, 20.0, 1e3, 1e5])
def test_a_von_mises_curve(concentration: float) -> None:
    """Mean of exp(κ (cos(x - 1) - 1)) over the circle: I_0(κ) exp(-κ).

    σ down to 0.003, a fifth of the distance of the points, where the error of the cubic spline is 1e-5.
    """
    (x,) = axes((ANGLE,))
    curves = 2 * concentration * (1 - np.cos(x - np.array([[1.0], [-0.3]])))
    expected = np.log(special.ive(0, concentration))
    np.testing.assert_allclose(log_mean(curves, x, ANGLE.period), expected, atol=2e-5)


@pytest.mark.parametrize("sigma", [0.3, 0.05, 0.002])
def test_several_parameters_with_two_peaks(sigma: float) -> None:
    """Two Gaussians in (angle, share), one of them cut in half by a bound: to 2 %."""
    share = Parameter("share", (0.0, 1.0))

    def value(theta: np.ndarray) -> np.ndarray:
        near, far = ((np.square(theta - m) / sigma**2).sum(-1) for m in ([1.0, 0.0], [-1.0, 0.5]))
        return -2 * np.log(np.exp(-near / 2) + np.exp(-far / 2) + 1e-300)

    cut = special.erf(0.5 / sigma / np.sqrt(2))
    expected = np.log(2 * np.pi * sigma**2 * (special.erf(1 / sigma / np.sqrt(2)) / 2 + cut) / (2 * np.pi))
    found = log_evidence(value, (ANGLE, share), axes((ANGLE, share)))
    assert found == pytest.approx(expected, abs=0.02)


def test_an_average_is_as_wide_as_all_its_replicas_whatever_their_constants() -> None:
    """Gaussian curves about θ_r: the average has their common variance and that of the θ_r; the mean of the likelihoods
    themselves is the replica with the lowest constant.
    """
    x, sigma = np.linspace(-1, 1, 2001), 0.05
    rng = np.random.default_rng(1)
    centres, constants = rng.normal(0, 0.1, 16), rng.normal(0, 40, 16)
    curves = np.square(x - centres[:, None]) / sigma**2 + constants[:, None]
    pool = np.exp(log_pool(-curves / 2, log_mean(curves, x, None)))
    pool /= pool.sum()
    assert pool @ x == pytest.approx(centres.mean(), abs=1e-9)
    assert pool @ x**2 - (pool @ x) ** 2 == pytest.approx(sigma**2 + centres.var(), rel=1e-6)
    old = np.exp(logsumexp(-curves / 2, axis=0) - logsumexp(-curves / 2))
    assert old @ x == pytest.approx(centres[constants.argmin()], abs=1e-3)
    assert log_pool(-curves[:1] / 2, np.array([123.0])) == pytest.approx(-curves[0] / 2)
