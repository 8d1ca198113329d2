"""The contour figure carries the numbers that it is given, angles in degrees and within one turn."""

import numpy as np
import pytest

from bmem.channels.thj.bases import PSEUDOSCALAR, SCALAR
from bmem.inference.regions import Contour, ContourPath, ContourSet
from bmem.inference.scale import STRENGTH
from bmem.plotting.contours import draw_contours
from bmem.process.contract import Parameter

CIRCLE = np.linspace(0, 2 * np.pi, 40, endpoint=False)
ANGLE = Parameter("alpha", (-np.pi, np.pi), 2 * np.pi, r"\alpha", "deg", 180 / np.pi)


def ring(x: float, y: float, radius: float) -> ContourPath:
    return ContourPath(tuple(zip(x + radius * np.cos(CIRCLE), y + radius * np.sin(CIRCLE), strict=True)), True)


@pytest.fixture
def couplings():
    kappas = (SCALAR, PSEUDOSCALAR)
    inner = Contour(0.683, 2.3, (ring(1, 0.5, 0.2), ring(1, -0.5, 0.2)))
    outer = Contour(0.954, 6.2, (ContourPath(((0.0, 3.0), (0.5, -1.0), (2.0, 3.0)), False),))
    return ContourSet(kappas, (inner, outer), ((1, 0.5, 0.0), (1, -0.5, 0.7), (-2, 0, 40.0)), 2)


def test_every_artist_carries_its_numbers(axes, couplings):
    artists = draw_contours(axes, couplings, truth=(0.9, 0.4))
    inner, outer = artists["contours"]
    for line, path in zip(inner, couplings.contours[0].paths, strict=True):
        np.testing.assert_allclose(line.get_xydata(), [*path.points, path.points[0]])
    np.testing.assert_allclose(outer[0].get_xydata(), couplings.contours[1].paths[0].points)
    assert [tuple(line.get_xydata()[0]) for line in artists["minima"]] == [(1, 0.5), (1, -0.5)]
    assert [line.get_markerfacecolor() == "white" for line in artists["minima"]] == [False, True]
    assert tuple(artists["truth"].get_xydata()[0]) == (0.9, 0.4)


def test_labels_and_legend(axes, couplings, legend_hides_nothing):
    draw_contours(axes, couplings, truth=(0.9, 0.4))
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"$\kappa_S$", r"$\kappa_P$")
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(names) == ["68.3 %", "95.4 %", "best fit", "other minima", "truth"]
    legend_hides_nothing(axes)


def test_what_crosses_the_end_of_a_turn_is_drawn_on_both_sides(axes):
    path = ring(3.1, 1.0, 0.3)
    found = ContourSet((ANGLE, STRENGTH), (Contour(0.683, 2.3, (path,)),), ((3.1, 1.0, 0.0),), 2)
    ((first, second),) = draw_contours(axes, found)["contours"]
    np.testing.assert_allclose(first.get_xdata()[:-1], np.degrees(np.array(path.points)[:, 0]))
    np.testing.assert_allclose(second.get_xdata(), first.get_xdata() - 360)
    np.testing.assert_allclose(axes.get_xlim(), (-180, 180))


def test_a_set_without_boundary_shows_its_minimum(axes, couplings):
    found = ContourSet(couplings.parameters, (Contour(0.683, 2.3, ()),), ((1, 0.5, 0.0),), 2)
    artists = draw_contours(axes, found)
    assert artists["contours"] == [[]]
    assert len(artists["minima"]) == 1


def test_a_small_region_is_shown_large(axes):
    found = ContourSet((ANGLE, ANGLE), (Contour(0.683, 2.3, (ring(1.0, 1.0, 0.3),)),), ((1.0, 1.0, 0.0),), 2)
    draw_contours(axes, found)
    assert axes.get_xlim()[0] > 0
