"""A basis b_k(θ) as a finite sum of powers, cosines and sines, so that a file can say what it is in full."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray

from bmem.errors import InputError
from bmem.inference.objective import Basis
from bmem.quantity import Parameter

Array = NDArray[np.float64]
HIGHEST = 12
"""Orders above this are not looked for."""
_PRECISION = 1e-11
_NEGLIGIBLE = 1e-12
"""What a term adds to a basis before it is taken for rounding."""
_CHECKED = 200


@dataclass(frozen=True)
class Factor:
    """An elementary function of one parameter: θ^order ("power"), or "cos" or "sin" of 2π order θ / period."""

    parameter: str
    kind: str
    order: int


@dataclass(frozen=True)
class Series:
    """b_k(θ) = Σ_m ``weights`` [M, K] times the product of the factors ``terms`` [M]; a constant has no factors."""

    terms: tuple[tuple[Factor, ...], ...]
    weights: Array

    @classmethod
    def of(cls, basis: Basis) -> Series:
        """The series of ``basis``, to a relative 1e-11 at random points of the parameters' ranges.

        Raises:
            InputError: it is no such sum, or of orders above 12.
        """
        parameters = basis.parameters
        orders = [_order(basis, index) for index in range(len(parameters))]
        each = [_factors(p, order) for p, order in zip(parameters, orders, strict=True)]
        terms = [tuple(chain.from_iterable(factors)) for factors in product(*each)]
        points = _random(parameters, max(_CHECKED, 3 * len(terms)), 1)
        columns, values = _columns(parameters, orders, points), basis.value(points)
        weights, left = _solved(columns, values)
        if left > _PRECISION:
            raise _no_sum([p.name for p in parameters])
        used = np.abs(weights).max(-1) * np.abs(columns).max(0) > _NEGLIGIBLE * np.abs(values).max()
        return cls(tuple(t for t, u in zip(terms, used, strict=True) if u), weights[used])


def _order(basis: Basis, index: int) -> int:
    """The lowest order in one parameter that describes the basis along lines through the ranges of all.

    Raises:
        InputError: none up to the highest does.
    """
    parameters = basis.parameters
    lines = np.repeat(_random(parameters, 3, 2)[:, None], 4 * HIGHEST, axis=1)
    low, high = _range(parameters[index])
    x = low + (high - low) * (1 - np.cos(np.pi * (np.arange(4 * HIGHEST) + 0.5) / (4 * HIGHEST))) / 2
    lines[..., index] = x
    values = np.concatenate(list(basis.value(lines)), axis=-1)
    for order in range(HIGHEST + 1):
        if _solved(_elementary(parameters[index], order, x), values)[1] <= _PRECISION:
            return order
    raise _no_sum([parameters[index].name])


def _solved(columns: Array, values: Array) -> tuple[Array, float]:
    """The weights [M, K] of ``columns`` [G, M] that make up ``values`` [G, K], and what is left, over the largest value."""
    weights: Array = np.asarray(np.linalg.lstsq(columns, values, rcond=None)[0], np.float64)
    return weights, float(np.abs(values - columns @ weights).max() / np.abs(values).max())


def _no_sum(names: list[str]) -> InputError:
    return InputError(
        f"a workspace: the basis is no finite sum of powers or harmonics of {', '.join(names)} up to order {HIGHEST}; "
        "export the curve instead (csv, hepdata)"
    )


def _range(parameter: Parameter) -> tuple[float, float]:
    low, high = parameter.bounds
    return low, high if parameter.period is None else low + parameter.period


def _random(parameters: tuple[Parameter, ...], n: int, seed: int) -> Array:
    """[n, P]"""
    low, high = np.array([_range(p) for p in parameters]).T
    return np.random.default_rng(seed).uniform(low, high, (n, len(parameters)))


def _factors(parameter: Parameter, order: int) -> list[tuple[Factor, ...]]:
    """Those of ``_elementary``; the first is 1."""
    name, orders = parameter.name, range(1, order + 1)
    if parameter.period is None:
        return [(), *((Factor(name, "power", n),) for n in orders)]
    return [(), *((Factor(name, kind, n),) for n in orders for kind in ("cos", "sin"))]


def _elementary(parameter: Parameter, order: int, x: Array) -> Array:
    """1 and the functions of one parameter up to an ``order``: [G] → [G, F]."""
    orders = range(1, order + 1)
    if parameter.period is None:
        return np.stack([np.ones_like(x), *(x**n for n in orders)], axis=-1)
    angle = 2 * np.pi * x / parameter.period
    return np.stack([np.ones_like(x), *(f(n * angle) for n in orders for f in (np.cos, np.sin))], axis=-1)


def _columns(parameters: tuple[Parameter, ...], orders: list[int], points: Array) -> Array:
    """All products of elementary functions, in the order of the terms: [G, P] → [G, M]."""
    columns = np.ones((len(points), 1))
    for i, (parameter, order) in enumerate(zip(parameters, orders, strict=True)):
        own = _elementary(parameter, order, points[:, i])
        columns = (columns[:, :, None] * own[:, None, :]).reshape(len(points), -1)
    return columns
