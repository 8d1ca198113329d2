"""Banks of the toy with exact integrals."""

import numpy as np
import torch

from bmem.calibration.bank import Bank, BankSample
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian
from bmem.rng import generator


def exact_coefficients(values: torch.Tensor, process: LinearGaussian) -> Coefficients:
    n, k = values.shape
    return Coefficients(values.numpy()[None], np.zeros((1, n, k, k)), process.fiducial().numpy()[None], np.zeros((1, k, k)))


def toy_events(process: LinearGaussian, n: int, theta: float, seed: int) -> BankSample:
    """``n`` events at ``theta``: I_k of x_reco, and s_k of x_hard."""
    rng = generator(seed, "bank", str(theta))
    hard = process.sample(n, torch.tensor([theta], dtype=torch.float64), rng)
    observed = exact_coefficients(process.integrals(process.response(hard.x, rng)), process)
    return BankSample(np.array([theta]), observed, exact_coefficients(process.components(hard.x), process))


def toy_bank(process: LinearGaussian, n: int, thetas: tuple[float, ...], seed: int) -> Bank:
    return Bank.of([toy_events(process, n, theta, seed) for theta in thetas], MorphingBasis.of(process))
