"""What replaces the learned networks where the truth must be known: analytic transfer functions and acceptances.

All are modules with a buffer, because ``Replicas`` carries networks by their weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem.channels.thj.coordinates import ThjHard, ThjReco
from bmem.networks.contract import Classifier, ConditionalDensity
from bmem.process.toy import LinearGaussian

FINE = (0.02, 0.02, 0.02, 0.05, 0.05, 0.05, 0.1)
"""Resolutions of (log pT_H, φ_H, y_H, log pT_j, φ_j, y_j, y_t) with which little of the information is lost."""
COARSE = (0.1, 0.1, 0.1, 0.25, 0.2, 0.2, 0.8)
"""The same, so coarse that the cross section varies by its own size within them."""


class AllAccepted(Classifier):
    """Acceptance 1: the logistic function of 40 differs from 1 by less than the rounding of float64."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_odds", torch.tensor(40.0, dtype=torch.float64))

    def logit(self, features: Tensor) -> Tensor:
        """The constant, [..., D] → [...]."""
        return self.log_odds.expand(features.shape[:-1])


class SoftThreshold(Classifier):
    """Acceptance of tHj that rises with both transverse momenta: it changes the shape, and its σ_k are not those of THJ."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.tensor([80.0, 40.0], dtype=torch.float64))
        self.register_buffer("width", torch.tensor([60.0, 15.0], dtype=torch.float64))

    def logit(self, features: Tensor) -> Tensor:
        """Log-odds at x_hard [..., 7] → [...]."""
        return ((features[..., (0, 3)] - self.middle) / self.width).sum(-1)


class ExactToyTransfer(ConditionalDensity):
    """The response of a ``LinearGaussian``, in closed form."""

    def __init__(self, process: LinearGaussian) -> None:
        super().__init__()
        self.process = process
        self.register_buffer("noise", process.noise)

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x_reco | x_hard): [..., d], [..., D] → [...]."""
        return self.process.transfer_log_prob(x, condition)


class SmearedHard:
    """Residuals between x_hard and a measurement of the same seven quantities, whichever of the two is the reference."""

    circular = ThjHard.circular
    n_features = ThjReco.n_features

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return ThjHard().forward(target, _as_observables(reference))

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return ThjHard().inverse(residual, _as_observables(reference))

    def features(self, reference: Tensor) -> Tensor:
        return ThjReco().features(reference)


def _as_observables(x: Tensor) -> Tensor:
    """The seven quantities in their places among the eleven observables of which ``ThjHard`` takes its residuals."""
    unused = torch.zeros_like(x[..., :2])
    return torch.cat([x[..., :6], unused, x[..., 6:], unused], -1)


class GaussianSmearing(ConditionalDensity):
    """x_reco = x_hard smeared by independent Gaussians in log pT, φ and y; those in φ must be much narrower than the circle.

    Args:
        resolutions: widths of the seven, ``FINE`` or ``COARSE``, say.
    """

    widths: Tensor

    def __init__(self, resolutions: tuple[float, ...]) -> None:
        super().__init__()
        self.residuals = SmearedHard()
        self.noise_dim = len(resolutions)
        self.register_buffer("widths", torch.tensor(resolutions, dtype=torch.float64))

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x_reco | x_hard) in the units of x_reco: [..., 7], [..., 7] → [...]."""
        residual, log_jacobian = self.residuals.forward(x, condition)
        return self._log_gaussian(residual) + log_jacobian

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform noise [..., 7] to x_reco [..., 7] and its log-density [...]."""
        residual = self.widths * torch.special.ndtri(noise)
        x, log_jacobian = self.residuals.inverse(residual, condition)
        return x, self._log_gaussian(residual) - log_jacobian

    def _log_gaussian(self, residual: Tensor) -> Tensor:
        norm = torch.log(self.widths * math.sqrt(2 * math.pi)).sum()
        return -0.5 * (residual / self.widths).square().sum(-1) - norm
