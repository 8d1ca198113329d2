"""The morphing basis and its derivatives."""

import numpy as np
import pytest
import torch

from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian

ANGLE = Parameter("alpha", (-np.pi, np.pi), 2 * np.pi)


def yukawa(theta: torch.Tensor) -> torch.Tensor:
    scalar, pseudo = torch.cos(theta[..., 0]), 2 / 3 * torch.sin(theta[..., 0])
    return torch.stack([torch.ones_like(scalar), scalar, pseudo, scalar**2, scalar * pseudo, pseudo**2], -1)


def two_couplings(theta: torch.Tensor) -> torch.Tensor:
    x, y = theta[..., 0], theta[..., 1]
    return torch.stack([torch.ones_like(x), x, y, x * y, torch.exp(y)], -1)


def ragged(theta: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.ones_like(theta[..., 0]), torch.exp(3 * torch.sin(theta[..., 0]) ** 3)], -1)


PLANE = (Parameter("x", (-2.0, 2.0)), Parameter("y", (-1.0, 1.0)))
CASES = {
    "angle": (MorphingBasis((ANGLE,), yukawa), [0.7]),
    "another turn": (MorphingBasis((ANGLE,), yukawa), [0.7 - 6 * np.pi]),
    "half period": (MorphingBasis((Parameter("a", (0.0, np.pi), np.pi),), lambda t: yukawa(2 * t)), [2.0]),
    "endless series": (MorphingBasis((ANGLE,), ragged), [0.7]),
    "line": (MorphingBasis((Parameter("a", (-1.0, 1.0)),), yukawa), [0.7]),
    "plane": (MorphingBasis(PLANE, two_couplings), [0.5, -0.3]),
    "toy": (MorphingBasis.of(LinearGaussian()), [-2.0]),
}


@pytest.mark.parametrize(("basis", "theta"), CASES.values(), ids=CASES.keys())
def test_derivatives_are_those_of_central_differences(basis, theta):
    theta, step = np.array(theta), 1e-5
    size = basis.value(theta).shape[-1]
    gradient, hessian = basis.gradient(theta), basis.hessian(theta)
    assert gradient.shape == (len(theta), size)
    assert hessian.shape == (len(theta), len(theta), size)
    for i, e in enumerate(step * np.eye(len(theta))):
        first = (basis.value(theta + e) - basis.value(theta - e)) / (2 * step)
        second = (basis.gradient(theta + e) - basis.gradient(theta - e)) / (2 * step)
        np.testing.assert_allclose(gradient[i], first, atol=1e-7)
        np.testing.assert_allclose(hessian[i], second, atol=1e-7)


def test_the_series_of_an_angle_is_as_exact_as_automatic_differentiation():
    angle = MorphingBasis((ANGLE,), yukawa)
    line = MorphingBasis((Parameter("alpha", ANGLE.bounds),), yukawa)
    for theta in np.linspace(-3, 3, 7)[:, None]:
        np.testing.assert_allclose(angle.gradient(theta), line.gradient(theta), atol=1e-14)
        np.testing.assert_allclose(angle.hessian(theta), line.hessian(theta), atol=1e-13)


def test_value_takes_leading_axes():
    basis = MorphingBasis(PLANE, two_couplings)
    theta = np.random.default_rng(1).normal(size=(4, 3, 2))
    values = basis.value(theta)
    assert values.shape == (4, 3, 5)
    np.testing.assert_allclose(values[2, 1], basis.value(theta[2, 1]))


def test_values_are_float64_even_for_integers():
    assert MorphingBasis((ANGLE,), yukawa).value([1]).dtype == np.float64
