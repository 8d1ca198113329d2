"""Figures of the posterior carry the numbers of the results that they are given."""

from dataclasses import replace

import examples
import numpy as np
import pytest

from bmem.calibration.predictive import PredictiveHistogram
from bmem.calibration.sbc import SimulationBasedCalibration
from bmem.plotting.posterior import draw_posterior, draw_predictive, draw_sbc
from bmem.quantity import Quantity


@pytest.fixture
def predictive(rng: np.random.Generator) -> PredictiveHistogram:
    expected = rng.uniform(20, 40, (50, 8))
    replicated, by_replica = rng.poisson(expected).astype(float), expected[:3]
    return PredictiveHistogram(np.linspace(0, 4, 9), np.arange(8.0) + 22, expected, replicated, by_replica)


def test_posterior_is_a_density_in_degrees(axes, legend_hides_nothing):
    result = examples.posterior(0.8)
    regions = [result.interval(level) for level in (0.683, 0.954)]
    replicas = [examples.posterior(0.7), examples.posterior(0.9)]
    artists = draw_posterior(axes, result, regions, replicas)
    x, y = artists["curve"].get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.01)
    assert x[np.argmax(y)] == pytest.approx(np.degrees(0.8), abs=0.5)
    assert len(artists["replicas"]) == 2
    narrow = artists["regions"][1].get_paths()
    ends = [(p.get_extents().x0, p.get_extents().x1) for p in narrow]
    np.testing.assert_allclose(ends, np.degrees(regions[0].intervals), atol=0.6)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["95.4 % region", "68.3 % region", "2 replicas", "posterior"]
    assert axes.get_legend().get_title().get_text() == "prior: flat in α"
    assert axes.get_ylim()[1] > y.max()
    legend_hides_nothing(axes)


def test_sbc_counts_ranks_and_levels(panels, rng):
    result = SimulationBasedCalibration("flat", 50, rng.random(200), rng.random(200), rng.random(200) ** 2, 1e-3)
    artists = draw_sbc(panels, result, bins=10)
    for name, values in (("ranks", result.ranks), ("levels", result.levels)):
        np.testing.assert_array_equal(artists[name].get_data().values, np.histogram(values, np.linspace(0, 1, 11))[0])
    box = artists["bands"][0].get_extents().transformed(panels[0].transData.inverted())
    np.testing.assert_allclose([box.y0, box.y1], [20 - 1.96 * np.sqrt(18), 20 + 1.96 * np.sqrt(18)])


def test_predictive_bands_and_data(axes, predictive, error_bars, legend_hides_nothing):
    artists = draw_predictive(axes, predictive, Quantity("pt", "p_T", "GeV", 2.0))
    x, y, low, high = error_bars(artists["observed"])
    np.testing.assert_allclose(x, 2 * (predictive.edges[1:] + predictive.edges[:-1]) / 2)
    np.testing.assert_allclose(y, predictive.observed)
    np.testing.assert_allclose(high - low, 2 * np.sqrt(predictive.observed))
    lower, upper = predictive.band(0.954)
    np.testing.assert_allclose(artists["mean_band"].get_data().values, upper)
    np.testing.assert_allclose(artists["mean_band"].get_data().baseline, lower)
    assert (artists["sample_band"].get_data().values >= upper - 1).all()
    width = artists["network_band"].get_data().values - artists["network_band"].get_data().baseline
    np.testing.assert_allclose(width, 2 * predictive.by_replica.std(axis=0, ddof=1))
    assert axes.get_xlabel() == "$p_T$ [GeV]"
    legend_hides_nothing(axes)


def test_networks_that_were_not_evaluated_are_not_drawn(axes, predictive):
    single = replace(predictive, by_replica=predictive.by_replica[:1])
    assert "network_band" not in draw_predictive(axes, single, Quantity("pt", "p_T", "GeV"))
