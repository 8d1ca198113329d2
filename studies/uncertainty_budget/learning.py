"""How the networks of both processes are trained: a point estimate, and from it the replicas."""

from __future__ import annotations

from torch import Tensor, nn

from bmem.replicas import PointEstimate, PosteriorSettings, Replicas
from bmem.rng import derive_seed, generator
from bmem.training.loop import BatchLoss
from bmem.training.settings import TrainingSettings

Rows = tuple[Tensor, ...]


def trained(
    module: nn.Module, objective: BatchLoss, rows: Rows, settings: tuple[TrainingSettings, PosteriorSettings], seed: int
) -> Replicas:
    """Train ``module`` and draw the replicas of its posterior."""
    training, posterior_settings = settings
    if posterior_settings.warm:
        PointEstimate().fit(module, objective, rows, training, derive_seed(seed, "point"))
    posterior = posterior_settings.make()
    posterior.fit(module, objective, rows, posterior_settings.training(training), derive_seed(seed, "posterior"))
    return posterior.sample(posterior_settings.drawn, generator(seed, "replicas"))
