"""Balanced weights: a weighted sample is tilted until the means of some features have the values that they must have.

A bank stands for θ with weights of ratios of densities. Their sums fluctuate with the events that it happens to hold, and
everything drawn from it inherits the fluctuation. The means of s_k/p at θ are known, σ_k/σ, and their fluctuation is nearly
that of the score: with weights w exp(λ·f) that reproduce them, most of it is gone. (Exponential tilting, or raking: of all
weights with these means they have the smallest Kullback-Leibler divergence from w.)
"""

from __future__ import annotations

import numpy as np

from bmem.calibration.record import Array
from bmem.errors import RangeError

_STEPS = 60
_PRECISION = 1e-10
_RANK = 1e-9
"""Directions of the features with less than this share of the largest spread are constant (s_k/p add up to one)."""


def balanced(weights: Array, features: Array, means: Array) -> Array:
    """``weights`` [N], tilted so that the weighted means of ``features`` [N, K] are ``means`` [K]; their sum is 1.

    Raises:
        RangeError: no positive weights give these means; the sample is too small, or not one of these means.
    """
    base = weights / weights.sum()
    f = _whitened(base, features - means)
    tilt = np.zeros(f.shape[1])
    value, w = _dual(base, f, tilt)
    for _ in range(_STEPS):
        gradient = w @ f
        if np.abs(gradient).max(initial=0.0) < _PRECISION:
            return w
        centred = f - gradient
        step = np.linalg.lstsq((w[:, None] * centred).T @ centred, gradient, rcond=None)[0]
        decrease, length = gradient @ step, 1.0
        while length > 1e-6:
            trial, trial_w = _dual(base, f, tilt - length * step)
            if trial <= value - 0.1 * length * decrease + 1e-15:
                break
            length /= 2
        tilt, value, w = tilt - length * step, trial, trial_w
    raise RangeError(
        f"{len(weights)} events cannot be weighted to have the means that they should have; give more events, made with the "
        "σ_k that are claimed"
    )


def _whitened(base: Array, centred: Array) -> Array:
    """The directions in which the features vary, in units of their spread."""
    scale = np.sqrt(base @ np.square(centred))
    scaled = centred / np.where(scale > 0, scale, 1.0)
    spread = scaled - base @ scaled
    eigenvalues, vectors = np.linalg.eigh((base[:, None] * spread).T @ spread)
    real = eigenvalues > _RANK * eigenvalues[-1]
    return scaled @ vectors[:, real] / np.sqrt(eigenvalues[real])


def _dual(base: Array, f: Array, tilt: Array) -> tuple[float, Array]:
    """The convex function whose minimum balances, log Σ w exp(λ·f), and the weights at ``tilt``."""
    exponent = f @ tilt
    top = exponent.max()
    w = base * np.exp(exponent - top)
    total = w.sum()
    return float(top + np.log(total)), w / total
