"""Figures of belts and of the calibration over the period carry the numbers of their results."""

import examples
import numpy as np
import pytest
from quantities import ALPHA
from scipy import stats

from bmem.calibration.neyman import Belt
from bmem.calibration.period_verdict import TARGETS, PeriodCalibration
from bmem.calibration.toy_intervals import METHODS
from bmem.plotting.belt import draw_belt
from bmem.plotting.coverage import draw_bias_and_spread, draw_levels, draw_methods_along
from bmem.plotting.likelihood import LikelihoodCurve

LEVELS = np.array([0.3, 0.683, 0.954])


@pytest.fixture
def belt() -> Belt:
    return examples.belt()


@pytest.fixture
def period() -> PeriodCalibration:
    return examples.period()


def test_belt_is_closed_and_has_its_quantiles(axes, belt, legend_hides_nothing):
    theta = np.linspace(-np.pi, np.pi, 50)
    artists = draw_belt(axes, belt, ALPHA, LikelihoodCurve(theta, 3 * theta**2))
    for line, quantile, critical, level in zip(
        artists["critical"], artists["quantiles"], belt.critical, belt.levels, strict=True
    ):
        np.testing.assert_allclose(line.get_xdata(), np.append(np.degrees(belt.values), 180))
        np.testing.assert_allclose(line.get_ydata(), np.append(critical, critical[0]))
        assert quantile.get_ydata()[0] == pytest.approx(stats.chi2.ppf(level, 1))
    np.testing.assert_allclose(artists["measured"].get_ydata(), 3 * theta**2)
    legend_hides_nothing(axes)


def test_methods_are_drawn_with_their_targets(panels, period, legend_hides_nothing):
    artists = draw_methods_along(panels, period, ALPHA)
    for drawn, (level, tolerance), target in zip(artists["points"], TARGETS.items(), artists["targets"], strict=True):
        box = target.get_extents().transformed(target.axes.transData.inverted())
        assert (box.y0, box.y1) == pytest.approx((level - tolerance, level + tolerance))
        for method, bars in zip(METHODS, drawn, strict=True):
            np.testing.assert_allclose(bars[0].get_ydata(), period.coverage(method)[:, period.level(level)])
    magnitude = draw_methods_along(panels, period, ALPHA, magnitude=True)
    expected = period.coverage("profile", magnitude=True)[:, 1]
    np.testing.assert_allclose(magnitude["points"][0][METHODS.index("profile")][0].get_ydata(), expected)
    legend_hides_nothing(panels[0])


def test_levels_have_one_line_per_truth(axes, period, legend_hides_nothing):
    artists = draw_levels(axes, period, "profile", ALPHA)
    for line, row in zip(artists["lines"], period.coverage("profile"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), row - LEVELS)
    legend_hides_nothing(axes)


def test_bias_is_in_units_of_the_spread(panels, period):
    artists = draw_bias_and_spread(panels, period, ALPHA)
    bias, error = period.bias()
    np.testing.assert_allclose(artists["bias"][0].get_ydata(), bias / period.spread())
    np.testing.assert_allclose(
        artists["known"].get_ydata() * period.spread(known=True), [p.known_bias.mean() for p in period.points]
    )
    np.testing.assert_allclose(artists["ratio"].get_ydata(), period.spread() / period.spread(known=True))
    low, high = np.array(artists["bias"][2][0].get_segments())[:, :, 1].T
    np.testing.assert_allclose((high - low) / 2, error / period.spread())
