"""A one-dimensional process with the structure of tHj, W and S amplitudes that interfere, and exactly even in α."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmem.calibration.yardstick import yardstick_coefficients
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter

sys.path.insert(0, str(Path(__file__).parents[2] / "studies" / "error_bar"))
"""The toy with background and systematic effects, ``contaminated``, is the study's own."""


@dataclass(frozen=True)
class CPToy:
    """b(α) = (1, cos α, cos² α, sin² α); s_k(x) on [0, 1] for which dσ is positive at every α."""

    parameters: tuple[Parameter, ...] = field(default=(Parameter("alpha", (-np.pi, np.pi), 2 * np.pi),))

    def basis(self, theta):
        alpha = theta[..., 0]
        return torch.stack([torch.ones_like(alpha), alpha.cos(), alpha.cos() ** 2, alpha.sin() ** 2], dim=-1)

    def components(self, x):
        x = x[..., 0]
        signal, wave = 0.2 + 2.4 * x**2, 1.6 - 1.5 * x
        return torch.stack([wave**2, -1.8 * wave * signal, signal**2, 1 - torch.cos(6 * np.pi * x)], dim=-1)

    def sample(self, n, theta, rng):
        raise NotImplementedError

    def fiducial(self):
        x, w = np.polynomial.legendre.leggauss(40)
        return (w / 2) @ self.components(torch.from_numpy((x[:, None] + 1) / 2)).numpy()

    def draw(self, n, alpha, rng):
        """``n`` unweighted x_hard [n, 1] at ``alpha``."""
        b = self.basis(torch.tensor([alpha], dtype=torch.float64))
        x = torch.from_numpy(rng.random((40 * n, 1)))
        density = (self.components(x) @ b).numpy()
        kept = x[rng.random(len(x)) * density.max() * 1.01 < density]
        assert len(kept) >= n
        return kept[:n]

    def coefficients(self, x):
        process: Any = self  # as much of one as is asked for
        return yardstick_coefficients(process, x, torch.ones(len(x), dtype=torch.float64), self.fiducial())


@pytest.fixture(scope="session")
def toy():
    return CPToy()


@pytest.fixture(scope="session")
def basis(toy):
    return MorphingBasis.of(toy)
