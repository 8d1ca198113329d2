"""Means of likelihoods over their range against closed forms, however narrow."""

import numpy as np
import pytest
from scipy import special

from bmem.inference.evidence import log_evidence, log_mean
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
