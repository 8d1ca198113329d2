"""The morphing basis b_k(θ) of a process with exact derivatives, as numpy functions for the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bmem.process.contract import Parameter, Process

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MorphingBasis:
    """b_k(θ) and its derivatives: θ [P] → ``value`` [K], ``gradient`` [P, K], ``hessian`` [P, P, K].

    ``function`` maps a torch tensor [..., P] to [..., K]; ``value`` accepts leading axes.
    """

    parameters: tuple[Parameter, ...]
    function: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, process: Process) -> MorphingBasis:
        """The basis of ``process``."""
        return cls(process.parameters, process.basis)

    def value(self, theta: ArrayLike) -> Array:
        return self.function(_tensor(theta)).numpy()

    def gradient(self, theta: ArrayLike) -> Array:
        return np.moveaxis(torch.func.jacfwd(self.function)(_tensor(theta)).numpy(), -1, 0)

    def hessian(self, theta: ArrayLike) -> Array:
        second = torch.func.jacfwd(torch.func.jacfwd(self.function))(_tensor(theta)).numpy()
        return np.moveaxis(second, 0, -1)


def _tensor(theta: ArrayLike) -> Tensor:
    return torch.as_tensor(np.asarray(theta, dtype=np.float64))
