"""The yardstick: the same fit with x_hard known, the floor for the uncertainty of any reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bmem.errors import InputError
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Process

Array = NDArray[np.float64]


def yardstick_coefficients(process: Process, x_hard: Tensor, efficiency: Tensor, fiducial: Array) -> Coefficients:
    """Coefficients of events whose ``x_hard`` [N, D] is known: I_k = s_k(x_hard) ε(x_hard), exactly (covariance zero).

    ``efficiency`` [N] is ε(x_hard); it cancels in the shape, but ``fiducial`` [K], σ_k in pb, must belong to the same
    ε.

    Raises:
        InputError: the shapes disagree or an event has no density (outside the phase space).
    """
    integrals = (process.components(x_hard) * efficiency[..., None]).detach().cpu().double().numpy()
    components = integrals.shape[1]
    if np.shape(fiducial) != (components,):
        raise InputError(f"yardstick: fiducial has shape {np.shape(fiducial)}, the process has {components} components")
    lost = np.flatnonzero(~np.isfinite(integrals).all(axis=1) | ~integrals.any(axis=1))
    if lost.size:
        raise InputError(f"yardstick: {lost.size} events have no density, the first is event {lost[0]}; check their x_hard")
    return Coefficients.exact(integrals, np.asarray(fiducial, np.float64))
