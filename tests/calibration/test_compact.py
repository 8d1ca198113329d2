"""Fewer components: likelihood ratios are the same, and the number is that of what is independent."""

import numpy as np
from contaminated import ContaminatedBank

from bmem.calibration.experiments import Experiments


def test_densities_are_the_same_up_to_a_factor_of_each_event() -> None:
    """Of 18 components four are independent: three of the signal, whose effects make multiples, and a background."""
    p = ContaminatedBank.of(300, 100, seed=1).population(20)
    basis, integrals, fiducial = p.compact
    assert integrals.shape == (400, 4)
    theta = np.random.default_rng(1).uniform([-3, -1, -1, 0.1], [3, 1, 1, 0.6], (20, 4))
    ratio = (integrals @ basis.value(theta).T) / (p.integrals @ p.basis.value(theta).T)
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(20), rtol=1e-9)
    np.testing.assert_allclose(basis.value(theta) @ fiducial, p.basis.value(theta) @ p.fiducial, rtol=1e-12)


def test_toys_are_made_of_them() -> None:
    p = ContaminatedBank.of(300, 100, seed=1).population(20)
    rng, true = np.random.default_rng(2), p.full(0.5, p.nominal)
    rows, weights = p.draw(true, 3, rng)
    assert Experiments(p)._of(rows, weights, p.known.measured(true, 3, rng)).integrals.shape[1] == 4
