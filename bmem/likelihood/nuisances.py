"""Nuisance parameters ν in the master formula: integrals at nodes of each ν, interpolated by polynomials.

    I_k(ν) = I_k(0) + Σ_j [I_k(ν_j) - I_k(0)],      I_k(ν_j) the polynomial of ν_j through I_k(0) and its nodes,

and σ_k(ν) alike: finite sums of monomials times components of the morphing basis, so that (θ, ν) are the parameters of a
larger morphing basis ``ProductBasis(b(θ), Nuisances.basis)``, with exact derivatives. Its components are a_pk of the monomial
p = (1, ν_1, ν_1², ..., ν_2, ...) and of b_k, all k of one p together: the first K are the nominal I_k. The integrals at the
nodes use the same points, so that of a difference only its own error is left. That the effects of several ν add up is exact
to first order; ``Nuisances.checks`` are where it is held against the integral itself.

Theory acts on s_k(x); a detector effect on transfer and acceptance, which have ν as further conditions beside x_hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.errors import InputError
from bmem.events.record import HardEvents
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process.contract import Parameter, TheoryVariation

Array = NDArray[np.float64]
RANGE = 3.0
"""A nuisance parameter is fitted within so many of its external standard deviations."""
_CHECKED = 2.0
"""Distance from ν = 0, in standard deviations, of the points at which the interpolation is checked."""


@dataclass(frozen=True)
class Nuisance:
    """One ν, by its ``name``: ``nodes`` beside 0, and the ``theory`` that it changes; without any it is of the detector.

    ``value`` and ``error`` are those of its external constraint, ν ~ N(0, 1) unless stated.

    Raises:
        InputError: there is no node, two are the same, or one is 0 or outside of the range.
    """

    name: str
    nodes: tuple[float, ...]
    theory: TheoryVariation | None = None
    value: float = 0.0
    error: float = 1.0

    def __post_init__(self) -> None:
        if not self.nodes or len({0.0, *self.nodes}) <= len(self.nodes) or max(map(abs, self.nodes)) > RANGE:
            raise InputError(f"nuisance {self.name!r}: nodes are different numbers in [-{RANGE:g}, {RANGE:g}] beside 0")

    @property
    def parameter(self) -> Parameter:
        return Parameter(self.name, (-RANGE, RANGE), symbol=rf"\nu_{{\mathrm{{{self.name}}}}}", nuisance=True)


@dataclass(frozen=True)
class Nuisances:
    """J nuisance parameters: M monomials in them, and as many points ν [M, J] at which integrals are taken, 0 first.

    Raises:
        InputError: two have one name.
    """

    entries: tuple[Nuisance, ...] = ()

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        if len(set(names)) < len(names):
            raise InputError(f"the names of nuisance parameters must differ, got {names}")

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(entry.parameter for entry in self.entries)

    @cached_property
    def basis(self) -> PolynomialBasis:
        """The monomials."""
        powers = [(0,) * len(self)] + [self._unit(j, p) for j, p in self._terms]
        return PolynomialBasis(self.parameters, tuple(powers))

    @property
    def monomials(self) -> int:
        """M."""
        return 1 + len(self._terms)

    @cached_property
    def points(self) -> Array:
        """ν [M, J]: 0, and one after the other the nodes of each."""
        rows = [(j, node) for j, entry in enumerate(self.entries) for node in entry.nodes]
        points = np.zeros((1 + len(rows), len(self)))
        for row, (j, node) in enumerate(rows, 1):
            points[row, j] = node
        return points

    @cached_property
    def transform(self) -> Array:
        """[M, M]: from values at ``points`` to the coefficients of the monomials."""
        return np.asarray(np.linalg.inv(self.basis.value(self.points)))

    @cached_property
    def checks(self) -> Array:
        """ν [C, J] at a distance of two standard deviations, all up or down together, and up and down in turn.

        None if all are of the theory, which is nothing but the interpolation.
        """
        if not self.detector:
            return np.zeros((0, len(self)))
        turns = np.where(np.arange(len(self)) % 2, -1.0, 1.0)
        directions = np.unique([np.ones(len(self)), -np.ones(len(self)), turns, -turns], axis=0)
        return np.asarray(_CHECKED / np.sqrt(len(self)) * directions)

    @property
    def detector(self) -> list[int]:
        """Which of them are conditions of transfer and acceptance."""
        return [j for j, entry in enumerate(self.entries) if entry.theory is None]

    def components(self, x_hard: Tensor, nominal: Tensor, points: Array) -> Tensor:
        """s_k(x; ν) at ``points`` [V, J] from x [..., D] and s_k(x) [..., K]: [..., V, K]; effects of several theories add up."""
        result = nominal.unsqueeze(-2).repeat(*(1,) * (nominal.dim() - 1), len(points), 1)
        for j, entry in enumerate(self.entries):
            if entry.theory is not None:
                result += self._change(entry, x_hard, nominal, points[:, j])
        return result

    def _change(self, entry: Nuisance, x_hard: Tensor, nominal: Tensor, nu: Array) -> Tensor:
        """s_k(x; ν) - s_k(x) [..., V, K] of one theory at ``nu`` [V]: by the polynomial through its nodes."""
        assert entry.theory is not None
        change = torch.stack([entry.theory.components(x_hard, node) - nominal for node in entry.nodes], -2)
        orders = np.arange(1, len(entry.nodes) + 1)
        lagrange = nu[:, None] ** orders @ np.linalg.inv(np.array(entry.nodes)[:, None] ** orders)
        return torch.as_tensor(lagrange).to(change) @ change

    def conditions(self, points: Array) -> tuple[Tensor, list[int]]:
        """Different conditions [V, J_detector] among ``points`` [P, J], the nominal one first, and which belongs to each."""
        rows = [tuple(row) for row in points[:, self.detector].tolist()]
        different = list(dict.fromkeys([(0.0,) * len(self.detector), *rows]))
        found = torch.tensor(different, dtype=torch.float64, device="cpu").reshape(len(different), len(self.detector))
        return found, [different.index(row) for row in rows]

    def monomial_components(self, x_hard: Tensor, nominal: Tensor) -> Tensor:
        """Coefficients of the monomials of s_k(x; ν) [N, M, K]; of the detector, which does not change it, s_k(x) itself."""
        if not self.entries:
            return nominal[:, None]
        found = torch.as_tensor(self.transform).to(nominal) @ self.components(x_hard, nominal, self.points)
        found[:, self._of_detector] = nominal[:, None]
        return found

    def design(self, hard: HardEvents) -> Tensor:
        """The monomials of the detector's ν [N, M] at which events were simulated; 1 for the others.

        Raises:
            InputError: the events were not simulated with these nuisances.
        """
        nu = torch.ones(len(hard), len(self), dtype=torch.float64, device=hard.x.device)
        names = [self.entries[j].name for j in self.detector]
        for j, name in zip(self.detector, names, strict=True):
            nu[:, j] = hard.nuisance(name)
        return torch.as_tensor(self.basis.value(nu.cpu().numpy())).to(hard.x)

    def estimators(self, design: Tensor) -> Tensor:
        """Weights [N, M]: means over events with them are least squares in the monomials of the detector's ν [N, M].

        Coefficients of the theory are means over the detector's ν at 0: they have the weights of the constant.
        """
        used = [0, *self._of_detector]
        x = design[:, used]
        weights = torch.linalg.solve(x.T @ x / len(x), x.T).T
        result = weights[:, :1].repeat(1, design.shape[1])
        result[:, used] = weights
        return result

    def expected(self, design: Tensor, sigma: Tensor) -> Tensor:
        """What an event contributes on average, [N, M, K], where the coefficients are ``sigma`` [M, K]."""
        used = [0, *self._of_detector]
        result = sigma.expand(len(design), -1, -1).clone()
        result[:, used] = (design[:, used] @ sigma[used])[:, None]
        return result

    @cached_property
    def _of_detector(self) -> list[int]:
        """The monomials of the detector's ν."""
        return [m for m, (j, _) in enumerate(self._terms, 1) if self.entries[j].theory is None]

    @cached_property
    def _terms(self) -> list[tuple[int, int]]:
        """(which ν, its power) of every monomial but the first."""
        return [(j, p) for j, entry in enumerate(self.entries) for p in range(1, len(entry.nodes) + 1)]

    def _unit(self, j: int, power: int) -> tuple[int, ...]:
        return tuple(power if i == j else 0 for i in range(len(self)))


NONE = Nuisances()
"""Nothing that could vary."""


def interpolation_error(at_checks: Array, values: Array, nuisances: Nuisances, references: Sequence[Array]) -> Array:
    """Largest relative error [N] of the interpolated density of each event at the checks, for combinations of components.

    Args:
        at_checks: integrals there, [R, N, C, K].
        values: coefficients of the monomials, [R, N, M K].
        nuisances: which ν.
        references: b(θ) [K] of some θ.
    """
    replicas, events, _, components = at_checks.shape
    monomials = nuisances.basis.value(nuisances.checks)
    interpolated = np.einsum("cm,rnmk->rnck", monomials, values.reshape(replicas, events, -1, components))
    b = np.stack(references, -1)
    exact, found = at_checks.mean(0) @ b, interpolated.mean(0) @ b
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.abs(found / exact - 1).reshape(events, -1).max(1))
