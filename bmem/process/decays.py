"""Partial widths of decays that depend on the couplings: H → γγ at leading order.

Loop functions as in A. Djouadi, Phys. Rept. 459 (2008) 1, with τ = m_H²/(4 m²) below 1 and f(τ) = arcsin²(√τ): the top
quark couples with κ_S + i κ_P γ5, all else (W, and the total width) stays as in the Standard Model.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Value = TypeVar("Value", float, NDArray[np.float64], Tensor)

TOP_CHARGES = 3 * (2 / 3) ** 2
"""N_c Q_t²."""
PSEUDOSCALAR = 2 / 3
"""κ_P at α = 90°: κ_S = cos α, κ_P = (2/3) sin α."""


def diphoton_amplitudes(mh: float = 125.0, mt: float = 172.5, mw: float = 80.42) -> tuple[float, float, float]:
    """Amplitudes (W, κ_S of the top, κ_P of the top) over the sum of the first two, so that they add up to 1 at α = 0.

    Masses in GeV; m_H below the thresholds of both loops. The W and the scalar amplitude interfere, the pseudoscalar one
    does not.
    """
    top, w = mh**2 / (4 * mt**2), mh**2 / (4 * mw**2)
    of_w = -(2 * w**2 + 3 * w + 3 * (2 * w - 1) * _loop(w)) / w**2
    scalar = TOP_CHARGES * 2 * (top + (top - 1) * _loop(top)) / top**2
    pseudoscalar = TOP_CHARGES * 2 * _loop(top) / top
    return of_w / (of_w + scalar), scalar / (of_w + scalar), pseudoscalar / (of_w + scalar)


def diphoton_coefficients() -> tuple[float, ...]:
    """c of Γ(H → γγ) over that at α = 0 as Σ_k c_k (1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²)_k."""
    w, scalar, pseudoscalar = diphoton_amplitudes()
    return w**2, 2 * w * scalar, 0.0, scalar**2, 0.0, pseudoscalar**2


def diphoton_width(alpha: Value) -> Value:
    """Γ(H → γγ) at the CP phase ``alpha`` (radians, any shape) over that at α = 0: 1.365 at 45°, 1.728 at 90°."""
    if isinstance(alpha, Tensor):
        return _width(torch.cos(alpha), PSEUDOSCALAR * torch.sin(alpha))
    return _width(np.cos(alpha), PSEUDOSCALAR * np.sin(alpha))


def _width(scalar: Value, pseudoscalar: Value) -> Value:
    w, top, odd = diphoton_amplitudes()
    return (w + top * scalar) ** 2 + (odd * pseudoscalar) ** 2


def _loop(tau: float) -> float:
    """f(τ) for τ <= 1."""
    return math.asin(math.sqrt(tau)) ** 2
