"""The linear-Gaussian toy with nuisance parameters whose every integral is in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.nuisances import Nuisance, Nuisances
from bmem.process.toy import LinearGaussian
from bmem.process.variations import OtherProcesses
from bmem.rng import generator

SHIFT = 0.3
"""Of all means of x_hard along u, at ν = 1."""


def shifted(nu: float) -> LinearGaussian:
    """The toy at ν."""
    step = SHIFT * nu
    return LinearGaussian(means=((step, 0.0), (1.5 + step, 0.5), (step - 0.5, 1.5)))


def shift(name: str = "shift", nodes: tuple[float, ...] = (-2.0, -1.0, 1.0, 2.0)) -> Nuisance:
    """The nuisance parameter of the theory that shifts the means."""
    return Nuisance(name, nodes, OtherProcesses({node: shifted(node) for node in nodes}))


SHIFTED = Nuisances((shift(),))


def observed(n: int, theta: float, nu: float, seed: int) -> Tensor:
    """Observations [n, 2] at a truth."""
    rng, toy = generator(seed, "varied"), shifted(nu)
    hard = toy.sample(n, torch.tensor([theta], dtype=torch.float64), rng)
    return toy.response(hard.x, rng)


def exact_coefficients(x: Tensor) -> Coefficients:
    """Those of the monomials of ``SHIFTED``: all events are accepted, so that σ_k does not change."""
    at_nodes = np.stack([shifted(nu).integrals(x).numpy() for nu in SHIFTED.points[:, 0]], axis=1)
    values = (SHIFTED.transform @ at_nodes).reshape(len(x), -1)
    sigma = np.zeros((SHIFTED.monomials, 3))
    sigma[0] = shifted(0).strengths
    return Coefficients.exact(values, sigma.ravel())
