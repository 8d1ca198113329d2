"""Calibration figures carry the numbers of the results that they are given."""

import examples
import numpy as np
import pytest
from quantities import ALPHA
from scipy import stats

from bmem.calibration.coverage import coverage_of
from bmem.calibration.pulls import summarise_pulls
from bmem.calibration.subsamples import SubsampleFits
from bmem.plotting.calibration import draw_bias_along, draw_coverage, draw_coverage_along, draw_estimates, draw_pulls

TRUTH = np.radians(45)
COUNT = 40
LEVELS = np.array([0.683, 0.954])


@pytest.fixture
def fits():
    return examples.subsamples(COUNT)


def test_estimates(panels, fits, error_bars, legend_hides_nothing):
    artists = draw_estimates(panels, fits, ALPHA)
    known = np.isfinite(fits.errors)
    x, rows, low, high = error_bars(artists["points"], axis=0)
    np.testing.assert_allclose(x, np.degrees(fits.estimates[known]))
    np.testing.assert_array_equal(rows, np.arange(1, COUNT + 1)[known])
    np.testing.assert_allclose((high - low) / 2, np.degrees(fits.errors[known]))
    assert artists["without_error"].get_xdata() == pytest.approx(np.degrees(fits.estimates[7]))
    assert [line.get_xdata()[0] for line in artists["truth"]] == pytest.approx([45, 45])
    assert artists["steps"].get_data().values.sum() == COUNT
    assert panels[1].get_xlabel() == r"$\hat{\alpha}$ [°], sign of the truth"
    legend_hides_nothing(panels[0])


def test_intervals_are_whole(panels, fits):
    """The panel used to end with the histogram, in the middle of the bars."""
    draw_estimates(panels, fits, ALPHA)
    low, high = panels[1].get_xlim()
    known = np.isfinite(fits.errors)
    assert low < np.degrees(fits.estimates - fits.errors)[known].min()
    assert high > np.degrees(fits.estimates + fits.errors)[known].max()
    endless = SubsampleFits(**{**vars(fits), "errors": np.full(COUNT, 99.0)})
    draw_estimates(panels, endless, ALPHA)
    assert np.ptp(panels[1].get_xlim()) < 400


def test_identical_estimates_can_be_drawn(panels, fits):
    same = SubsampleFits(**{**vars(fits), "estimates": np.full(COUNT, TRUTH), "folded": False})
    assert draw_estimates(panels, same, ALPHA)["steps"].get_data().values.sum() == COUNT
    assert panels[1].get_xlabel() == r"$\hat{\alpha}$ [°]"


def test_pulls(axes, error_bars, legend_hides_nothing):
    pulls = np.concatenate([stats.norm.ppf((np.arange(58) + 0.5) / 58), [7.0, -9.0]])
    summary = summarise_pulls(pulls, np.ones(60), 0.0)
    artists = draw_pulls(axes, summary, ALPHA)
    assert artists["steps"].get_data().values.sum() == 60
    _, counts, low, high = error_bars(artists["histogram"])
    np.testing.assert_allclose((high - low) / 2, np.sqrt(counts))
    for name, mean, width in (("standard", 0, 1), ("fit", summary.mean, summary.width)):
        x, y = artists[name].get_data()
        np.testing.assert_allclose(y, 60 * 0.5 * stats.norm.pdf(x, mean, width))
    assert "2 beyond" in artists["text"].get_text()
    assert f"{summary.width:.2f}" in artists["text"].get_text()
    assert axes.get_xlabel() == r"$(\hat{\alpha} - \alpha)/\sigma$"
    legend_hides_nothing(axes)


def test_coverage(axes, fits, error_bars, legend_hides_nothing):
    result = fits.coverage((0.3, 0.683, 0.954))
    artists = draw_coverage(axes, result)
    x, y, low, high = error_bars(artists["points"])
    np.testing.assert_allclose(x, result.levels)
    np.testing.assert_allclose(y, result.fraction)
    np.testing.assert_allclose([low, high], [result.lower, result.upper])
    assert axes.get_xlabel() == "nominal level"
    legend_hides_nothing(axes)


def test_coverage_along_the_truth(axes, rng, error_bars, legend_hides_nothing):
    results = [coverage_of(rng.random((2, 30)) < LEVELS[:, None], LEVELS) for _ in range(3)]
    artists = draw_coverage_along(axes, np.radians([0, 45, 90]), results, ALPHA)
    assert [line.get_ydata()[0] for line in artists["nominal"]] == LEVELS.tolist()
    for i, container in enumerate(artists["points"]):
        x, y, low, high = error_bars(container)
        np.testing.assert_allclose(x, [0, 45, 90], atol=1.5)
        np.testing.assert_allclose(y, [result.fraction[i] for result in results])
        np.testing.assert_allclose(low, [result.lower[i] for result in results])
        np.testing.assert_allclose(high, [result.upper[i] for result in results])
    legend_hides_nothing(axes)


def test_bias_along_the_truth(panels, rng, error_bars, legend_hides_nothing):
    truths = np.radians([30, 60, 90])
    summaries = [summarise_pulls(t + 0.1 * rng.normal(size=30), np.full(30, 0.1), t) for t in truths]
    artists = draw_bias_along(panels, truths, summaries, ALPHA)
    for name, scale in (("bias", 180 / np.pi), ("spread", 180 / np.pi), ("width", 1.0)):
        x, y, low, high = error_bars(artists[name])
        np.testing.assert_allclose(x, [30, 60, 90])
        np.testing.assert_allclose(y, [getattr(s, name) * scale for s in summaries])
        np.testing.assert_allclose((high - low) / 2, [getattr(s, f"{name}_error") * scale for s in summaries])
    assert panels[1].get_xlabel() == r"true $\alpha$ [°]"
    assert panels[0].get_ylabel().endswith("[°]")
    legend_hides_nothing(panels[0])
