"""What is known from elsewhere: the sum of the constraints, its fluctuation in toys, and values drawn from it."""

import numpy as np
import pytest
from iminuit.cost import NormalConstraint
from scipy import stats

from bmem.calibration.known_elsewhere import KnownElsewhere
from bmem.errors import InputError
from bmem.process.contract import Parameter

FALSE_ALARM = 2e-5
PARAMETERS = (Parameter("theta", (-np.pi, np.pi), 2 * np.pi), Parameter("f", (0.0, 0.9)), Parameter("nu", (-3.0, 3.0)))
CORRELATED = NormalConstraint(["f", "nu"], [0.3, 0.5], [[0.01, 0.03], [0.03, 0.25]])
ALONE = NormalConstraint("nu", 0.0, 1.0)


def test_it_is_the_sum_of_the_constraints_up_to_a_constant() -> None:
    known, rng = KnownElsewhere.of([CORRELATED, ALONE], PARAMETERS), np.random.default_rng(1)
    theta = rng.uniform(-0.5, 0.5, (20, 3))
    expected = np.array([CORRELATED(*t[1:]) + ALONE(t[2]) for t in theta])
    difference = known.value(theta, known.pull) - expected
    np.testing.assert_allclose(difference, difference[0], atol=1e-9)


def test_other_measurements_scatter_about_the_truth() -> None:
    """Means and covariance of the pulls, 10 000 of them; false alarm 2e-5 over 9 numbers."""
    known, theta = KnownElsewhere.of([CORRELATED, ALONE], PARAMETERS), np.array([1.0, 0.2, -0.3])
    pulls, limit = known.measured(theta, 10_000, np.random.default_rng(2)), stats.norm.isf(FALSE_ALARM / 18)
    assert (pulls[:, 0] == 0).all()
    found, expected = pulls[:, 1:], (theta @ known.precision)[1:]
    spread = np.sqrt(np.diag(known.precision)[1:])
    assert (np.abs(found.mean(axis=0) - expected) < limit * spread / 100).all()
    covariance, error = np.cov(found, rowvar=False), 1.5 * np.outer(spread, spread) / 100
    assert (np.abs(covariance - known.precision[1:, 1:]) < limit * error).all()


def test_drawn_values_are_those_of_the_gaussian() -> None:
    """A thousand Sobol points have its mean and covariance much more closely than as many random ones: within 2 %."""
    known = KnownElsewhere.of([CORRELATED], PARAMETERS)
    values = known.drawn(1024, np.random.default_rng(3))
    np.testing.assert_allclose(values.mean(axis=0), [0.3, 0.5], atol=0.02 * 0.5)
    np.testing.assert_allclose(np.cov(values, rowvar=False), CORRELATED.covariance, rtol=0.05)
    assert (values[:, 0] >= 0).all()


def test_what_is_not_known_cannot_be_drawn() -> None:
    known = KnownElsewhere.of([ALONE], PARAMETERS)
    assert known.free() == ["f"]
    with pytest.raises(InputError, match="nothing is known of f"):
        known.drawn(4, np.random.default_rng(4))
    with pytest.raises(InputError, match="constraint on theta"):
        KnownElsewhere.of([NormalConstraint("theta", 0.0, 1.0)], PARAMETERS)
