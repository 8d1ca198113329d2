"""Folding of angles and of unions of intervals, against membership computed point by point."""

from itertools import pairwise

import numpy as np
import pytest

from bmem.calibration.mirror import fold, fold_pieces, own_mirror

TURN = 2 * np.pi


def test_estimates_take_the_sign_of_the_truth():
    np.testing.assert_allclose(fold([0.4, -0.4, TURN - 0.4, 3.5], 1.0, TURN), [0.4, 0.4, 0.4, TURN - 3.5])
    np.testing.assert_allclose(fold([0.4, -0.4], -1.0, TURN), [-0.4, -0.4])
    np.testing.assert_allclose(fold([0.4, -7.0], 1.0, None), [0.4, 7.0])


def test_truths_that_mirror_themselves():
    assert own_mirror(0.0, TURN)
    assert own_mirror(np.pi, TURN)
    assert own_mirror(-np.pi, TURN)
    assert not own_mirror(np.pi, None)
    assert not own_mirror(0.01, TURN)


@pytest.mark.parametrize("truth", [1.0, -1.0])
@pytest.mark.parametrize(
    "pieces",
    [
        ((0.5, 1.0),),
        ((-1.0, -0.5), (0.7, 1.2)),
        ((-0.3, 0.2),),
        ((3.0, 3.6),),
        ((-np.pi, np.pi),),
        ((-2.9, -2.5), (0.1, 0.2), (2.8, 2.95)),
        ((2.0, 6.5),),
    ],
)
def test_folded_pieces_hold_exactly_the_folded_points(pieces, truth):
    """A point belongs to the image if and only if itself or its mirror image belongs to the region."""
    folded = fold_pieces(pieces, truth, TURN)
    for x in np.sign(truth) * np.linspace(0.0013, np.pi - 0.0013, 700):
        turns = [s * x + k * TURN for s in (1, -1) for k in (-1, 0, 1)]
        inside = any(low <= t <= high for t in turns for low, high in pieces)
        assert inside == any(low <= x <= high for low, high in folded)
    assert list(folded) == sorted(folded)
    assert all(before[1] < after[0] for before, after in pairwise(folded))


def test_without_a_period():
    assert fold_pieces(((-2.0, 1.0), (3.0, 4.0)), 1.0, None) == ((0.0, 2.0), (3.0, 4.0))
