"""Balanced weights have the means asked for, are a tilt of the weights given, and carry less fluctuation."""

import numpy as np
import pytest

from bmem.calibration.balance import balanced
from bmem.errors import RangeError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_means_are_reproduced_by_an_exponential_tilt(rng: np.random.Generator) -> None:
    features, weights, means = rng.normal(size=(500, 3)), rng.exponential(size=500), np.array([0.1, -0.2, 0.05])
    w = balanced(weights, features, means)
    assert w.sum() == pytest.approx(1)
    np.testing.assert_allclose(w @ features, means, atol=1e-9)
    design = np.column_stack([features, np.ones(500)])
    left = np.linalg.lstsq(design, np.log(w / weights), rcond=None)[1]
    assert left[0] < 1e-20


def test_weights_that_are_balanced_stay(rng: np.random.Generator) -> None:
    features, weights = rng.normal(size=(50, 2)), rng.exponential(size=50)
    weights /= weights.sum()
    np.testing.assert_allclose(balanced(weights, features, weights @ features), weights, rtol=1e-8)


def test_constant_and_dependent_features_do_no_harm(rng: np.random.Generator) -> None:
    x = rng.normal(size=(200, 1))
    features = np.hstack([x, 1 - x, np.zeros((200, 1))])
    w = balanced(np.ones(200), features, np.array([0.1, 0.9, 0.0]))
    assert w @ x[:, 0] == pytest.approx(0.1, abs=1e-9)


def test_fluctuation_of_what_follows_the_features_is_gone(rng: np.random.Generator) -> None:
    """Means of y = x + 0.3 noise in 300 samples of 200: the spread falls from 1.04 to 0.3, each known to 4 %."""
    plain, tilted = [], []
    for _ in range(300):
        x = rng.normal(size=200)
        y = x + 0.3 * rng.normal(size=200)
        plain.append(y.mean())
        tilted.append(balanced(np.ones(200), x[:, None], np.zeros(1)) @ y)
    assert np.std(tilted) / np.std(plain) == pytest.approx(0.3 / 1.044, rel=0.25)


def test_means_that_no_weights_have_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(RangeError, match="cannot be weighted"):
        balanced(np.ones(100), rng.uniform(size=(100, 1)), np.array([1.5]))
