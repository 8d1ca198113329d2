"""Constraints against the combination of Gaussian measurements, and what contradicts itself."""

import numpy as np
import pytest
from derivatives import assert_exact
from iminuit import Minuit
from iminuit.cost import LeastSquares, NormalConstraint
from likelihood_examples import ANGLE, PLANE, RESOLVED, Quadratic, counts, toy_sample

from bmem.errors import InputError
from bmem.inference.combine import budget
from bmem.inference.constraints import Joint, joint
from bmem.inference.intervals import profile_intervals
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.inference.scale import with_strength
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

PAIR = (Parameter("x", (-10.0, 10.0)), Parameter("y", (-10.0, 10.0)))
CENTRE = np.array([1.0, -0.5])
COVARIANCE = np.array([[0.5, 0.2], [0.2, 0.3]])


def gaussian(parameters=PAIR, centre=CENTRE, covariance=COVARIANCE) -> Quadratic:
    """The -2 log L of a Gaussian measurement of ``parameters``."""
    return Quadratic(centre, covariance, parameters)


def plane() -> NegativeTwoLogLikelihood:
    return NegativeTwoLogLikelihood(counts(50, 30, 20), [1.0, 1.0, 1.0], PLANE)


def test_gaussian_measurements_combine():
    """Inverse covariances add up: the textbook average."""
    objective = joint(gaussian() + NormalConstraint("y", 0.2, 0.4))
    weight = np.diag([0, 1 / 0.4**2])
    covariance = np.linalg.inv(np.linalg.inv(COVARIANCE) + weight)
    mean = covariance @ (np.linalg.inv(COVARIANCE) @ CENTRE + weight @ [0, 0.2])
    found = fit(objective)
    np.testing.assert_allclose(found.theta, mean, atol=1e-3 * 0.4)
    np.testing.assert_allclose(found.error, np.sqrt(np.diag(covariance)), rtol=1e-9)
    for i in (0, 1):
        (interval,) = profile_intervals(objective, found, (0.6826894921,), i)
        expected = mean[i] + np.sqrt(covariance[i, i]) * np.array([-1, 1])
        np.testing.assert_allclose(interval.intervals, [expected], atol=2e-3)


def test_correlated_constraints_and_likelihoods_with_shared_parameters():
    constraint = NormalConstraint(["x", "y"], CENTRE, COVARIANCE)
    other = gaussian((PAIR[1],), [0.2], [[0.16]])
    with_others = [Joint([gaussian(), other], [constraint]), joint(gaussian() + other + constraint + 3.0)]
    expected = gaussian().value([0.3, 0.1]) * 2 + (0.1 / 0.4) ** 2
    for objective in with_others:
        assert objective.value([0.3, 0.1]) == pytest.approx(expected)
        assert objective.n_events == 2
        assert_exact(objective, [0.3, 0.1])


def test_derivatives_with_events():
    objective = joint(plane() + NormalConstraint(["y", "x"], [0.2, 0.3], [0.05, 0.1]))
    assert_exact(objective, [0.25, 0.15])
    minuit = Minuit(plane() + NormalConstraint(["y", "x"], [0.2, 0.3], [0.05, 0.1]), 0.3, 0.2)
    minuit.migrad()
    np.testing.assert_allclose(fit(objective).theta, minuit.values, atol=1e-4)


def test_an_angle_is_constrained_around_its_period():
    basis, fiducial = MorphingBasis.of(RESOLVED), RESOLVED.fiducial().numpy()
    events = NegativeTwoLogLikelihood(toy_sample(RESOLVED, 20, np.pi, seed=3), fiducial, basis)
    objective = joint(events + NormalConstraint("theta", np.pi - 0.01, 0.02))
    assert objective.value([-np.pi + 0.01]) == pytest.approx(float(events.value([-np.pi + 0.01])) + 1.0)
    (interval,) = profile_intervals(objective, fit(objective), (0.683,))
    assert interval.contains([np.pi - 0.01]).all()
    assert interval.length < 0.045


def test_a_constraint_lets_the_shape_have_a_strength():
    basis, fiducial = with_strength(MorphingBasis.of(RESOLVED)), RESOLVED.fiducial().numpy()
    events = NegativeTwoLogLikelihood(toy_sample(RESOLVED, 50, 0.8, seed=5), fiducial, basis)
    found = fit(joint(events + NormalConstraint("mu", 1.1, 0.2)))
    assert found.theta[1] == pytest.approx(1.1, abs=1e-3)
    assert found.error[1] == pytest.approx(0.2, rel=1e-6)


def test_the_budget_of_a_constrained_fit():
    """Every fit of the budget has the constraint: it shrinks the statistical error, and the integration error with it, in
    the linear propagation as in the bootstrap (25 resamples know theirs to 14 %)."""
    values, rng = toy_sample(RESOLVED, 60, 0.8, seed=5), np.random.default_rng(2)
    noise = 0.1 * values
    coefficients = Coefficients(
        values=values[None],
        covariance=np.eye(3) * (noise**2)[None, ..., None],
        fiducial=RESOLVED.fiducial().numpy()[None],
        fiducial_covariance=np.zeros((1, 3, 3)),
        bootstrap=(values + noise * rng.normal(size=(25, *values.shape)))[None],
        fiducial_bootstrap=np.tile(RESOLVED.fiducial().numpy(), (1, 25, 1)),
    )
    basis, constraint = MorphingBasis.of(RESOLVED), NormalConstraint("theta", 0.8, 0.05)
    (_, free), (objective, found) = budget(coefficients, basis), budget(coefficients, basis, constraints=[constraint])
    expected = fit(joint(objective + constraint))
    assert found.estimate.theta == pytest.approx(expected.theta)
    assert found.statistical == pytest.approx(expected.error, rel=1e-9)
    shrunk = (found.statistical[0] / free.statistical[0]) ** 2
    assert found.integration_linear[0] == pytest.approx(shrunk * free.integration_linear[0], rel=0.2)
    assert 0.5 < found.integration.std[0] / found.integration_linear[0] < 2


def test_one_objective_is_itself():
    objective = plane()
    assert joint(objective) is objective


@pytest.mark.parametrize(
    "constraints",
    [
        [NormalConstraint("x", 0.2, 0.01), NormalConstraint("x", 0.4, 0.01)],
        [NormalConstraint("x", 2.0, 0.1)],
        [NormalConstraint(["x", "y"], [0.3, 0.2], [0.01, 0.01]), NormalConstraint("y", 0.3, 0.01)],
    ],
    ids=["each other", "the range", "a correlated one"],
)
def test_contradictions_are_refused(constraints):
    with pytest.raises(InputError, match="contradict"):
        Joint([plane()], constraints)


def test_tension_is_no_contradiction():
    """Two constraints 4 standard deviations apart are kept, and their average is fitted."""
    objective = Joint([gaussian()], [NormalConstraint("x", 0.0, 0.001), NormalConstraint("x", 0.0056, 0.001)])
    assert fit(objective).theta[0] == pytest.approx(0.0028, abs=1e-4)
    around = [NormalConstraint("alpha", np.pi - 0.01, 0.01), NormalConstraint("alpha", -np.pi + 0.01, 0.01)]
    Joint([gaussian((ANGLE,), [0.0], [[1.0]])], around)


def test_bad_input():
    with pytest.raises(InputError, match=r"\['z'\].*\['x', 'y'\]"):
        joint(plane() + NormalConstraint("z", 0.0, 1.0))
    with pytest.raises(InputError, match="finite"):
        joint(plane() + NormalConstraint("x", np.nan, 1.0))
    with pytest.raises(InputError, match="LeastSquares"):
        joint(plane() + LeastSquares([1.0], [1.0], [1.0], lambda q, x: x + q))
    with pytest.raises(InputError, match=r"CostSum.*joint"):
        fit(plane() + NormalConstraint("x", 0.2, 0.1))
    with pytest.raises(InputError, match="constraints alone"):
        joint(NormalConstraint("x", 0.0, 1.0))
    with pytest.raises(InputError, match="different ranges"):
        Joint([gaussian(), gaussian((Parameter("x", (0.0, 1.0)),), [0.2], [[1.0]])])
