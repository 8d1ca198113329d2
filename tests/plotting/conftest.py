"""Figures are drawn without a screen, in the style of bmem, and closed after each test."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from bmem.plotting.style import house_style, new_figure, new_panels

mpl.use("Agg")


@pytest.fixture(autouse=True)
def styled():
    with house_style():
        yield
    plt.close("all")


@pytest.fixture
def axes():
    return new_figure()[1]


@pytest.fixture
def panels():
    return new_panels()[1]


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture
def legend_hides_nothing():
    """Check that a legend lies outside of its panel."""

    def check(axes):
        axes.figure.canvas.draw()
        box = axes.get_legend().get_window_extent()
        assert box.y0 >= axes.get_window_extent().y1 - 1
        assert box.x1 <= axes.figure.get_window_extent().x1 + 1

    return check


@pytest.fixture
def error_bars():
    """Read an error bar container: (x, y, lower ends, upper ends) of its vertical or horizontal bars."""

    def read(container, axis=1):
        x, y = container[0].get_data()
        groups = [lines.get_segments() for lines in container[2]]
        segments = next(group for group in groups if all(bar[0][1 - axis] == bar[1][1 - axis] for bar in group))
        ends = np.array([[bar[0][axis], bar[1][axis]] for bar in segments])
        return np.asarray(x), np.asarray(y), ends[:, 0], ends[:, 1]

    return read
