"""The basis of free couplings is that of the phase where κ_S = cos α and κ_P = (2/3) sin α."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from bmem.channels.thj.bases import coupling_basis
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process import THJ
from bmem.process.contract import Parameter


@pytest.fixture(scope="module")
def basis() -> PolynomialBasis:
    return coupling_basis()


def test_it_is_the_basis_of_the_phase_on_the_ellipse(basis):
    alpha = np.linspace(-np.pi, np.pi, 13)
    kappa = np.stack([np.cos(alpha), 2 / 3 * np.sin(alpha)], -1)
    of_phase = THJ.basis(cast(Any, None), torch.from_numpy(alpha[:, None])).numpy()
    np.testing.assert_allclose(basis.value(kappa), of_phase, atol=1e-15)


def test_derivatives_by_hand(basis):
    s, p = 0.7, -1.3
    np.testing.assert_allclose(basis.value([s, p]), [1, s, p, s * s, s * p, p * p])
    np.testing.assert_allclose(basis.gradient([s, p]), [[0, 1, 0, 2 * s, p, 0], [0, 0, 1, 0, s, 2 * p]])
    second = np.zeros((2, 2, 6))
    second[0, 0, 3] = second[1, 1, 5] = 2
    second[0, 1, 4] = second[1, 0, 4] = 1
    np.testing.assert_allclose(basis.hessian([s, p]), second)


def test_any_polynomial_against_automatic_differentiation():
    parameters = tuple(Parameter(name, (-2.0, 2.0)) for name in "abc")
    powers = ((0, 0, 0), (3, 0, 1), (1, 2, 1), (0, 4, 0))
    ours = PolynomialBasis(parameters, powers)
    theirs = MorphingBasis(parameters, lambda t: torch.stack([(t ** torch.tensor(p)).prod(-1) for p in powers], -1))
    for theta in ([0.7, -1.2, 0.4], [0.3, 0.5, -1.0]):
        for name in ("value", "gradient", "hessian"):
            np.testing.assert_allclose(getattr(ours, name)(theta), getattr(theirs, name)(theta), rtol=1e-12, atol=1e-13)
    assert ours.value(np.ones((4, 5, 3))).shape == (4, 5, 4)
    np.testing.assert_array_equal(ours.gradient([0.0, 0.0, 0.0]), 0)
