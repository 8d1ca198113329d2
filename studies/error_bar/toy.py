"""Closure of the average over replicas on the linear-Gaussian toy, where the error of every replica is known.

A training gives a network whose transfer is displaced by δ and whose σ_k are wrong by ε, relatively; its replicas scatter
about it as it does about the truth: displaced by δ + δ_r, with σ_k wrong by ε + ε_r. Each also has an accident η_r of its
normalisation, the same for all events, that says nothing of θ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bmem.calibration.toys import minima
from bmem.inference.evidence import log_mean, log_pool
from bmem.inference.objective import NegativeTwoLogLikelihood, effective_number
from bmem.likelihood.basis import MorphingBasis
from bmem.process.toy import LinearGaussian
from bmem.rng import generator, numpy_generator

Array = NDArray[np.float64]

PROCESS = LinearGaussian(phases=(0.0, 2.1, -2.1))
"""Without a second minimum near -θ."""
BASIS = MorphingBasis.of(PROCESS)
SIGMA = PROCESS.fiducial().numpy()
DISPLACED, COUNTED, NORMALISED = 0.02, 0.01, 0.005
"""Standard deviations of δ (in units of the observables, which are about 1), of ε and of η."""
REPLICAS = 16
POINTS = 61


@dataclass(frozen=True)
class Outcome:
    """Of E experiments: [E] deviations of an estimate from the truth, its error, and whether an interval holds the truth."""

    deviation: Array
    error: Array
    inside: NDArray[np.bool_]

    @property
    def pulls(self) -> Array:
        return self.deviation / self.error


@dataclass(frozen=True)
class Closure:
    """Equal weights with the total error, the old mean of the likelihoods, and how many replicas that was made of [E]."""

    equal: Outcome
    old: Outcome
    profile: NDArray[np.bool_]
    network_share: float
    effective_old: Array
    effective: Array


def closure(events: int, experiments: int, seed: int) -> Closure:
    """``experiments`` of as many ``events``, each with its own truth, training and replicas."""
    rows = [_experiment(events, seed, number) for number in range(experiments)]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    equal, old = (Outcome(d, e, i.astype(bool)) for d, e, i in (columns[:3], columns[3:6]))
    return Closure(equal, old, columns[6].astype(bool), float(columns[7].mean()), columns[8], columns[9])


def _experiment(events: int, seed: int, number: int) -> tuple[float, ...]:
    rng = numpy_generator(seed, "error bar", events, number)
    truth = rng.uniform(-np.pi, np.pi)
    offsets = np.linspace(-1, 1, POINTS) * min(np.pi, np.radians(20 + 900 / np.sqrt(events)))
    curves = _curves(events, truth + offsets, (truth, seed, number), rng)
    each, mean = minima(curves, offsets, False), minima(curves.mean(axis=0, keepdims=True), offsets, False)
    network = each.place.std(ddof=1)
    error = float(np.hypot(mean.error[0], network))
    evidence = log_mean(curves, offsets, None)
    pool, old = -2 * log_pool(-curves / 2, evidence), -2 * log_pool(-curves / 2, np.zeros(len(curves)))
    (held, shares), (held_old, shares_old) = _interval(pool, curves, evidence), _interval(old, curves, np.zeros(len(curves)))
    worse = minima(old[None], offsets, False)
    outcome = float(mean.place[0]), error, abs(mean.place[0]) <= error
    before = float(worse.place[0]), float(worse.error[0]), held_old
    return *outcome, *before, held, network / error, shares_old, shares


def _interval(curve: Array, curves: Array, evidence: Array) -> tuple[bool, float]:
    """Whether the profile interval of 68.3 % holds the truth, the middle of the grid; how many replicas its minimum has."""
    lowest, found = int(curve.argmin()), minima(curve[None], np.arange(len(curve)), False)
    shares = np.exp(-(curves[:, lowest] - curves[:, lowest].min()) / 2 - (evidence - evidence.max()))
    return bool(curve[len(curve) // 2] - found.value[0] <= 1), effective_number(shares)


def _curves(events: int, theta: Array, source: tuple[float, int, int], rng: np.random.Generator) -> Array:
    """-2 log L of every replica [R, G] for a sample made at the truth."""
    truth, seed, number = source
    torch_rng = generator(seed, "error bar", events, number)
    hard = PROCESS.sample(events, torch.tensor([truth], dtype=torch.float64), torch_rng)
    x = PROCESS.response(hard.x, torch_rng)
    displacement = DISPLACED * rng.normal(size=(REPLICAS + 1, x.shape[1]))
    counting = COUNTED * rng.normal(size=(REPLICAS + 1, len(SIGMA)))
    normalisation = 1 + NORMALISED * rng.normal(size=REPLICAS)
    curves = []
    for r in range(REPLICAS):
        integrals = PROCESS.integrals(x - torch.as_tensor(displacement[r] + displacement[-1])).numpy()
        sigma = SIGMA * (1 + counting[r] + counting[-1])
        curves.append(NegativeTwoLogLikelihood(normalisation[r] * integrals, sigma, BASIS).value(theta[:, None]))
    return np.array(curves)
