"""Neural likelihood ratios p(x_reco | α) / p_ref(x_reco) in the place of the integral; p_ref is the mixture over α.

Both estimators know that the ratio is a quadratic form of (1, κ_S, κ_P) and learn its six coefficients, so that they have
an exact dependence on α as the matrix element method has. They differ in what they are trained on:

classifier: x_reco and the α at which it was made, against x_reco and the α of another event. No matrix element.
joint ratio: x_reco and the ratio of its x_hard at 12 values of α, which the matrix element gives for every simulated event
    (the "cross-entropy of the joint ratio", arXiv:1808.00973). The response need not be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bmem.channels.thj.coordinates import ThjHard
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.networks.layers import MLP, Features
from bmem.process import THJ
from bmem.replicas import PosteriorSettings, Replicas
from bmem.rng import generator
from bmem.training.loop import BatchLoss
from bmem.training.settings import TrainingSettings

ROLLS = 4
"""Other events whose α makes a pair that does not belong together."""
ANGLES = 12
"""Values of α at which the joint ratio is used; the ratio times σ(α) is a Fourier series of five terms."""
JOINT = TrainingSettings(epochs=25, batch_size=1024, learning_rate=3e-3)
CLASSIFIER = TrainingSettings(epochs=60, batch_size=1024, learning_rate=3e-3)
MEMBERS = PosteriorSettings("ensemble", replicas=4)
HIDDEN, LAYERS = 96, 3


class RatioNetwork(nn.Module):
    """The six coefficients g_k(x_reco) = I_k / I_ref of the morphing basis, positive for every α.

    The quadratic form is a Gram matrix, as a sum of squared amplitudes is one: A Aᵀ, where A is a perceptron's lower
    triangle, in units in which a network that knows nothing gives the cross sections ``sigma`` [6] (over that of p_ref).
    Its inputs are the invariants of x_reco under reflections; the two coefficients that are odd get the sign of the event.
    """

    sigma: Tensor
    root: Tensor

    def __init__(self, sigma: Tensor) -> None:
        super().__init__()
        self.residuals = ThjHard()
        self.features = Features((False,) * self.residuals.n_features)
        self.network = MLP(self.features.outputs, 6, HIDDEN, LAYERS)
        self.register_buffer("sigma", sigma)
        self.register_buffer("root", torch.linalg.cholesky(_matrix(sigma)))

    def coefficients(self, x_reco: Tensor) -> Tensor:
        """g_k: [..., 11] → [..., 6]."""
        out = self.network(self.features(self.residuals.features(x_reco).float())).double()
        lower = torch.zeros(*out.shape[:-1], 3, 3, dtype=torch.float64)
        rows, columns = torch.tril_indices(3, 3)
        lower[..., rows, columns] = out
        root = self.root @ (torch.eye(3, dtype=torch.float64) + lower)
        return _coefficients(root @ root.transpose(-1, -2), _sign(x_reco))

    def log_ratio(self, x_reco: Tensor, basis: Tensor) -> Tensor:
        """log p(x_reco | α) / p_ref(x_reco) for x_reco [N, 11] and ``basis`` b(α) [..., N, 6]: [..., N]."""
        return torch.log((basis * self.coefficients(x_reco)).sum(-1) / (basis @ self.sigma))


def _matrix(s: Tensor) -> Tensor:
    """The symmetric matrix [3, 3] of the quadratic form with the coefficients (1, S, P, SS, SP, PP)."""
    one, s_, p, ss, sp, pp = s
    half = torch.stack([one, s_ / 2, p / 2, s_ / 2, ss, sp / 2, p / 2, sp / 2, pp])
    return half.reshape(3, 3)


def _coefficients(m: Tensor, sign: Tensor) -> Tensor:
    """The inverse of ``_matrix`` for m [..., 3, 3], terms linear in κ_P times ``sign`` [...]."""
    columns = [m[..., 0, 0], 2 * m[..., 0, 1], 2 * sign * m[..., 0, 2], m[..., 1, 1], 2 * sign * m[..., 1, 2], m[..., 2, 2]]
    return torch.stack(columns, -1)


def _sign(x_reco: Tensor) -> Tensor:
    """That of η_j sin(φ_j - φ_H): it changes under a reflection of the transverse plane and of the beam axis."""
    return torch.where(x_reco[..., 5] * torch.sin(x_reco[..., 4] - x_reco[..., 1]) < 0, -1.0, 1.0).double()


@dataclass(frozen=True)
class Simulation:
    """What the estimators are trained on: accepted events with ``x_reco`` [A, 11], the ``theta`` [A, 1] that made them, and
    their joint coefficients s_k / Σ c_k s_k of x_hard, ``joint`` [A, 6]; ``sigma`` [6] is σ_k / Σ c_k σ_k.
    """

    process: THJ
    x_reco: Tensor
    theta: Tensor
    joint: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, process: THJ, x_reco: Tensor, x_hard: Tensor, theta: Tensor, sigma: np.ndarray) -> Simulation:
        """From accepted pairs; ``sigma`` are the σ_k [6]."""
        mixture, s = mixture_coefficients(process), process.components(x_hard)
        total = torch.from_numpy(sigma)
        return cls(process, x_reco, theta, s / (s @ mixture)[:, None], total / (total @ mixture))

    def classifier(self, seed: int) -> Replicas:
        """Trained on the samples alone."""
        return self._trained(_tell_pairs, (self.x_reco, self.process.basis(self.theta)), CLASSIFIER, seed)

    def joint_ratio(self, seed: int) -> Replicas:
        """Trained on the joint ratios."""
        angles = 2 * np.pi * (torch.arange(ANGLES, dtype=torch.float64)[:, None] + 0.5) / ANGLES
        basis = self.process.basis(angles)

        def cross_entropy(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
            x_reco, joint = batch
            ratio = (joint @ basis.T / (basis @ self.sigma)).T
            log_ratio = module.log_ratio(x_reco, basis[:, None])  # type: ignore[operator]
            softplus = nn.functional.softplus
            return (ratio * softplus(-log_ratio) + softplus(log_ratio)).mean()

        return self._trained(cross_entropy, (self.x_reco, self.joint), JOINT, seed)

    def _trained(self, objective: BatchLoss, rows: tuple[Tensor, ...], training: TrainingSettings, seed: int) -> Replicas:
        module = RatioNetwork(self.sigma)
        module.features.fit(module.residuals.features(self.x_reco))
        posterior = MEMBERS.make()
        posterior.fit(module, objective, rows, training, seed)
        return posterior.sample(MEMBERS.drawn, generator(seed, "members"))


def _tell_pairs(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross entropy of (x, α) that belong together against x with the α of other events of the batch."""
    x_reco, basis = batch
    others = torch.stack([basis.roll(i, 0) for i in range(1, ROLLS + 1)])
    log_ratio = module.log_ratio(x_reco, torch.cat([basis[None], others]))  # type: ignore[operator]
    softplus = nn.functional.softplus
    return softplus(-log_ratio[0]).mean() + softplus(log_ratio[1:]).mean()
