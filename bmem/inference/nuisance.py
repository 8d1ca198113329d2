"""One parameter of several, the others integrated out: for posteriors of θ where fractions of backgrounds are free.

The integral is a sum over the midpoints of equal cells that fill the part of the other parameters' ranges where the
likelihood is not negligible; for a smooth likelihood its error falls faster than any power of the size of the cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, softmax

from bmem.errors import InputError
from bmem.inference.bayes import posterior
from bmem.inference.nuts import Chains
from bmem.inference.objective import Objective, axes, scan_grid

Array = NDArray[np.float64]

_CELLS = {1: 128, 2: 32}
"""Cells along each of the other parameters, by their number."""
_NEGLIGIBLE = 36.0
"""Where -2Δ log L is above this everywhere, six standard deviations, the likelihood is left out."""
_POINTS = 1440
_CHUNK = 4096


class Marginalised(Objective):
    """-2 log of the likelihood of the first parameter, integrated over all others with a density flat over their ranges.

    Args:
        objective: the likelihood of two or three parameters, constraints included.

    Raises:
        InputError: it has no other parameters, or too many.
    """

    def __init__(self, objective: Objective) -> None:
        others = len(objective.parameters) - 1
        if others not in _CELLS:
            raise InputError(f"{others} parameters cannot be integrated out on a grid; from 1 to {max(_CELLS)} can")
        super().__init__(objective.parameters[:1])
        self.objective = objective
        self.n_events, self.excluded = objective.n_events, objective.excluded
        self.nodes, self.cell = _cells(objective, _CELLS[others])

    def value(self, theta: ArrayLike) -> Array:
        theta = np.asarray(theta, np.float64)
        flat = theta.reshape(-1, 1)
        parts = np.array_split(flat, -(-len(flat) * len(self.nodes) // (_CHUNK * 16)))
        found = [-2 * (logsumexp(-self._values(part) / 2, axis=1) - np.log(len(self.nodes))) for part in parts]
        return np.concatenate(found).reshape(theta.shape[:-1])

    def gradient(self, theta: ArrayLike) -> Array:
        share, gradients, _ = self._derivatives(theta)
        return np.asarray(share @ gradients)

    def curvature(self, theta: ArrayLike) -> Array:
        share, gradients, curvatures = self._derivatives(theta)
        centred = gradients - share @ gradients
        return np.asarray((share @ curvatures - 0.5 * share @ centred**2)[:, None])

    def draws(self, chains: int, draws: int, rng: np.random.Generator, prior: str) -> Chains:
        """Independent draws of all parameters under the flat density, which is named ``prior`` in words."""
        first = posterior(self, points=_POINTS).sample(chains * draws, rng)
        values = np.concatenate([self._values(part) for part in np.array_split(first[:, None], max(1, len(first) // 64))])
        noise = rng.gumbel(size=values.shape)
        chosen = np.argmax(-values / 2 + noise, axis=1)
        others = self.nodes[chosen] + (rng.random((len(first), len(self.cell))) - 0.5) * self.cell
        theta = np.concatenate([first[:, None], others], axis=1)
        shape = (chains, draws)
        logs = -self.objective.value(theta) / 2
        return Chains(self.objective.parameters, theta.reshape(*shape, -1), logs.reshape(shape), prior, 0)

    def _values(self, first: Array) -> Array:
        """-2 log L of the first parameter [G, 1] at all nodes [G, M]."""
        return self.objective.value(self._points(first))

    def _points(self, first: Array) -> Array:
        """[G, 1] → [G, M, P]."""
        shape = (len(first), len(self.nodes))
        return np.concatenate(
            [np.broadcast_to(first[:, None], (*shape, 1)), np.broadcast_to(self.nodes, (*shape, self.nodes.shape[1]))], -1
        )

    def _derivatives(self, theta: ArrayLike) -> tuple[Array, Array, Array]:
        """Shares [M] of the nodes, and the derivatives there: [M, 1] and [M]."""
        points = self._points(np.asarray(theta, np.float64)[None])[0]
        share = softmax(-self.objective.value(points) / 2)
        gradients = np.stack([self.objective.gradient(p)[:1] for p in points])
        return share, gradients, np.array([self.objective.curvature(p)[0, 0] for p in points])


def _cells(objective: Objective, count: int) -> tuple[Array, Array]:
    """Midpoints [M, P - 1] of cells that fill the part of the other parameters that matters, and their size [P - 1]."""
    parts = axes(objective.parameters)
    values = objective.value(scan_grid(objective.parameters)).reshape([len(part) for part in parts])
    near = values.min(axis=0) <= values.min() + _NEGLIGIBLE
    edges = []
    for i, points in enumerate(parts[1:]):
        inside = np.flatnonzero(near.any(axis=tuple(j for j in range(near.ndim) if j != i)))
        edges.append((points[max(inside[0] - 1, 0)], points[min(inside[-1] + 1, len(points) - 1)]))
    low, high = np.array(edges).T
    size = (high - low) / count
    middles = [a + (np.arange(count) + 0.5) * s for a, s in zip(low, size, strict=True)]
    return np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, len(size)), size
