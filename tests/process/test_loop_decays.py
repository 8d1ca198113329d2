"""H → γγ against the printed coefficients, known amplitudes and limits."""

import numpy as np
import pytest
import torch

from bmem.process.decays import diphoton_amplitudes, diphoton_coefficients, diphoton_width

KNOWN = {0: 1.0, 30: 1.098, 45: 1.214, 60: 1.365, 90: 1.728, 180: 2.452}
"""κ_γ² at leading order, m_H = 125, m_t = 172.5, m_W = 80.42 GeV, by α in degrees."""


@pytest.mark.parametrize(("angle", "expected"), KNOWN.items())
def test_the_known_table(angle: float, expected: float) -> None:
    assert diphoton_width(np.radians(angle)) == pytest.approx(expected, abs=5.1e-4)
    assert diphoton_width(-np.radians(angle)) == pytest.approx(diphoton_width(np.radians(angle)), rel=1e-15)


def test_the_known_coefficients() -> None:
    w, scalar, pseudoscalar = diphoton_amplitudes()
    assert (w, scalar, abs(pseudoscalar)) == pytest.approx((1.2829, -0.2829, 0.4305), abs=5.1e-5)
    assert w + scalar == pytest.approx(1.0, rel=1e-15)


def test_a_heavy_top_is_a_point() -> None:
    """m_t → ∞: the loops become 4/3 N_c Q² and 2 N_c Q², their ratio 3/2."""
    _, scalar, pseudoscalar = diphoton_amplitudes(mt=20_000.0)
    assert pseudoscalar / scalar == pytest.approx(1.5, rel=1e-4)


def test_arrays_tensors_and_the_polynomial_agree() -> None:
    alpha = np.linspace(-3, 3, 7)
    width = diphoton_width(alpha)
    np.testing.assert_allclose(diphoton_width(torch.as_tensor(alpha)).numpy(), width, rtol=1e-15)
    s, p = np.cos(alpha), 2 / 3 * np.sin(alpha)
    monomials = np.stack([np.ones_like(s), s, p, s**2, s * p, p**2], -1)
    np.testing.assert_allclose(monomials @ np.array(diphoton_coefficients()), width, rtol=1e-14)
