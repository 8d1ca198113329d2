"""Blocks of integrals as files: the same numbers whether they were computed or read, and damage is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bmem import artifacts
from bmem.errors import ArtifactError
from bmem.integration.importance import IntegrationSettings, integrate
from bmem.likelihood.integrals_file import integral_blocks

N = 20
REFERENCE = torch.tensor([1.0, 0.0], dtype=torch.float64)
SETTINGS = IntegrationSettings(pilot=16, min_points=16, max_points=64, resamples=3, block=7)


class Weights:
    """Lognormal weights [1, E, M, 2]; counts its calls."""

    calls = 0

    def __call__(self, events: torch.Tensor, points: int, rngs: list[torch.Generator]) -> torch.Tensor:
        self.calls += 1
        z = torch.stack([torch.randn(points, generator=rng, dtype=torch.float64) for rng in rngs])
        return torch.stack([torch.exp(z), torch.exp(0.5 * z)], -1)[None]


@pytest.mark.parametrize("resamples", [0, 3])
def test_what_is_read_is_what_was_computed(tmp_path: Path, resamples: int) -> None:
    settings, blocks = replace(SETTINGS, resamples=resamples), integral_blocks(tmp_path, {"network": "abc"})
    first = integrate(Weights(), N, REFERENCE, settings, 5, kept=blocks)
    again = Weights()
    second = integrate(again, N, REFERENCE, settings, 5, kept=blocks)
    assert again.calls == 0
    assert len(list(tmp_path.glob("*.npz"))) == 3
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, getattr(second, name), err_msg=name)


def test_blocks_of_something_else_are_computed_anew(tmp_path: Path) -> None:
    """Of other settings, and of the same settings with other events in the last block."""
    integrate(Weights(), N, REFERENCE, SETTINGS, 5, kept=integral_blocks(tmp_path, {"network": "abc"}))
    fewer, other = Weights(), Weights()
    integrate(fewer, N - 1, REFERENCE, SETTINGS, 5, kept=integral_blocks(tmp_path, {"network": "abc"}))
    assert fewer.calls > 0
    found = integrate(other, N, REFERENCE, SETTINGS, 6, kept=integral_blocks(tmp_path, {"network": "other"}))
    np.testing.assert_array_equal(found.values, integrate(Weights(), N, REFERENCE, SETTINGS, 6).values)
    assert other.calls > fewer.calls


def test_a_damaged_block_is_named(tmp_path: Path) -> None:
    blocks = integral_blocks(tmp_path, {})
    integrate(Weights(), N, REFERENCE, SETTINGS, 5, kept=blocks)
    file = tmp_path / "events-00000007.npz"
    assert artifacts.exists(file)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="events-00000007"):
        integrate(Weights(), N, REFERENCE, SETTINGS, 5, kept=blocks)
