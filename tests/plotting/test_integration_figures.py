"""Integration diagnostics: histograms hold every event or say how many they do not, and the worst events are the worst."""

import numpy as np
import pytest

from bmem.plotting.integration import draw_effective_points, draw_pareto_k, draw_relative_error, worst_events
from bmem.plotting.style import new_figure


def texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("draw", [draw_effective_points, draw_relative_error])
def test_logarithmic_histograms_hold_every_event_and_their_limit(draw, axes, rng, legend_hides_nothing):
    values = rng.lognormal(-3, 0.7, 500)
    artists = draw(axes, values, 1.2 * values.max())
    assert artists["steps"].get_data().values.sum() == 500
    assert artists["median"].get_xdata()[0] == pytest.approx(np.median(values))
    assert artists["limit"].get_xdata()[0] == 1.2 * values.max() < axes.get_xlim()[1]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlabel()
    legend_hides_nothing(axes)


def test_a_single_event_is_seen_beside_hundreds(axes, rng):
    """On a linear axis it used to be a line in the frame."""
    draw_effective_points(axes, np.append(rng.lognormal(6, 0.2, 2000), 5.0), 50)
    low, high = axes.get_ylim()
    assert np.log(1 / low) / np.log(high / low) > 0.07
    assert "1 of 2001 below 50" in texts(axes)


def test_events_that_cannot_be_shown_are_counted(axes, rng):
    values = np.append(rng.lognormal(-3, 0.7, 50), [0.0, np.nan, np.inf])
    assert draw_effective_points(axes, values, 1.0)["steps"].get_data().values.sum() == 50
    assert any("3 not shown" in text for text in texts(axes))


def test_nothing_to_show_is_not_an_error(axes):
    assert "median" not in draw_relative_error(axes, np.array([np.inf, np.nan]))
    _, other = new_figure()
    assert draw_pareto_k(other, np.array([np.nan]))["steps"].get_data().values.sum() == 0


def test_pareto_k(axes, rng, legend_hides_nothing):
    k = np.concatenate([rng.uniform(-0.2, 0.69, 96), [0.8, 1.7], [np.nan, -np.inf]])
    artists = draw_pareto_k(axes, k)
    assert artists["steps"].get_data().values.sum() == 98
    assert artists["limit"].get_xdata()[0] == 0.7
    said = " ".join(texts(axes))
    assert "2 of 100 above 0.7" in said
    assert "2 without" in said
    legend_hides_nothing(axes)


def test_worst_events():
    diagnostics = {"relative_error": np.array([0.1, np.nan, 0.5, 0.2]), "points": np.array([10, 20, 30, 40])}
    rows = worst_events(diagnostics, n=3)
    assert [row[0] for row in rows] == [1, 2, 3]
    assert rows[1] == (2, 0.5, 30)
    assert isinstance(rows[1][2], int)
