"""The classifier and its reliability."""

import math

import numpy as np
import pytest
import torch

from bmem.errors import InputError
from bmem.networks.classifier import MLPClassifier, reliability
from bmem.rng import numpy_generator
from bmem.training import TrainingSettings, train

FALSE_ALARM = 2e-5


def truth(x: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(2 * torch.sin(x[:, 1]) - x[:, 0])


def test_learns_probabilities_that_are_reliable() -> None:
    """Trained on 20 000, tested on 5000 others; χ² has a p-value above 2e-5 (the network's own error is well below it)."""
    rng = torch.Generator().manual_seed(1)
    x = torch.stack((torch.randn(25_000, generator=rng), math.pi * (2 * torch.rand(25_000, generator=rng) - 1)), dim=-1)
    y = (torch.rand(25_000, generator=rng) < truth(x)).float()
    network = MLPClassifier(2, hidden=32, layers=2, periodic=(False, True))
    network.features.fit(x)
    settings = TrainingSettings(epochs=10, batch_size=512, learning_rate=5e-3)
    objective = lambda m, batch: torch.nn.functional.binary_cross_entropy_with_logits(m.logit(batch[0]), batch[1])  # noqa: E731
    train(network, objective, (x[:20_000], y[:20_000]), settings, seed=2)
    with torch.no_grad():
        p = network.probability(x[20_000:])
    assert (p - truth(x[20_000:])).abs().mean().item() < 0.03
    assert reliability(p.numpy(), y[20_000:].numpy()).p_value > FALSE_ALARM


def test_p_values_of_true_probabilities_are_uniform() -> None:
    """1000 experiments; Kolmogorov-Smirnov at 2e-5."""
    from scipy import stats

    rng = numpy_generator(3, "reliability")
    p_values = []
    for _ in range(1000):
        p = rng.uniform(0.1, 0.9, 2000)
        p_values.append(reliability(p, rng.random(2000) < p).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > FALSE_ALARM


def test_a_shift_of_three_percent_is_seen() -> None:
    rng = numpy_generator(4, "reliability")
    p = rng.uniform(0.1, 0.9, 20_000)
    result = reliability(p, rng.random(20_000) < p + 0.03)
    assert result.p_value < 1e-6
    assert (result.observed - result.predicted).mean() == pytest.approx(0.03, abs=0.015)


def test_bins_hold_equal_numbers_and_ties_stay_together() -> None:
    p = np.repeat([0.2, 0.4, 0.6], 100)
    result = reliability(p, np.tile([0, 1], 150), bins=3)
    assert result.count.sum() == 300
    assert len(result.count) == len(result.edges) - 1
    uniform = reliability(np.linspace(0.01, 0.99, 1000), np.zeros(1000), bins=10)
    assert uniform.count.tolist() == [100] * 10


def test_one_value_for_all_is_one_bin() -> None:
    result = reliability(np.full(100, 0.5), np.tile([0, 1], 50))
    assert result.count.tolist() == [100]
    assert result.p_value == pytest.approx(1)


@pytest.mark.parametrize(("p", "y"), [([0.5] * 20, [1] * 19), ([0.5, 1.0] * 10, [1] * 20), ([0.5, math.nan] * 10, [1] * 20)])
def test_unusable_probabilities_are_refused(p: list[float], y: list[int]) -> None:
    with pytest.raises(InputError):
        reliability(p, y)


def test_wrong_flags_are_refused() -> None:
    with pytest.raises(InputError, match="3 features"):
        MLPClassifier(3, periodic=(True,))
