"""Contours of a quadratic, of several minima, on a cylinder, against iminuit's, and how often they hold the truth."""

import json

import numpy as np
import pytest
from iminuit import Minuit
from likelihood_examples import FALSE_ALARM, PLANE, Quadratic, counts
from scipy import stats

from bmem.errors import FitError, InputError
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood, Objective
from bmem.inference.regions import ContourSet, contours
from bmem.process.contract import Parameter

LEVELS = (0.683, 0.954)
COVARIANCE = np.array([[0.3, 0.12], [0.12, 0.1]])


class Wells(Objective):
    """50 (x² - 1/4)² + 8 (1 - cos(y - 3)): minima at x = ±1/2 and y = 3, whose wells cross the seam of y at ±π."""

    def __init__(self):
        super().__init__((Parameter("x", (-2.0, 2.0)), Parameter("y", (-np.pi, np.pi), 2 * np.pi)))
        self.n_events, self.excluded = 1, np.empty(0, np.int64)

    def value(self, theta):
        x, y = np.moveaxis(np.asarray(theta), -1, 0)
        return 50 * (x**2 - 0.25) ** 2 + 8 * (1 - np.cos(y - 3))

    def gradient(self, theta):
        x, y = theta
        return np.array([200 * x * (x**2 - 0.25), 8 * np.sin(y - 3)])

    def curvature(self, theta):
        x, y = theta
        return np.diag([600 * x**2 - 50, 8 * np.cos(y - 3)])


def ranges(n: int, half: float = 4.0) -> tuple[Parameter, ...]:
    return tuple(Parameter(f"p{i}", (-half, half)) for i in range(n))


@pytest.mark.parametrize("scale", [1.0, 1e-3], ids=["wide", "narrower than a step of the scan"])
def test_a_quadratic_has_ellipses(scale):
    covariance = scale**2 * COVARIANCE
    objective = Quadratic([0.3, -0.2], covariance, ranges(2))
    found = contours(objective, fit(objective), LEVELS)
    for contour, threshold in zip(found.contours, (2.2977, 6.1583), strict=True):
        assert contour.threshold == pytest.approx(threshold, abs=1e-4)
        (path,) = contour.paths
        assert path.closed
        np.testing.assert_allclose(objective.value(np.array(path.points)), contour.threshold, atol=1e-6)
        assert path.area == pytest.approx(np.pi * contour.threshold * np.sqrt(np.linalg.det(covariance)), rel=2e-3)
    assert found.minima[0] == pytest.approx((0.3, -0.2, 0.0), abs=1e-3 * scale)


def test_one_degree_of_freedom_has_the_intervals_as_projections():
    objective = Quadratic([0.3, -0.2], COVARIANCE, ranges(2))
    (contour,) = contours(objective, fit(objective), (0.683,), degrees_of_freedom=1).contours
    points = np.array(contour.paths[0].points)
    expected = np.sqrt(stats.chi2.ppf(0.683, 1) * np.diag(COVARIANCE))
    np.testing.assert_allclose(np.ptp(points, axis=0) / 2, expected, rtol=2e-3)


def test_other_parameters_are_profiled():
    """Of a Gaussian in three dimensions the contours are those of the marginal covariance, in either order."""
    covariance = np.array([[0.4, 0.1, -0.2], [0.1, 0.3, 0.15], [-0.2, 0.15, 0.5]])
    objective = Quadratic([0.0, 0.5, 0.3], covariance, ranges(3))
    result = fit(objective)
    for indices in ((0, 2), (2, 0)):
        (contour,) = contours(objective, result, (0.683,), indices).contours
        (path,) = contour.paths
        chosen = np.ix_(indices, indices)
        delta = np.array(path.points) - objective.centre[list(indices)]
        np.testing.assert_allclose(
            ((delta @ np.linalg.inv(covariance[chosen])) * delta).sum(-1), contour.threshold, rtol=1e-4
        )


def test_pieces_around_every_minimum_and_across_the_period():
    objective = Wells()
    found = contours(objective, fit(objective), LEVELS)
    assert sorted(round(x, 2) for x, _, _ in found.minima) == [-0.5, 0.5]
    inner, outer = found.contours
    assert [path.closed for path in inner.paths] == [True, True]
    for path in inner.paths:
        points = np.array(path.points)
        np.testing.assert_allclose(objective.value(points), inner.threshold, atol=1e-6)
        assert points[:, 1].min() < np.pi < points[:, 1].max()
        assert np.abs(np.diff(points[:, 1])).max() < 0.1
    (around,) = outer.paths
    assert around.closed
    assert around.area > sum(path.area for path in inner.paths)


def test_a_region_that_ends_at_a_bound_is_open_there():
    objective = Quadratic([3.9, 0.0], COVARIANCE, ranges(2))
    (contour,) = contours(objective, fit(objective), (0.683,)).contours
    (path,) = contour.paths
    assert not path.closed
    points = np.array(path.points)
    np.testing.assert_array_equal(points[[0, -1], 0], 4.0)
    np.testing.assert_allclose(objective.value(points), contour.threshold, atol=1e-6)


def test_a_likelihood_that_excludes_nothing_has_no_boundary():
    objective = Quadratic([0.0, 0.0], 1e4 * COVARIANCE, ranges(2))
    (contour,) = contours(objective, fit(objective), (0.683,)).contours
    assert contour.paths == ()


def test_the_same_as_mncontour_of_iminuit():
    """Trinomial counts: iminuit's points lie on ours, 1e-3 in -2 log L."""
    objective = NegativeTwoLogLikelihood(counts(60, 25, 15), [1, 1, 1], PLANE)
    result = fit(objective)
    (contour,) = contours(objective, result, (0.683,)).contours
    (path,) = contour.paths
    minuit = Minuit(objective, *result.theta)
    minuit.migrad()
    theirs = minuit.mncontour("x", "y", cl=0.683, size=30)
    np.testing.assert_allclose(objective.value(theirs) - result.best.value, contour.threshold, atol=2e-2)
    distance = np.linalg.norm(np.array(path.points)[:, None] - theirs, axis=-1).min(0)
    assert distance.max() < 0.02 * np.ptp(theirs, axis=0).max()


@pytest.mark.parametrize(("degrees", "expected"), [(2, 0.683), (1, 0.3935)])
def test_the_share_that_holds_both_parameters(degrees, expected):
    """20 000 Gaussian estimates: the region holds the truth with the stated probability (FALSE_ALARM each)."""
    rng = np.random.default_rng(1)
    threshold = contours(q := Quadratic([0, 0], COVARIANCE, ranges(2)), fit(q), (0.683,), degrees_of_freedom=degrees)
    delta = rng.multivariate_normal(np.zeros(2), COVARIANCE, 20_000)
    held = int((((delta @ np.linalg.inv(COVARIANCE)) * delta).sum(-1) <= threshold.contours[0].threshold).sum())
    nominal = stats.chi2.cdf(stats.chi2.ppf(0.683, degrees), 2)
    assert nominal == pytest.approx(expected, abs=1e-3)
    assert stats.binomtest(held, 20_000, nominal).pvalue > FALSE_ALARM


def test_survives_json():
    found = contours(Wells(), fit(Wells()), LEVELS)
    assert ContourSet.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(InputError, match="not the dictionary of a contour set"):
        ContourSet.from_dict({"level": 0.683})


def test_bad_input():
    objective = Quadratic([0.3, -0.2], COVARIANCE, ranges(2))
    result = fit(objective)
    with pytest.raises(InputError, match="between 0 and 1"):
        contours(objective, result, (1.0,))
    with pytest.raises(InputError, match="two of the 2 parameters"):
        contours(objective, result, indices=(0, 0))
    with pytest.raises(InputError, match="degrees of freedom"):
        contours(objective, result, degrees_of_freedom=3)
    other = fit(Quadratic([0.3, -0.2], COVARIANCE, ranges(2)))
    with pytest.raises(FitError, match="fit again"):
        contours(Shifted([0.3, -0.2], COVARIANCE, ranges(2)), other)


class Shifted(Quadratic):
    """Lower by 1 than the quadratic."""

    def value(self, theta):
        return super().value(theta) - 1
