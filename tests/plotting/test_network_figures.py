"""Transfer, acceptance and training figures carry the numbers that they are given."""

import numpy as np
import pytest
from quantities import ALPHA

from bmem.calibration.coverage import clopper_pearson
from bmem.plotting.acceptance import Predictions, draw_acceptance, draw_reliability
from bmem.plotting.training import draw_losses
from bmem.plotting.transfer import draw_transfer
from bmem.quantity import Quantity
from bmem.training.settings import History

PT = Quantity("pt_H", r"p_{T,H}", "GeV")
EDGES = np.linspace(0, 200, 11)


def test_transfer(panels, rng, error_bars, legend_hides_nothing):
    simulated, learned = rng.exponential(50, 5000), rng.exponential(55, 8000)
    artists = draw_transfer(panels, simulated, learned[None], EDGES, PT)
    assert "network_band" not in artists
    known, model = np.histogram(simulated, EDGES)[0], np.histogram(learned, EDGES)[0]
    np.testing.assert_allclose(artists["simulated"].get_data().values, known / (5000 * 20))
    x, y, low, high = error_bars(artists["learned"])
    np.testing.assert_allclose(x, np.arange(10, 200, 20))
    np.testing.assert_allclose(y, model / (8000 * 20))
    np.testing.assert_allclose((high - low) / 2, np.sqrt(model) / (8000 * 20))
    _, ratio, low, high = error_bars(artists["ratio"])
    np.testing.assert_allclose(ratio, model / 8000 / (known / 5000))
    np.testing.assert_allclose((high - low) / 2 / ratio, 1 / np.sqrt(model))
    band = artists["ratio_band"].get_data()
    np.testing.assert_allclose(band.values - 1, 1 / np.sqrt(known))
    np.testing.assert_allclose(1 - band.baseline, 1 / np.sqrt(known))
    assert panels[1].get_xlabel() == "$p_{T,H}$ [GeV]"
    assert "GeV$^{-1}$" in panels[0].get_ylabel()
    legend_hides_nothing(panels[0])


def test_networks_that_disagree_make_a_band(panels, rng, error_bars):
    simulated, learned = rng.exponential(50, 5000), rng.exponential([[45], [50], [55]], (3, 8000))
    artists = draw_transfer(panels, simulated, learned, EDGES, PT)
    known, models = np.histogram(simulated, EDGES)[0], np.array([np.histogram(sample, EDGES)[0] for sample in learned])
    ratios = models / 8000 / (known / 5000)
    _, ratio, _, _ = error_bars(artists["ratio"])
    np.testing.assert_allclose(ratio, ratios.mean(0))
    band = artists["network_band"].get_data()
    np.testing.assert_allclose(band.values - ratio, ratios.std(0, ddof=1))
    np.testing.assert_allclose(ratio - band.baseline, ratios.std(0, ddof=1))


def test_transfer_of_an_angle_is_drawn_in_degrees(panels, error_bars):
    samples = np.array([0.1, 0.2, 1.0])
    artists = draw_transfer(panels, samples, samples[None], np.array([0.0, 0.5, 1.5]), ALPHA)
    x, y, _, _ = error_bars(artists["learned"])
    np.testing.assert_allclose(x, np.degrees([0.25, 1.0]))
    np.testing.assert_allclose(y, [2 / 3 / np.degrees(0.5), 1 / 3 / np.degrees(1.0)])


def test_a_ratio_outside_the_panel_is_pointed_at(panels):
    simulated = np.repeat([0.5, 1.5, 2.5, 3.5], 10)
    learned = np.concatenate([np.repeat([0.5, 3.5], 10), np.repeat(1.5, 18), np.repeat(2.5, 2)])
    draw_transfer(panels, simulated, learned[None], np.arange(5.0), PT)
    arrows = {line.get_marker(): line.get_xdata().tolist() for line in panels[1].lines if line.get_marker() in "^v"}
    assert arrows == {"^": [1.5], "v": [2.5]}


@pytest.fixture
def predictions(rng):
    predicted = rng.beta(2, 6, 3000)
    return Predictions(predicted, rng.random(3000) < predicted)


def test_reliability(axes, predictions, error_bars, legend_hides_nothing):
    edges = np.linspace(0, 1, 11)
    x, y, low, high = error_bars(draw_reliability(axes, predictions, edges)["points"])
    bins = np.digitize(predictions.predicted, edges) - 1
    for i, b in enumerate(np.unique(bins)):
        inside = bins == b
        passed, total = predictions.accepted[inside].sum(), inside.sum()
        assert x[i] == pytest.approx(predictions.predicted[inside].mean())
        assert y[i] == pytest.approx(passed / total)
        np.testing.assert_allclose((low[i], high[i]), clopper_pearson(passed, total))
    assert len(x) == len(np.unique(bins))
    assert axes.get_xlabel() == "predicted acceptance"
    legend_hides_nothing(axes)


def test_acceptance_along_a_variable(panels, predictions, rng, error_bars, legend_hides_nothing):
    variable = 300 * predictions.predicted * rng.uniform(0.8, 1.2, 3000)
    artists = draw_acceptance(panels, predictions, variable, np.append(EDGES, 1000), PT)
    centre, fraction, low, high = error_bars(artists["simulated"])
    inside = (variable >= 40) & (variable < 60)
    passed, total = predictions.accepted[inside].sum(), inside.sum()
    mean = predictions.predicted[inside].mean()
    assert centre[2] == 50
    assert fraction[2] == pytest.approx(passed / total)
    np.testing.assert_allclose((low[2], high[2]), clopper_pearson(passed, total))
    assert artists["learned"].get_data().values[2] == pytest.approx(mean)
    _, ratio, below, above = error_bars(artists["ratio"])
    assert ratio[2] == pytest.approx(mean / fraction[2])
    np.testing.assert_allclose(above[2] - ratio[2], (fraction[2] - low[2]) * mean / fraction[2] ** 2)
    np.testing.assert_allclose(ratio[2] - below[2], (high[2] - fraction[2]) * mean / fraction[2] ** 2)
    assert panels[1].get_xlabel() == "$p_{T,H}$ [GeV]"
    legend_hides_nothing(panels[0])


def test_bins_without_events_are_left_out(panels, axes, error_bars):
    few = Predictions(np.array([0.1, 0.2, 0.9]), np.array([False, True, False]))
    x, y, _, _ = error_bars(draw_reliability(axes, few, np.linspace(0, 1, 5))["points"])
    np.testing.assert_allclose(x, [0.15, 0.9])
    np.testing.assert_allclose(y, [0.5, 0.0])
    artists = draw_acceptance(panels, few, np.array([10.0, 10.0, 190.0]), EDGES, PT)
    assert np.isfinite(artists["learned"].get_data().values).tolist() == [True] + [False] * 8 + [True]


def test_losses(axes, legend_hides_nothing):
    history = History([3.0, 2.0, 1.5, 1.2], [3.1, 2.2, 1.9, 2.0], best_epoch=2)
    artists = draw_losses(axes, history)
    np.testing.assert_array_equal(artists["training"].get_data(), [[1, 2, 3, 4], history.train_loss])
    np.testing.assert_array_equal(artists["validation"].get_data(), [[1, 2, 3, 4], history.validation_loss])
    assert (artists["best"].get_xdata()[0], artists["best"].get_ydata()[0]) == (3, 1.9)
    assert axes.get_xlabel() == "epoch"
    legend_hides_nothing(axes)
