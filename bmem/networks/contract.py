"""Contracts of the networks: a conditional density, a classifier, a regressor, and what they are trained with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmem.rng import uniform
from bmem.training.network import Network


class ConditionalDensity(Network):
    """A normalised density p(x | c) of x [..., D] given c [..., C], which can be evaluated and sampled.

    A subclass writes ``log_prob`` and ``from_noise``, and ``fit_features`` if it has scales of c. Target and condition are
    rows of numbers; one that reads sets of objects takes them apart by their ``bmem.events.observation.Layout``. Every
    random number of a sample comes from uniform noise, so that points may be pseudo-random, quasi-random or shaped by an
    adaptive grid.
    """

    noise_dim: int

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x | c): [..., D], [..., C] → [...]."""
        raise NotImplementedError

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform noise [..., noise_dim] in (0, 1) to points [..., D] and their log-density [...]."""
        raise NotImplementedError

    def sample(self, condition: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw one point for every condition [..., C]: points [..., D] and their log-density [...]."""
        noise = uniform((*condition.shape[:-1], self.noise_dim), rng, condition)
        return self.from_noise(noise, condition)


class Classifier(Network):
    """A probability as a function of features, which are rows of numbers as the condition of a density."""

    def logit(self, features: Tensor) -> Tensor:
        """Log-odds: [..., F] → [...]."""
        raise NotImplementedError

    def probability(self, features: Tensor) -> Tensor:
        """Probability in (0, 1): [..., F] → [...]."""
        return torch.sigmoid(self.logit(features))


class Regressor(Network):
    """Several values as functions of features, which are rows of numbers as the condition of a density."""

    def predict(self, features: Tensor) -> Tensor:
        """The values: [..., F] → [..., O]."""
        raise NotImplementedError


def negative_log_likelihood(density: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Mean of -log p(target | condition) over a batch (target, condition): the objective of a conditional density."""
    return -density.log_prob(*batch).mean()  # type: ignore[operator]


def cross_entropy(classifier: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Mean of -log p(label | features) over a batch (features, label): the objective of a classifier; labels are 0 or 1."""
    features, label = batch
    return nn.functional.binary_cross_entropy_with_logits(classifier.logit(features), label)  # type: ignore[operator]
