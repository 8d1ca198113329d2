"""One parameter of many, the others integrated out by Laplace's method: for posteriors where there are nuisance parameters.

At every value of the first parameter the others are taken for Gaussian around their most probable values, with the exact
second derivatives there. With external constraints they nearly are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from bmem.inference.bayes import posterior
from bmem.inference.newton import conditional_minimum
from bmem.inference.nuts import Chains
from bmem.inference.objective import Objective

Array = NDArray[np.float64]

_POINTS = 180
"""Values of the first parameter at which the others are integrated; between them -2 log L is a cubic spline."""


class LaplaceMarginal(Objective):
    """-2 log of the likelihood of the first parameter, integrated over all others with a density flat over their ranges.

    Args:
        objective: the likelihood with the constraints of its nuisance parameters.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective.parameters[:1])
        self.objective = objective
        self.n_events, self.excluded = objective.n_events, objective.excluded
        (low, high), period = self.parameters[0].bounds, self.parameters[0].period
        self.nodes = np.linspace(low, high, _POINTS + 1)
        free = list(range(1, len(objective.parameters)))
        start, found = np.zeros(len(objective.parameters)), []
        for value in self.nodes:
            start = conditional_minimum(objective, np.concatenate([[value], start[1:]]), free)
            found.append(start)
        self.best = np.array(found)
        self.precision = np.array([_positive(objective.curvature(theta)[1:, 1:] / 2) for theta in found])
        curve = objective.value(self.best) + np.linalg.slogdet(self.precision)[1]
        if period is not None:  # both ends are the same point, found from two sides
            curve[0] = curve[-1] = min(curve[0], curve[-1])
        self._spline = CubicSpline(self.nodes, curve, bc_type="not-a-knot" if period is None else "periodic")

    def value(self, theta: ArrayLike) -> Array:
        return np.asarray(self._spline(np.asarray(theta, np.float64)[..., 0]))

    def gradient(self, theta: ArrayLike) -> Array:
        return np.asarray(self._spline(np.asarray(theta, np.float64), 1))

    def curvature(self, theta: ArrayLike) -> Array:
        return np.asarray(self._spline(np.asarray(theta, np.float64), 2))[None]

    def draws(self, chains: int, draws: int, rng: np.random.Generator, prior: str) -> Chains:
        """Independent draws of all parameters under the flat density, which is named ``prior`` in words."""
        first = posterior(self).sample(chains * draws, rng)
        node = np.abs(first[:, None] - self.nodes).argmin(1)
        spread = np.linalg.cholesky(np.linalg.inv(self.precision))[node]
        others = self.best[node, 1:] + (spread @ rng.standard_normal((*spread.shape[:2], 1)))[..., 0]
        bounds = np.array([p.bounds for p in self.objective.parameters[1:]])
        theta = np.concatenate([first[:, None], np.clip(others, *bounds.T)], axis=1)
        logs = -self.objective.value(theta) / 2
        return Chains(self.objective.parameters, theta.reshape(chains, draws, -1), logs.reshape(chains, draws), prior, 0)


def _positive(precision: Array) -> Array:
    """The precision with eigenvalues of at least a small part of the largest: at an edge of the range it may have none."""
    eigenvalues, vectors = np.linalg.eigh(precision)
    return np.asarray((vectors * np.maximum(eigenvalues, 1e-6 * eigenvalues[-1])) @ vectors.T)
