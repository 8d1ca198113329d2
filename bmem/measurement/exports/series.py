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
_LINES, _POINTS = 3, 4 * HIGHEST


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
        highest = _degree(basis, orders)
        terms = [term for term in map(_joined, product(*each)) if _power(term) <= highest]
        points = _random(parameters, max(_CHECKED, 3 * len(terms)), 1)
        columns, values = _columns(terms, parameters, points), basis.value(points)
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
    parameter = basis.parameters[index]
    start, end = _random(basis.parameters, _LINES, 2), _random(basis.parameters, _LINES, 2)
    start[:, index], end[:, index] = low, high = _range(parameter)
    t, values = _along(basis, start, end)
    for order in range(HIGHEST + 1):
        if _solved(_elementary(parameter, order, low + (high - low) * t), values)[1] <= _PRECISION:
            return order
    raise _no_sum([parameter.name])


def _degree(basis: Basis, orders: list[int]) -> int:
    """The degree in all parameters together that are no angles: with many of them few products of powers are there.

    Raises:
        InputError: the basis is no polynomial in them.
    """
    powers = [i for i, p in enumerate(basis.parameters) if p.period is None]
    start, end = _random(basis.parameters, _LINES, 3), _random(basis.parameters, _LINES, 3)
    end[:, powers] = _random(basis.parameters, _LINES, 4)[:, powers]
    t, values = _along(basis, start, end)
    for degree in range(sum(orders[i] for i in powers) + 1):
        if _solved(np.stack([t**n for n in range(degree + 1)], axis=-1), values)[1] <= _PRECISION:
            return degree
    raise _no_sum([basis.parameters[i].name for i in powers])


def _along(basis: Basis, start: Array, end: Array) -> tuple[Array, Array]:
    """Points t [T] between 0 and 1, and the basis [T, L K] there on L lines from ``start`` to ``end`` [L, P]."""
    t = (1 - np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)) / 2
    points = start[:, None] + t[None, :, None] * (end - start)[:, None]
    return t, np.concatenate(list(basis.value(points)), axis=-1)


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
    return _columns(_factors(parameter, order), (parameter,), x[:, None])


def _joined(factors: tuple[tuple[Factor, ...], ...]) -> tuple[Factor, ...]:
    return tuple(chain.from_iterable(factors))


def _power(term: tuple[Factor, ...]) -> int:
    """The degree of a term in the parameters that are no angles."""
    return sum(factor.order for factor in term if factor.kind == "power")


def _columns(terms: list[tuple[Factor, ...]], parameters: tuple[Parameter, ...], points: Array) -> Array:
    """The terms at points [G, P]: [G, M]."""
    known = {p.name: (p, x) for p, x in zip(parameters, points.T, strict=True)}
    one = np.ones(len(points))
    return np.stack([np.prod([one, *(_value(f, *known[f.parameter]) for f in term)], axis=0) for term in terms], axis=-1)


def _value(factor: Factor, parameter: Parameter, x: Array) -> Array:
    if factor.kind == "power":
        return x**factor.order
    angle = 2 * np.pi * factor.order * x / (parameter.period or np.inf)
    return np.cos(angle) if factor.kind == "cos" else np.sin(angle)
