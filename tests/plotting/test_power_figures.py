"""Expected precision, goodness of fit and influence: what is drawn are the numbers of the results, in degrees."""

import examples
import numpy as np
import pytest
from quantities import ALPHA

from bmem.calibration.goodness import Goodness
from bmem.inference.event_influence import OUTSIDE, Influence
from bmem.inference.intervals import IntervalSet
from bmem.plotting.goodness import draw_event_densities, draw_goodness
from bmem.plotting.influence import draw_influence
from bmem.plotting.power import (
    draw_expected_intervals,
    draw_expected_lengths,
    draw_kept,
    draw_power,
    draw_power_events,
)
from bmem.process.contract import Parameter

ANGLE = Parameter("alpha", (-np.pi, np.pi), 2 * np.pi, r"\alpha", "deg", 180 / np.pi)
TRUTHS = np.radians([-90.0, -45.0, 0.0, 45.0, 90.0])


@pytest.fixture
def power():
    return examples.power()


def test_sigma_along_the_truth(axes, power, legend_hides_nothing):
    artists = draw_power(axes, power, 100, ALPHA, rate=True)
    np.testing.assert_allclose(artists["reco"].get_xdata(), np.degrees(TRUTHS))
    np.testing.assert_allclose(artists["reco"].get_ydata()[[0, 1]], np.degrees([0.1, np.sqrt(2) / 10]))
    np.testing.assert_allclose(artists["hard"].get_ydata()[4], np.degrees(0.1 / np.sqrt(2)))
    np.testing.assert_allclose(artists["rate"].get_ydata()[2], np.degrees(0.2))
    low, high = axes.get_ylim()
    assert np.isfinite([low, high]).all()
    assert low < np.degrees(0.1 / np.sqrt(2))
    assert high > np.degrees(0.15)
    legend_hides_nothing(axes)


def test_information_kept(axes, power, error_bars):
    x, kept, low, high = error_bars(draw_kept(axes, power, ALPHA)["kept"])
    np.testing.assert_allclose(x, np.degrees(TRUTHS))
    np.testing.assert_allclose(kept, 0.5)
    np.testing.assert_allclose(high - low, 0.05)
    assert axes.get_ylim()[0] < 0.47


def test_sigma_against_the_events(axes, power, legend_hides_nothing):
    """The nearest truth is drawn; a tenth of σ needs a hundred times the events."""
    artists = draw_power_events(axes, power, [10, 1000], np.radians([44.0, 90.0]).tolist(), ALPHA)
    first, second = (line.get_ydata() for line in artists["reco"])
    np.testing.assert_allclose(first[0], np.degrees(1 / np.sqrt(10 * 0.5)))
    np.testing.assert_allclose(second[0] / second[1], 10)
    assert len(artists["hard"]) == 2
    legend_hides_nothing(axes)


def test_expected_intervals_are_cut_at_the_end_of_the_range(axes, legend_hides_nothing):
    pieces = ((-2.0, -1.0), (1.0, 2.0)), ((3.0, 3.5),)
    regions = [IntervalSet(ANGLE, 0.683, p) for p in pieces]
    artists = draw_expected_intervals(axes, np.radians([0, 180]), {"50": regions, "100": regions}, ALPHA)
    bars = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in artists["50"]]
    expected = np.degrees([(-2, -1), (1, 2), (3, np.pi), (-np.pi, 3.5 - 2 * np.pi)])
    np.testing.assert_allclose(bars, expected)
    wide, narrow = artists["50"][0], artists["100"][0]
    assert narrow.get_width() == pytest.approx(wide.get_width() / 2)
    assert narrow.get_center()[0] == pytest.approx(wide.get_center()[0])
    assert wide.get_center()[0] == pytest.approx(0)
    legend_hides_nothing(axes)


@pytest.fixture
def goodness(rng):
    toys = np.stack([rng.normal(size=500), rng.exponential(size=500)])
    expected = np.linspace(-40, -20, 400)
    return Goodness(0.4, 0, rng.uniform(-40, -20, 60), rng.random(60), expected, np.array([4.5, 0.7]), toys)


@pytest.mark.parametrize(("statistic", "row"), [("mean", 0), ("distance", 1)])
def test_statistic_among_its_toys(axes, goodness, statistic, row, legend_hides_nothing):
    artists = draw_goodness(axes, goodness, statistic)
    assert artists["toys"].get_data().values.sum() == 500
    assert artists["observed"].get_xdata()[0] == goodness.observed[row]
    assert axes.get_xlim()[0] < goodness.observed[row] < axes.get_xlim()[1]
    assert f"{goodness.p_values[row]:.3f}" in axes.get_legend().get_texts()[1].get_text()
    legend_hides_nothing(axes)


def test_densities_of_the_events(axes, goodness, legend_hides_nothing):
    artists = draw_event_densities(axes, goodness, bins=10)
    assert artists["steps"].get_data().values.sum() == 60
    assert artists["expected"].get_ydata().sum() == pytest.approx(60, rel=0.02)
    legend_hides_nothing(axes)


def test_influence_draws_the_pull_of_each_event(axes, legend_hides_nothing):
    """The pull is minus the shift without the event; an event that carries the estimate is named without a bar."""
    shift = np.radians([[1.0], [-3.0], [np.nan], [2.0]])
    outside = np.array([False, False, False, True])
    result = Influence((ANGLE,), np.array([0.5]), np.radians([4.0]), np.array([0, 2, 5, 7]), shift, {OUTSIDE: outside})
    artists = draw_influence(axes, result, count=3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["5 (all)", "2", "7"]
    assert [bar.get_width() for bar in artists["clean"]] == pytest.approx([0, 3])
    assert [bar.get_width() for bar in artists["doubtful"]] == pytest.approx([-2])
    assert "4" in axes.get_xlabel()
    legend_hides_nothing(axes)


def test_lengths_against_events(axes, legend_hides_nothing):
    """In degrees; where a length is not known there is no point, and the axis ends at the last number that is."""
    lengths = np.array([[0.4, 0.2, 0.1, np.nan], [1.0, 0.5, np.nan, np.nan]])
    artists = draw_expected_lengths(axes, [10, 40, 160, 640], lengths, [0.0, np.pi / 4], ALPHA)
    np.testing.assert_allclose(artists["lengths"][0].get_ydata()[:3], np.degrees([0.4, 0.2, 0.1]))
    assert [line.get_label() for line in artists["lengths"]] == [r"$\alpha = 0$°", r"$\alpha = 45$°"]
    assert 160 < axes.get_xlim()[1] < 640
    legend_hides_nothing(axes)
