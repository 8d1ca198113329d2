"""The linear-Gaussian matrix element method, where everything is known in closed form: the oracle of the test-suite.

    dσ(θ)/dx = Σ_k b_k(θ) σ_k N(x; μ_k, Σ_k),      b_k(θ) = 1 + m_k cos(θ - φ_k),      x_reco = A x + N(0, S),

so that I_k(x_reco) = σ_k N(x_reco; A μ_k, A Σ_k Aᵀ + S), every event is accepted, and the fiducial cross section is
Σ_k b_k(θ) σ_k. θ is an angle. In the default toy the sine in b is weak, which makes the likelihood nearly even in θ, as that
of tHj is in α. Used by tests, and by anyone who wants to see the chain at work in seconds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from bmem.errors import InputError
from bmem.events.record import HardEvents
from bmem.process.contract import Parameter
from bmem.rng import normal


class LinearGaussian:
    """A process of Gaussian components with a linear-Gaussian response, in float64.

    Args:
        means: μ_k [K, D].
        covariances: Σ_k [K, D, D].
        strengths: σ_k in pb [K].
        modulation: m_k in [-1, 1] [K], so that no component is ever negative.
        phases: φ_k in radians [K].
        response_matrix: A [d, D].
        noise: covariance S [d, d] of the response.

    Raises:
        InputError: a modulation exceeds 1 or a strength is not positive.
    """

    parameters: tuple[Parameter, ...] = (Parameter("theta", (-math.pi, math.pi), 2 * math.pi),)

    def __init__(
        self,
        *,
        means: Sequence[Sequence[float]] = ((0.0, 0.0), (1.5, 0.5), (-0.5, 1.5)),
        covariances: Sequence[Sequence[Sequence[float]]] = (
            ((1.0, 0.3), (0.3, 0.8)),
            ((0.6, -0.2), (-0.2, 1.0)),
            ((0.9, 0.0), (0.0, 0.5)),
        ),
        strengths: Sequence[float] = (1.0, 0.8, 0.6),
        modulation: Sequence[float] = (0.9, 0.8, 0.9),
        phases: Sequence[float] = (math.pi, 0.05, -0.05),
        response_matrix: Sequence[Sequence[float]] = ((1.0, 0.2), (-0.1, 0.9)),
        noise: Sequence[Sequence[float]] = ((0.25, 0.05), (0.05, 0.16)),
    ) -> None:
        self.means, self.covariances = _tensor(means), _tensor(covariances)
        self.strengths, self.modulation, self.phases = _tensor(strengths), _tensor(modulation), _tensor(phases)
        self.response_matrix, self.noise = _tensor(response_matrix), _tensor(noise)
        if (self.modulation.abs() > 1).any() or (self.strengths <= 0).any():
            raise InputError("a LinearGaussian needs |modulation| <= 1 and strengths > 0, or its density becomes negative")

    def _on(self, device: torch.device) -> LinearGaussian:
        """The same with its tensors on a device."""
        if device == self.means.device:
            return self
        there = copy.copy(self)
        vars(there).clear()
        vars(there).update({name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)})
        return there

    @cached_property
    def _hard(self) -> MultivariateNormal:
        return MultivariateNormal(self.means, self.covariances)

    @cached_property
    def _reco(self) -> MultivariateNormal:
        a = self.response_matrix
        return MultivariateNormal(self.means @ a.T, a @ self.covariances @ a.T + self.noise)

    @cached_property
    def _noise(self) -> MultivariateNormal:
        return MultivariateNormal(torch.zeros_like(self.noise[0]), self.noise)

    def basis(self, theta: Tensor) -> Tensor:
        """b_k(θ) = 1 + m_k cos(θ - φ_k): [..., 1] → [..., K]."""
        here = self._on(theta.device)
        return 1 + here.modulation * torch.cos(theta - here.phases)

    def components(self, x_hard: Tensor) -> Tensor:
        """s_k(x) = σ_k N(x; μ_k, Σ_k) in pb: [..., D] → [..., K]."""
        here = self._on(x_hard.device)
        return here.strengths * here._hard.log_prob(x_hard.unsqueeze(-2)).exp()

    def cross_section(self, theta: Tensor) -> tuple[float, float]:
        """σ(θ) in pb at θ [1], exact."""
        return float(self.basis(theta.cpu()) @ self.strengths), 0.0

    def sample(self, n: int, theta: Tensor, rng: torch.Generator) -> HardEvents:
        """``n`` unweighted events at θ [1], or [n, 1] with one value for each."""
        theta, here = theta.to(torch.float64).expand(n, 1), self._on(theta.device)
        k = _drawn(here.basis(theta) * here.strengths, rng)
        x = here.means[k] + _times(here._hard.scale_tril[k], normal((n, here.means.shape[1]), rng, theta))
        return HardEvents(x, theta.clone(), torch.ones_like(theta[:, 0]))

    def response(self, x_hard: Tensor, rng: torch.Generator) -> Tensor:
        """Smear x_hard [..., D] to x_reco [..., d]; every event is accepted."""
        here, shape = self._on(x_hard.device), (*x_hard.shape[:-1], len(self.noise))
        return x_hard @ here.response_matrix.T + _times(here._noise.scale_tril, normal(shape, rng, here.noise))

    def transfer_log_prob(self, x_reco: Tensor, x_hard: Tensor) -> Tensor:
        """log p(x_reco | x_hard): [..., d], [..., D] → [...]."""
        here = self._on(x_hard.device)
        return here._noise.log_prob(x_reco - x_hard @ here.response_matrix.T)

    def fiducial(self) -> Tensor:
        """σ_k in pb [K]."""
        return self.strengths

    def integrals(self, x_reco: Tensor) -> Tensor:
        """The exact I_k in pb: [..., d] → [..., K]."""
        here = self._on(x_reco.device)
        return here.strengths * here._reco.log_prob(x_reco.unsqueeze(-2)).exp()

    def log_density(self, x_reco: Tensor, theta: Tensor) -> Tensor:
        """log p(x_reco | θ): [..., d], [..., 1] → [...]."""
        b = self.basis(theta)
        return torch.log((b * self.integrals(x_reco)).sum(-1) / (b @ self.strengths.to(b)))

    def sample_posterior(self, x_reco: Tensor, theta: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x_hard [..., D] from p(x_hard | x_reco, θ), the perfect proposal, and return its log-density [...] too.

        One point for each x_reco [..., d]; θ is [1].
        """
        weight = self.basis(theta) * self.integrals(x_reco)
        means, scales = self._on(x_reco.device)._posterior(x_reco)
        k = _drawn(weight.reshape(-1, weight.shape[-1]), rng).reshape(weight.shape[:-1])
        mean = means.take_along_dim(k[..., None, None], -2).squeeze(-2)
        x = mean + _times(scales[k], normal(mean.shape, rng, mean))
        share = torch.log(weight / weight.sum(-1, keepdim=True))
        return x, torch.logsumexp(share + MultivariateNormal(means, scale_tril=scales).log_prob(x.unsqueeze(-2)), -1)

    def _posterior(self, x_reco: Tensor) -> tuple[Tensor, Tensor]:
        """p(x_hard | x_reco) of each component: means [..., K, D] and Cholesky factors of the covariances [K, D, D]."""
        a = self.response_matrix
        gain = torch.linalg.solve(self._reco.covariance_matrix, a @ self.covariances).mT
        shift = x_reco.unsqueeze(-2) - self._reco.mean
        covariance = self.covariances - gain @ a @ self.covariances
        return self.means + _times(gain, shift), torch.linalg.cholesky((covariance + covariance.mT) / 2)


def _tensor(values: Sequence[object]) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64, device="cpu")


def _drawn(weight: Tensor, rng: torch.Generator) -> Tensor:
    """One of K by its ``weight`` [N, K]: [N]; drawn where ``rng`` is."""
    return torch.multinomial(weight.to(rng.device), 1, generator=rng).squeeze(-1).to(weight.device)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """[..., d, D] times [..., D] → [..., d]."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)
