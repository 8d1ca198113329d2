"""The morphing basis b_k(θ) of a process with exact derivatives, as numpy functions for the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bmem.process.contract import Parameter, Process

Array = NDArray[np.float64]

_SAMPLES = 64
_MAX_ORDER = 16


@dataclass(frozen=True)
class MorphingBasis:
    """b_k(θ) and its derivatives: θ [P] → ``value`` [K], ``gradient`` [P, K], ``hessian`` [P, P, K].

    ``function`` maps a torch tensor [..., P] to [..., K]; ``value`` accepts leading axes. Derivatives come from automatic
    differentiation or, a hundred times faster, from the finite Fourier series that b is when the only parameter is an angle.
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
        if self._series is not None:
            return self._series.derivative(theta, 1)[None]
        return np.moveaxis(torch.func.jacfwd(self.function)(_tensor(theta)).numpy(), -1, 0)

    def hessian(self, theta: ArrayLike) -> Array:
        if self._series is not None:
            return self._series.derivative(theta, 2)[None, None]
        second = torch.func.jacfwd(torch.func.jacfwd(self.function))(_tensor(theta)).numpy()
        return np.moveaxis(second, 0, -1)

    @cached_property
    def _series(self) -> _FourierSeries | None:
        if len(self.parameters) != 1 or self.parameters[0].period is None:
            return None
        return _FourierSeries.of(self.value, self.parameters[0].period)


@dataclass(frozen=True)
class _FourierSeries:
    """Re Σ_j c_jk exp(i ω_j θ): frequencies ω [J] and coefficients c [J, K]."""

    frequencies: Array
    coefficients: NDArray[np.complex128]

    @classmethod
    def of(cls, function: Callable[[Array], Array], period: float) -> _FourierSeries | None:
        """The series of ``function`` [G, 1] → [G, K]; None if orders above 16 do not vanish to rounding."""
        grid = np.arange(_SAMPLES) * period / _SAMPLES
        spectrum = np.fft.rfft(function(grid[:, None]), axis=0) / _SAMPLES
        size = np.abs(spectrum).max()
        if np.abs(spectrum[_MAX_ORDER:]).max() > 1e-13 * size:
            return None
        order = int(np.flatnonzero(np.abs(spectrum).max(-1) > 1e-15 * size).max())
        spectrum[1:] *= 2
        frequencies = 2 * np.pi / period * np.arange(order + 1, dtype=np.float64)
        return cls(frequencies, spectrum[: order + 1])

    def derivative(self, theta: ArrayLike, n: int) -> Array:
        """The ``n``-th derivative [K] at θ [1]."""
        phases = (1j * self.frequencies) ** n * np.exp(1j * self.frequencies * np.asarray(theta, dtype=np.float64))
        return (phases @ self.coefficients).real


def _tensor(theta: ArrayLike) -> Tensor:
    return torch.as_tensor(np.asarray(theta, dtype=np.float64))
