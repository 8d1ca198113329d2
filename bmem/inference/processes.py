"""Samples of several processes that all depend on θ: a background that shares the parameter with the signal, say.

Each process has integrals of its own for every event, with its own matrix element, transfer and acceptance, and a basis of
its own; parameters of the same name are one. What is expected is the sum of their cross sections,

    dσ(θ)/dx = Σ_k b_k(θ) I_k(x) + Σ_l c_l(θ) J_l(x),

a morphing basis again. A background whose rate is not known has a free strength: ``with_strength(basis, Parameter(...))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter

Array = NDArray[np.float64]


class SharedSum:
    """The components of several bases one after the other; parameters of the same name are the same parameter.

    Raises:
        InputError: one name has two ranges.
    """

    def __init__(self, bases: Sequence[Basis]) -> None:
        self.bases = tuple(bases)
        found: dict[str, Parameter] = {}
        for p in (p for basis in bases for p in basis.parameters):
            if found.setdefault(p.name, p) != p:
                raise InputError(f"{p.name} has the ranges {found[p.name].bounds} and {p.bounds} in two processes; give one")
        self.parameters = tuple(found.values())
        places = {name: place for place, name in enumerate(found)}
        self._index = [[places[p.name] for p in basis.parameters] for basis in bases]

    def value(self, theta: ArrayLike) -> Array:
        theta = np.asarray(theta, np.float64)
        pairs = zip(self.bases, self._index, strict=True)
        return np.concatenate([basis.value(theta[..., index]) for basis, index in pairs], axis=-1)

    def gradient(self, theta: ArrayLike) -> Array:
        return np.concatenate([self._spread(part, (index,)) for part, index in self._each("gradient", theta)], axis=-1)

    def hessian(self, theta: ArrayLike) -> Array:
        return np.concatenate([self._spread(part, (index, index)) for part, index in self._each("hessian", theta)], axis=-1)

    def _each(self, what: str, theta: ArrayLike) -> list[tuple[Array, list[int]]]:
        theta = np.asarray(theta, np.float64)
        return [(getattr(basis, what)(theta[index]), index) for basis, index in zip(self.bases, self._index, strict=True)]

    def _spread(self, part: Array, index: tuple[list[int], ...]) -> Array:
        """Derivatives in some parameters, at their places among all."""
        result = np.zeros((len(self.parameters),) * len(index) + part.shape[-1:])
        result[np.ix_(*index)] = part
        return result


def joined_processes(processes: Sequence[tuple[Coefficients, Basis]]) -> tuple[Coefficients, SharedSum]:
    """Coefficients and basis of the sum of ``processes``, the signal first: of the same events and as many replicas each.

    Raises:
        InputError: there is none, or they differ in events, replicas or resamples.
    """
    if not processes:
        raise InputError("a sum of processes needs at least one")
    parts = [coefficients for coefficients, _ in processes]
    shapes = {(c.n_replicas, c.n_events, None if c.bootstrap is None else c.bootstrap.shape[1]) for c in parts}
    if len(shapes) > 1:
        raise InputError(f"the processes differ in (replicas, events, resamples): {sorted(map(str, shapes))}; match them")
    kept = parts[0].bootstrap is not None
    joined = replace(
        parts[0],
        values=np.concatenate([c.values for c in parts], axis=-1),
        covariance=_diagonal([c.covariance for c in parts]),
        fiducial=np.concatenate([c.fiducial for c in parts], axis=-1),
        fiducial_covariance=_diagonal([c.fiducial_covariance for c in parts]),
        bootstrap=_last([c.bootstrap for c in parts]) if kept else None,
        fiducial_bootstrap=_last([c.fiducial_bootstrap for c in parts]) if kept else None,
    )
    return joined, SharedSum([basis for _, basis in processes])


def _last(parts: Sequence[Array | None]) -> Array:
    return np.concatenate([part for part in parts if part is not None], axis=-1)


def _diagonal(blocks: Sequence[Array]) -> Array:
    """Blocks [..., K_i, K_i] along the diagonal of [..., Σ K_i, Σ K_i]."""
    size = sum(block.shape[-1] for block in blocks)
    result, start = np.zeros((*blocks[0].shape[:-2], size, size)), 0
    for block in blocks:
        end = start + block.shape[-1]
        result[..., start:end, start:end] = block
        start = end
    return result
