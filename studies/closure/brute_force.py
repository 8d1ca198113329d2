"""The tHj integral of one event by the package vegas, written without any of bmem's integration or coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gvar
import numpy as np
import torch
import vegas
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from bmem.process.contract import Process
from bmem.rng import numpy_generator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BruteForce:
    """I_k = ∫ dx_hard s_k(x_hard) p(x_reco | x_hard) for Gaussian p, all k in one run.

    In the residuals z in units of the ``resolutions``, log(pT_reco / pT_hard) / σ for the two transverse momenta and
    (reco - hard) / σ for φ and y, the density of x_reco is Π [N(z) / σ] / (pT_reco,H pT_reco,j), and dx_hard is
    pT_hard,H pT_hard,j Π σ dz: the integral is the mean of s_k (pT_H pT_j)_hard / (pT_H pT_j)_reco over standard normal z,
    which vegas takes in u, z = Φ⁻¹(u).

    ``mixture`` [K] is the combination to which vegas adapts, ``evaluations`` those of each of ``iterations`` after as many
    for adaptation.
    """

    process: Process
    resolutions: tuple[float, ...]
    mixture: Tensor
    evaluations: int = 20_000
    iterations: int = 5

    def __call__(self, x_reco: Tensor, seed: int) -> tuple[Array, Array]:
        """I_k [K] of one event x_reco [7] and their covariance [K, K]."""
        box = [[0.0, 1.0]] * len(self.resolutions)
        rng = numpy_generator(seed, "vegas")
        integrator = vegas.Integrator(box, ran_array_generator=rng.random)
        integrand = vegas.lbatchintegrand(lambda u: self._integrand(ndtri(u), x_reco))
        integrator(integrand, nitn=self.iterations, neval=self.evaluations)
        result: Any = integrator(integrand, nitn=self.iterations, neval=self.evaluations, adapt=False)
        return gvar.mean(result)[1:], gvar.evalcov(result)[1:, 1:]

    def _integrand(self, z: Array, x_reco: Tensor) -> Array:
        step = torch.from_numpy(z) * torch.tensor(self.resolutions, dtype=torch.float64)
        x = x_reco - step
        x[:, 0], x[:, 3] = x_reco[0] * torch.exp(-step[:, 0]), x_reco[3] * torch.exp(-step[:, 3])
        s = self.process.components(x) * (x[:, 0] * x[:, 3] / (x_reco[0] * x_reco[3]))[:, None]
        return torch.cat([(s @ self.mixture)[:, None], s], -1).numpy()
