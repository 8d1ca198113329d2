"""The linear-Gaussian toy as the "networks" of a measurement, in closed form: what replaces training in the tests."""

from __future__ import annotations

import torch
from torch import Tensor

from bmem.networks.contract import Classifier, ConditionalDensity
from bmem.process.toy import LinearGaussian


class ExactTransfer(ConditionalDensity):
    """The response of the toy; x_reco is scaled by ``scale``, a buffer, because replicas are carried by their weights."""

    def __init__(self, toy: LinearGaussian, scale: float = 1.0) -> None:
        super().__init__()
        self.toy = toy
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.toy.transfer_log_prob(x / self.scale, condition) - x.shape[-1] * self.scale.log()


class BroadProposal(ConditionalDensity):
    """A Gaussian around A⁻¹ x_reco that is ``width`` wide in every direction, wider than any posterior of the toy."""

    def __init__(self, toy: LinearGaussian, width: float = 0.8) -> None:
        super().__init__()
        self.inverse = torch.linalg.inv(toy.response_matrix)
        self.width = width
        self.noise_dim = 2

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        normal = torch.distributions.Normal(condition @ self.inverse.T, self.width)
        x = normal.icdf(noise)
        return x, normal.log_prob(x).sum(-1)


class GaussianAcceptance(Classifier):
    """ε(x) = height exp(-|x|² / 2 width²), with ∫ s_k ε dx in closed form."""

    def __init__(self, height: float = 0.5, width: float = 1.5) -> None:
        super().__init__()
        self.register_buffer("height", torch.tensor(height, dtype=torch.float64))
        self.register_buffer("width", torch.tensor(width, dtype=torch.float64))

    def logit(self, features: Tensor) -> Tensor:
        return torch.logit(self.height * torch.exp(-0.5 * (features / self.width).square().sum(-1)))

    def fiducial(self, toy: LinearGaussian) -> Tensor:
        """σ_k [K]: the overlap of two Gaussians is a Gaussian of the sum of their covariances."""
        covariance = toy.covariances + self.width**2 * torch.eye(2, dtype=torch.float64)
        overlap = torch.distributions.MultivariateNormal(toy.means, covariance).log_prob(torch.zeros(2, dtype=torch.float64))
        return toy.strengths * self.height * 2 * torch.pi * self.width**2 * overlap.exp()
