"""A process that has been used goes to workers as it is."""

from __future__ import annotations

import pickle

import pytest
import torch

from bmem.process import TBH, THJ, TTH
from bmem.rng import generator


@pytest.mark.parametrize("make", [THJ, TBH, TTH])
def test_a_used_process_is_the_same_elsewhere(make: type[THJ | TBH | TTH]) -> None:
    process, theta = make(), torch.zeros(1, dtype=torch.float64)
    hard = process.sample(20, theta, generator(1, "hard"))
    there = pickle.loads(pickle.dumps(process))
    torch.testing.assert_close(there.components(hard.x), process.components(hard.x), rtol=0, atol=0)
    assert len(pickle.dumps(process)) < 20e6
