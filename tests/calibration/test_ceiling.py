"""The share of the ceiling: of scores whose correlations with the exact one are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bmem.calibration.ceiling import Ceiling, ceiling_at
from bmem.errors import InputError
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian

Array = NDArray[np.float64]
TOY = LinearGaussian()
BASIS, THETA, EVENTS = MorphingBasis.of(TOY), 0.7, 20_000


def with_scores(score: Array) -> Coefficients:
    """Coefficients of events with p = 1 and these scores at θ: I = a b + c b', orthogonal to each other's part."""
    b, slope = BASIS.value([THETA]), BASIS.gradient([THETA])[0]
    gram = np.array([[b @ b, b @ slope], [b @ slope, slope @ slope]])
    parts = np.linalg.solve(gram, np.stack([np.ones_like(score), score]))
    # σ is that of an event with no score
    return Coefficients.exact(parts.T @ np.stack([b, slope]), np.linalg.solve(gram, [1.0, 0.0]) @ np.stack([b, slope]))


def test_the_share_is_the_ratio_of_squared_correlations() -> None:
    """t = u + v + w with variances 1/2, 1/4 and 1/4: u alone keeps 1/2, u + v 3/4; within 4.26 errors (2e-5 each)."""
    u, v, w = np.random.default_rng(1).normal(size=(3, EVENTS)) * np.sqrt([[0.5], [0.25], [0.25]]) * 0.1
    found = ceiling_at(with_scores(u), with_scores(u + v), with_scores(u + v + w), BASIS, THETA)
    assert found.events == EVENTS
    for (value, error), expected in ((found.kept, 1 / 2), (found.learned, 3 / 4), (found.share, 2 / 3)):
        assert 0 < error < 0.02
        assert abs(value - expected) < 4.26 * error


def test_the_error_of_the_share_is_its_spread() -> None:
    """Over 200 samples of 500 events: the errors agree with the spread within 4.26 of its own errors, 5 % each."""
    rng, shares, errors = np.random.default_rng(2), [], []
    for _ in range(200):
        u, v, w = rng.normal(size=(3, 500)) * np.sqrt([[0.5], [0.25], [0.25]]) * 0.1
        share = ceiling_at(with_scores(u), with_scores(u + v), with_scores(u + v + w), BASIS, THETA).share
        shares.append(share[0])
        errors.append(share[1])
    assert np.std(shares) == pytest.approx(np.mean(errors), rel=4.26 * 0.05)


def test_is_kept_in_a_file_and_refuses_other_events() -> None:
    score = np.random.default_rng(3).normal(size=50) * 0.1
    one = with_scores(score)
    found = ceiling_at(one, one, one, BASIS, THETA)
    assert found.share == pytest.approx((1.0, 0.0))
    assert Ceiling.from_dict(found.to_dict()) == found
    with pytest.raises(InputError, match="there are 50, 49 and 50 events"):
        ceiling_at(one, one.select(slice(49)), one, BASIS, THETA)
