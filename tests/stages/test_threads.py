"""What the guide says of the last digits: a process with several threads differs from workers with one by rounding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from bmem.integration.importance import EventIntegrals, integrate
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.stages import Run
from bmem.stages.backgrounds import observed
from bmem.stages.train import load_networks

TOLERANCE = 1e-6
"""Relative to the largest component of an event. The networks compute in float32 (rounding 6e-8), and the logarithms of the
densities, some ten in size, are exponentiated: 6e-7 for a point if all of them erred alike."""


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def integrals(run: Run, threads: int) -> EventIntegrals:
    networks, x = load_networks(run), observed(run, "lhe").x[:20]
    integrand = Integrand(run.process, networks.transfer, networks.acceptance, networks.proposal, x)
    torch.set_num_threads(threads)
    return integrate(integrand, len(x), mixture_coefficients(run.process), run.config.integration, 1)


@pytest.mark.usefixtures("_threads")
def test_more_threads_change_only_the_last_digits(finished: Run) -> None:
    """Vectors and sums are cut elsewhere where more threads share them, and the ends of the parts round differently."""
    one, four = integrals(finished, 1), integrals(finished, 4)
    largest = np.abs(one.values).max(-1, keepdims=True)
    np.testing.assert_array_equal(one.points, four.points)
    np.testing.assert_allclose(four.values / largest, one.values / largest, rtol=0, atol=TOLERANCE)
