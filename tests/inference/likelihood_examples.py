"""Likelihoods with known answers, shared by the tests of inference."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from bmem.inference.objective import Objective
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

FALSE_ALARM = 2e-5
ANGLE = Parameter("alpha", (-np.pi, np.pi), 2 * np.pi)

RESOLVED = LinearGaussian(phases=(0.0, 2.1, -2.1))
"""A toy whose likelihood has no second minimum near -θ."""


def _yukawa(theta: torch.Tensor) -> torch.Tensor:
    scalar, pseudo = torch.cos(theta[..., 0]), torch.sin(theta[..., 0])
    return torch.stack([torch.ones_like(scalar), scalar, pseudo, scalar**2], -1)


YUKAWA = MorphingBasis((ANGLE,), _yukawa)
"""b = (1, cos α, sin α, cos² α)."""

MIXTURE = MorphingBasis(
    (Parameter("share", (0.001, 0.999)),), lambda theta: torch.stack([1 - theta[..., 0], theta[..., 0]], -1)
)
"""b = (1 - x, x)."""

PLANE = MorphingBasis(
    (Parameter("x", (0.01, 0.6)), Parameter("y", (0.01, 0.39))),
    lambda theta: torch.stack([1 - theta.sum(-1), theta[..., 0], theta[..., 1]], -1),
)
"""b = (1 - x - y, x, y)."""


def counts(*n: int) -> np.ndarray:
    """Events that can only have come from one component: n_k of component k, so that L = Π_k b_k^n_k."""
    return np.repeat(np.eye(len(n)), n, axis=0)


def toy_sample(process: LinearGaussian, n: int, theta: float, seed: int) -> np.ndarray:
    """Exact integrals I_k [n, K] of ``n`` toy events at ``theta``."""
    rng = generator(seed, "sample")
    hard = process.sample(n, torch.tensor([theta], dtype=torch.float64), rng)
    return process.integrals(process.response(hard.x, rng)).numpy()


class Quadratic(Objective):
    """(θ - c)ᵀ C⁻¹ (θ - c) in any number of dimensions: the -2 log L of a Gaussian estimate."""

    def __init__(self, centre: ArrayLike, covariance: ArrayLike, parameters: tuple[Parameter, ...]) -> None:
        super().__init__(parameters)
        self.centre, self.inverse = np.array(centre), np.linalg.inv(np.asarray(covariance, np.float64))
        self.n_events, self.excluded = 1, np.empty(0, np.int64)

    def value(self, theta: ArrayLike) -> NDArray[np.float64]:
        delta = np.asarray(theta) - self.centre
        return np.asarray(((delta @ self.inverse) * delta).sum(-1))

    def gradient(self, theta: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(2 * self.inverse @ (np.asarray(theta) - self.centre))

    def curvature(self, theta: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(2 * self.inverse)
