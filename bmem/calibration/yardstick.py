"""The yardstick: the same fit with x_hard known, the floor for the uncertainty of any reconstruction.

``simulated_cross_section`` counts accepted events, where a measurement has to use the learned acceptance.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.errors import InputError
from bmem.events.record import PairedEvents
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.process.contract import Process

Array = NDArray[np.float64]


def yardstick(process: Process, x_hard: Tensor, efficiency: Tensor, fiducial: Array) -> Coefficients:
    """Coefficients of events whose ``x_hard`` [N, D] is known: I_k = s_k(x_hard) ε(x_hard), exactly (covariance zero).

    ``efficiency`` [N] is ε(x_hard); it cancels in the shape, but ``fiducial`` [K], σ_k in pb, must belong to the same
    ε.

    Raises:
        InputError: the shapes disagree or an event has no density (outside the phase space).
    """
    integrals = (process.components(x_hard) * efficiency[..., None]).detach().cpu().double().numpy()
    events, components = integrals.shape
    if np.shape(fiducial) != (components,):
        raise InputError(f"yardstick: fiducial has shape {np.shape(fiducial)}, the process has {components} components")
    lost = np.flatnonzero(~np.isfinite(integrals).all(axis=1) | ~integrals.any(axis=1))
    if lost.size:
        raise InputError(f"yardstick: {lost.size} events have no density, the first is event {lost[0]}; check their x_hard")
    return Coefficients(
        values=integrals[None],
        covariance=np.zeros((1, events, components, components)),
        fiducial=np.asarray(fiducial, np.float64)[None],
        fiducial_covariance=np.zeros((1, components, components)),
    )


def simulated_cross_section(process: Process, pairs: PairedEvents) -> tuple[Array, Array]:
    """σ_k [K] in pb and their covariance [K, K] from simulated ``pairs`` that were made uniform in θ, nothing learned.

    Raises:
        InputError: no event was accepted.
    """
    hard = pairs.accepted_hard
    if not len(hard):
        raise InputError("σ_k from simulated events: none was accepted; give more events or loosen the selection")
    s = process.components(hard.x)
    weights = s / (s @ mixture_coefficients(process))[:, None] * hard.weight[:, None] / pairs.hard.weight.mean()
    tried = len(pairs.hard)
    sigma = weights.sum(0) / tried
    covariance = (weights.T @ weights / tried - torch.outer(sigma, sigma)) / tried
    return sigma.numpy(), covariance.numpy()
