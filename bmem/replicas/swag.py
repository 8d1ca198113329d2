"""SWAG: the weights that a training passes through at a constant learning rate, as a Gaussian (arXiv:1902.02476).

Cheap for networks of any size, but its width is that of the optimiser's random walk: it grows with the learning rate and
falls with the batch size. Only a comparison with independent trainings tells which ``scale`` makes it an error bar.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from bmem.errors import InputError
from bmem.replicas.contract import Replicas
from bmem.replicas.weights import Layers, Loss, PenalisedLoss, call, flatten, random_weights, replicas, unflatten
from bmem.rng import normal
from bmem.training.loop import BatchLoss, Progress, train
from bmem.training.settings import History, TrainingSettings


@dataclass(frozen=True)
class ConstantRate(TrainingSettings):
    """Settings of a training whose learning rate stays the same."""

    def share(self, step: int, steps: int) -> float:
        """All of it, whatever the step."""
        return 1.0


class Walk(nn.Module):
    """A loss that takes part in its own training by keeping the moments and some of the weights it passes through.

    Args:
        loss: the network with its prior.
        weights: those of the network that are random.
        rank: number of the deviations that are kept.
        steps: of the whole training; the first quarter is forgotten, so that the walk has left its start.
    """

    seen: Tensor
    mean: Tensor
    square: Tensor
    kept: Tensor

    def __init__(self, loss: PenalisedLoss, weights: dict[str, nn.Parameter], rank: int, steps: int) -> None:
        super().__init__()
        self.loss, self.random = loss, weights
        self.first, self.every = steps // 4, max(1, (steps - steps // 4) // rank)
        start = flatten(weights).detach()
        # on the CPU, so that reading it does not wait for an accelerator
        self.register_buffer("seen", torch.zeros((), dtype=torch.long, device="cpu"))
        self.register_buffer("mean", torch.zeros_like(start))
        self.register_buffer("square", torch.zeros_like(start))
        self.register_buffer("kept", torch.zeros(rank, len(start), dtype=start.dtype, device=start.device))

    def extra_repr(self) -> str:
        return f"rank={len(self.kept)}, first={self.first}, every={self.every}"

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        if self.training:
            self._look()
        return self.loss(batch)

    @torch.no_grad()
    def _look(self) -> None:
        """Take the weights before a step: Welford's running moments, and every so often the weights themselves."""
        self.seen += 1
        count = int(self.seen) - self.first
        if count < 1:
            return
        now = flatten(self.random)
        before = now - self.mean
        self.mean += before / count
        self.square += before * (now - self.mean)
        if count % self.every == 0:
            self.kept[(count // self.every - 1) % len(self.kept)] = now

    def variance(self) -> Tensor:
        """Of every weight along the walk [W]."""
        return self.square / (int(self.seen) - self.first)

    def deviations(self) -> Tensor:
        """Of the kept weights from their mean [rank, W]."""
        return self.kept - self.mean


@dataclass
class Swag:
    """A Gaussian around the mean of an optimiser's walk: half diagonal, half of low rank.

    Start from a point estimate. The gradients' own learning rate is that of the settings, and stays constant.

    Attributes:
        scale: by which every deviation is multiplied; 1 is that of the paper.
        rank: number of weights along the walk that carry the correlations.
        prior_scale: standard deviation of the Gaussian prior of every weight.
        layers: names of the parts or parameters that are random, ``"last"`` for the ``last_layer`` of the network; the
            others are trained without uncertainty. Default: all that require gradients.
    """

    scale: float = 1.0
    rank: int = 20
    prior_scale: float = 1.0
    layers: Layers | None = None
    walk: Walk | None = field(default=None, init=False, repr=False)
    module: nn.Module | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("scale", "prior_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"Swag.{name} must be positive, not {getattr(self, name)}")
        if self.rank < 2:
            raise InputError(f"Swag.rank must be at least 2, not {self.rank}")

    def fit(
        self,
        module: nn.Module,
        objective: BatchLoss,
        data: tuple[Tensor, ...],
        settings: TrainingSettings,
        seed: int,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Walk from the weights the module has; ``module`` ends with the mean of the walk.

        The objective must be a mean over rows of -log p(row | weights).

        Raises:
            InputError: a name in ``layers`` that there is not, a weight decay, or fewer steps than a walk needs.
            TrainingError: as ``bmem.training.train`` does.
        """
        if settings.weight_decay:
            raise InputError("a posterior has a prior in the place of weight_decay; set it to 0 and choose prior_scale")
        weights = random_weights(module, self.layers)
        rows = settings.training_rows(len(data[0]))
        steps = settings.epochs * -(-rows // settings.batch_size)
        if steps < 2 * self.rank:
            raise InputError(
                f"{steps} steps are too few for SWAG of rank {self.rank}: use more epochs or a smaller batch_size"
            )
        loss = PenalisedLoss(Loss(module, objective), weights, self.prior_scale, rows)
        walk, constant = Walk(loss, weights, self.rank, steps), ConstantRate(**asdict(settings))
        history = train(walk, call, data, constant, seed, checkpoint=checkpoint, progress=progress, early_stopping=False)
        self.walk, self.module = walk, module
        for name, mean in unflatten(walk.mean, weights).items():
            weights[name].data.copy_(mean)
        return history

    def sample(self, n: int, rng: torch.Generator) -> Replicas:
        """Draw ``n`` networks.

        Raises:
            InputError: not fitted yet.
        """
        if self.walk is None or self.module is None:
            raise InputError("SWAG must be fitted before it is sampled")
        mean, deviations = self.walk.mean, self.walk.deviations()
        rank, size = deviations.shape
        noise = normal((n, size + rank), rng, mean)
        own, shared = noise.split((size, rank), dim=1)
        diagonal, low_rank = own * self.walk.variance().sqrt(), shared @ deviations / (rank - 1) ** 0.5
        vectors = mean + self.scale * 0.5**0.5 * (diagonal + low_rank)
        return replicas(self.module, unflatten(vectors, self.walk.random), n)
