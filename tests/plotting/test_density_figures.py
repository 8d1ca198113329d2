"""Densities with their network uncertainty: mean, band, relative error and pull are those of the band, in 1D and 2D."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bmem.networks.band import DensityBand
from bmem.plotting.density import draw_density

EDGES = np.linspace(0, 1, 5)


def band(rng, dims=1):
    edges = (EDGES, np.linspace(0, 2, 4))[:dims]
    shape = tuple(len(each) - 1 for each in edges)
    return DensityBand(edges, 1 + 0.1 * rng.standard_normal((8, *shape)), np.zeros(shape))


@pytest.fixture
def three():
    return tuple(plt.subplots(3, 1, sharex=True)[1])


def test_mean_band_and_relative_error(three, rng):
    made = band(rng)
    artists = draw_density(three, made, "$x$")
    np.testing.assert_allclose(artists["mean"].get_data().values, made.mean)
    drawn = artists["band"].get_data()
    np.testing.assert_allclose(drawn.values - drawn.baseline, 2 * made.error)
    np.testing.assert_allclose(artists["relative"].get_data().values, made.error / made.mean)
    assert "pull" not in artists
    assert not three[2].get_visible()
    assert three[1].get_xlabel() == "$x$"


def test_an_exact_reference_is_a_line_and_gives_pulls(three, rng, legend_hides_nothing):
    made = band(rng).against(np.ones(4))
    artists = draw_density(three, made, "$x$")
    np.testing.assert_allclose(artists["reference"].get_data().values, 1)
    np.testing.assert_allclose(artists["pull"].get_ydata(), (made.mean - 1) / made.error)
    assert three[2].get_xlabel() == "$x$"
    legend_hides_nothing(three[0])


def test_pulls_outside_the_panel_stay_at_its_edge(three, rng):
    artists = draw_density(three, band(rng).against(np.array([1.0, 9.0, 1.0, -9.0])), "$x$")
    assert artists["pull"].get_ydata()[1] == -4
    assert artists["pull"].get_ydata()[3] == 4
    assert three[2].get_ylim() == (-4, 4)


def test_a_reference_sample_has_error_bars(three, rng, error_bars):
    made = band(rng).against_sample(rng.random(1000))
    _, y, low, high = error_bars(draw_density(three, made, "$x$")["reference"])
    np.testing.assert_allclose(y, made.reference)
    np.testing.assert_allclose((high - low) / 2, made.reference_error)


def test_two_coordinates_are_maps(rng):
    panels = tuple(plt.subplots(1, 3)[1])
    made = band(rng, 2).against(np.ones((4, 3)))
    artists = draw_density(panels, made, "$x$", "$y$")
    np.testing.assert_allclose(artists["mean"].get_array(), made.mean.T)
    np.testing.assert_allclose(artists["relative"].get_array(), made.relative_error.T)
    np.testing.assert_allclose(artists["pull"].get_array(), made.pull.T)
    assert panels[0].get_ylabel() == "$y$"
    assert {axes.get_xlabel() for axes in panels} == {"$x$"}


def test_two_coordinates_without_a_reference(rng):
    panels = tuple(plt.subplots(1, 3)[1])
    assert set(draw_density(panels, band(rng, 2), "$x$", "$y$")) == {"mean", "relative"}
    assert not panels[2].get_visible()
