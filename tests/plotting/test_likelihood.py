"""The likelihood figure carries the numbers that it is given, in degrees."""

from dataclasses import replace

import examples
import numpy as np
import pytest
from quantities import ALPHA
from scipy import stats

from bmem.plotting.likelihood import LikelihoodCurve, draw_likelihood
from bmem.quantity import Quantity

THETA = np.linspace(-np.pi, np.pi, 181)
DELTA = 20 * (np.cos(THETA) - 0.7) ** 2


@pytest.fixture
def curve(rng):
    return LikelihoodCurve(
        theta=THETA,
        delta=DELTA,
        curves=DELTA * rng.normal(1, 0.1, (200, 1)),
        minima=np.array([0.8, -0.8, 1.1]),
        minimum_values=np.array([0.0, 0.1, 3.0]),
        intervals={0.683: ((-1.0, -0.6), (0.6, 1.0)), 0.954: ((-1.2, 1.2),)},
        truth=np.radians(45),
    )


def test_every_artist_carries_its_numbers(axes, curve):
    artists = draw_likelihood(axes, curve, ALPHA)
    np.testing.assert_allclose(artists["curve"].get_xdata(), np.degrees(THETA))
    np.testing.assert_allclose(artists["curve"].get_ydata(), DELTA)
    np.testing.assert_allclose(artists["median"].get_ydata(), np.median(curve.curves, axis=0))
    assert artists["truth"].get_xdata()[0] == pytest.approx(45)
    assert [line.get_ydata()[0] for line in artists["levels"]] == [1, 4, 9]
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in artists["minima"]]
    np.testing.assert_allclose(drawn, [(np.degrees(t), v) for t, v in zip(curve.minima, curve.minimum_values, strict=True)])
    faces = [line.get_markerfacecolor() for line in artists["minima"]]
    assert faces[1:] == ["white", "white"]
    assert faces[0] != "white"


def test_intervals_reach_from_end_to_end_up_to_their_level(axes, curve):
    patches = draw_likelihood(axes, curve, ALPHA)["intervals"]
    boxes = [patch.get_paths()[0].get_extents() for patch in patches]
    expected = [(-1.2, 1.2, 0.954), (-1.0, -0.6, 0.683), (0.6, 1.0, 0.683)]
    for box, (low, high, level) in zip(boxes, expected, strict=True):
        np.testing.assert_allclose([box.x0, box.x1], np.degrees([low, high]))
        np.testing.assert_allclose([box.y0, box.y1], [0, stats.chi2.ppf(level, 1)])


def test_bands_hold_their_share_of_the_curves(axes, curve):
    wide, narrow = draw_likelihood(axes, curve, ALPHA)["bands"]
    at = 0
    for band, percent in ((wide, 95.45), (narrow, 68.27)):
        heights = band.get_paths()[0].vertices
        heights = heights[np.isclose(heights[:, 0], -180), 1]
        inside = np.mean((curve.curves[:, at] >= heights.min()) & (curve.curves[:, at] <= heights.max()))
        assert inside == pytest.approx(percent / 100, abs=0.02)


def test_labels_and_legend(axes, curve, legend_hides_nothing):
    draw_likelihood(axes, curve, ALPHA, top=12)
    assert axes.get_xlabel() == r"$\alpha$ [°]"
    assert r"\log L" in axes.get_ylabel()
    assert axes.get_ylim() == (0, 12)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"truth", "best fit", "other minima", "68.3 % interval", "95.4 % interval", "68 % band", "95 % band"} <= set(
        names
    )
    assert len(names) == len(set(names))
    legend_hides_nothing(axes)


def test_what_is_absent_is_not_drawn(axes):
    artists = draw_likelihood(axes, LikelihoodCurve(THETA, DELTA), Quantity("c_W", "c_W", "TeV$^{-2}$"))
    assert not {"truth", "bands", "median"} & set(artists)
    assert artists["minima"] == artists["intervals"] == []
    assert axes.get_xlabel() == "$c_W$ [TeV$^{-2}$]"
    np.testing.assert_allclose(artists["curve"].get_xdata(), THETA)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_what_matters_is_large_and_the_other_minimum_in_an_inset(axes, legend_hides_nothing):
    """The whole turn used to be drawn: two needles in an empty panel."""
    narrow = examples.curve(5.0)
    artists = draw_likelihood(axes, narrow, ALPHA, title="100 events")
    low, high = axes.get_xlim()
    assert low < 45 - 12**0.5 * 5 < 45 + 12**0.5 * 5 < high < 75
    inset = artists["inset"]
    np.testing.assert_allclose(inset.get_xlim(), [-180, 180])
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in inset.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(drawn, [(45, 0), (-45, 5)], atol=1e-9)
    assert len(artists["minima"]) == 1
    assert axes.get_legend().get_title().get_text() == "100 events"
    legend_hides_nothing(axes)


def test_the_curve_stays_below_its_inset(axes):
    """Where it is drawn, with room for the numbers under it."""
    artists = draw_likelihood(axes, examples.curve(5.0), ALPHA)
    axes.figure.canvas.draw()
    box = artists["inset"].get_tightbbox().transformed(axes.transData.inverted())
    x, y = artists["curve"].get_data()
    assert y[(x > box.x0) & (x < box.x1)].max() < box.y0


def test_a_window_goes_on_beyond_the_end_of_a_turn(axes):
    """Everything that is drawn lies around the best minimum, the rest of the turn on its other side."""
    narrow = examples.curve(5.0)
    shift = np.radians(133.0)
    turned = (narrow.minima + shift + np.pi) % (2 * np.pi) - np.pi
    delta = np.interp((narrow.theta - shift + np.pi) % (2 * np.pi) - np.pi, narrow.theta, narrow.delta)
    pieces = {
        level: tuple((a + shift - 2 * np.pi, b + shift - 2 * np.pi) for a, b in p) for level, p in narrow.intervals.items()
    }
    moved = replace(narrow, delta=delta, curves=None, minima=turned, intervals=pieces, truth=turned[0] + 0.1)
    artists = draw_likelihood(axes, moved, ALPHA)
    low, high = axes.get_xlim()
    assert low < 178
    assert high > 180
    x = artists["curve"].get_xdata()
    assert np.all(np.diff(x) > 0)
    np.testing.assert_allclose(artists["minima"][0].get_xdata(), [178], atol=1e-9)
    boxes = [patch.get_paths()[0].get_extents() for patch in artists["intervals"]]
    assert all(low < box.x0 < 178 < box.x1 < high for box in boxes)
    assert "truth" in labels(axes)


def test_the_legend_has_nothing_that_a_line_hides(axes):
    """Median and bands used to be there, though nobody could see them."""
    narrow = examples.curve(5.0)
    draw_likelihood(axes, replace(narrow, curves=narrow.delta * np.ones((9, 1)), truth=-2.0), ALPHA)
    assert not {"median", "68 % band", "95 % band", "truth"} & set(labels(axes))
    wide = replace(narrow, curves=narrow.delta * np.linspace(0.5, 1.2, 9)[:, None])
    draw_likelihood(axes, wide, ALPHA)
    assert {"median", "68 % band", "95 % band"} <= set(labels(axes))


def test_without_a_minimum_elsewhere_there_is_no_inset(axes):
    alone = replace(examples.curve(5.0), minima=np.radians([45.0]), minimum_values=np.zeros(1))
    assert "inset" not in draw_likelihood(axes, alone, ALPHA)
    assert axes.get_xlim()[1] < 75
