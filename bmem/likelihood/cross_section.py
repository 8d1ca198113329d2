"""Fiducial cross sections σ_k = ∫ dx s_k(x) ε(x), for every replica of the acceptance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.integration.bootstrap import bootstrap_means, mean_with_covariance
from bmem.process.contract import Process
from bmem.replicas.contract import Replicas

Array = NDArray[np.float64]
_GRID = 24
_CHUNK = 1 << 16


@dataclass(frozen=True)
class FiducialCrossSection:
    """``values`` [R, K] in pb, their ``covariance`` [R, K, K] and ``bootstrap`` resamples [R, B, K] (or None)."""

    values: Array
    covariance: Array
    bootstrap: Array | None


def fiducial_cross_section(
    process: Process, acceptance: Replicas, n: int, rng: torch.Generator, resamples: int = 0
) -> FiducialCrossSection:
    """Integrate with ``n`` unweighted events of a mixture over θ, so that every component is well covered."""
    thetas = mixture_grid(process)
    hard = process.sample(n, thetas[torch.arange(n) % len(thetas)], rng)
    density = process.basis(thetas).double() / torch.tensor([process.cross_section(t)[0] for t in thetas])[:, None]
    mixture = density.mean(0)
    with torch.no_grad():
        weights = torch.cat([_weights(process, acceptance, x, mixture) for x in hard.x.split(_CHUNK)], dim=1)
    weights = weights * hard.weight[:, None]
    values, covariance = mean_with_covariance(weights[:, None])
    bootstrap = bootstrap_means(weights, resamples, rng).numpy() if resamples else None
    return FiducialCrossSection(values[:, 0].numpy(), covariance[:, 0].numpy(), bootstrap)


def mixture_grid(process: Process) -> Tensor:
    """Parameters [G, P] spread evenly over their bounds (along the diagonal if there are several)."""
    steps = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / _GRID
    columns = [p.bounds[0] + (p.bounds[1] - p.bounds[0]) * steps.roll(7 * i) for i, p in enumerate(process.parameters)]
    return torch.stack(columns, dim=-1)


def _weights(process: Process, acceptance: Replicas, x: Tensor, mixture: Tensor) -> Tensor:
    """s_k ε / (mixture density) at x: [R, n, K]."""
    s = process.components(x)
    return acceptance("probability", x)[..., None] * (s / (s @ mixture)[:, None])
