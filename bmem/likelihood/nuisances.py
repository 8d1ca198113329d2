"""Nuisance parameters ν in the master formula: integrals at nodes of each ν, interpolated by polynomials.

    I_k(ν) = I_k(0) + Σ_j [I_k(ν_j) - I_k(0)] + Σ_ij ν_i ν_j D_ij,      I_k(ν_j) the polynomial of ν_j through I_k(0) and its
    nodes, D_ij the mixed difference of two effects at a node of each,

and σ_k(ν) alike: finite sums of monomials times components of the morphing basis, so that (θ, ν) are the parameters of a
larger morphing basis ``ProductBasis(b(θ), Nuisances.basis)``, with exact derivatives. Its components are a_pk of the
monomial p = (1, ν_1, ν_1², ..., ν_2, ..., ν_1 ν_2, ...) and of b_k, all k of one p together: the first K are nominal.
The integrals at the nodes use the same points, so that of a difference only its own error is left. ``Nuisances.checks`` are
where the interpolation is held against the integral itself.

Theory acts on s_k(x), and the effects of several theories add up; a detector effect acts on transfer and acceptance, which
have ν as further conditions beside x_hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

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
_BEYOND = 1.25
"""Nuisance parameters of the detector are simulated this far, in units of the farthest node."""
_CHECKED = 1.5
"""Distance from ν = 0, in standard deviations, of the points at which the interpolation is checked: off the nodes."""


@dataclass(frozen=True)
class Nuisance:
    """One ν, by its ``name``: ``nodes`` beside 0, and the ``theory`` that it changes; without any it is of the detector.

    ``value`` and ``error`` are those of its external constraint, ν ~ N(0, 1) unless stated. ``effect`` is what the channel
    has to know of one of the detector, to apply it.

    Raises:
        InputError: there is no node, two are the same, or one is 0 or outside of the range.
    """

    name: str
    nodes: tuple[float, ...]
    theory: TheoryVariation | None = None
    value: float = 0.0
    error: float = 1.0
    effect: Any = None

    def __post_init__(self) -> None:
        if not self.nodes or len({0.0, *self.nodes}) <= len(self.nodes) or max(map(abs, self.nodes)) > RANGE:
            raise InputError(f"nuisance {self.name!r}: nodes are different numbers in [-{RANGE:g}, {RANGE:g}] beside 0")

    @property
    def parameter(self) -> Parameter:
        written = self.name.replace("_", r"\_")
        return Parameter(self.name, (-RANGE, RANGE), symbol=rf"\nu_{{\mathrm{{{written}}}}}", nuisance=True)


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
        powers = [(0,) * len(self), *(self._powers({j: p}) for j, p in self._terms)]
        return PolynomialBasis(self.parameters, (*powers, *(self._powers(dict.fromkeys(pair, 1)) for pair in self._pairs)))

    @property
    def monomials(self) -> int:
        """M."""
        return 1 + len(self._terms) + len(self._pairs)

    @cached_property
    def points(self) -> Array:
        """ν [M, J]: 0, one after the other the nodes of each, and the nodes next to 1 of two together."""
        nodes = [{j: self.entries[j].nodes[p - 1]} for j, p in self._terms]
        nodes += [{j: min(self.entries[j].nodes, key=lambda nu: abs(nu - 1)) for j in pair} for pair in self._pairs]
        points = np.zeros((1 + len(nodes), len(self)))
        for row, at in enumerate(nodes, 1):
            points[row, list(at)] = list(at.values())
        return points

    @cached_property
    def transform(self) -> Array:
        """[M, M]: from values at ``points`` to the coefficients of the monomials."""
        return np.asarray(np.linalg.inv(self.basis.value(self.points)))

    @cached_property
    def checks(self) -> Array:
        """ν [C, J] at a distance of 1.5 standard deviations, all up or down together, and up and down in turn.

        None if all are of the theory, which is nothing but the interpolation.
        """
        if not self.detector:
            return np.zeros((0, len(self)))
        turns = np.where(np.arange(len(self)) % 2, -1.0, 1.0)
        directions = np.unique([np.ones(len(self)), -np.ones(len(self)), turns, -turns], axis=0)
        return np.asarray(_CHECKED / np.sqrt(len(self)) * directions)

    @property
    def widths(self) -> dict[str, float]:
        """How far on both sides of 0 the ν of the detector are drawn for the training, by name: beyond the nodes."""
        entries = [self.entries[j] for j in self.detector]
        return {entry.name: min(RANGE, _BEYOND * max(map(abs, entry.nodes))) for entry in entries}

    @property
    def effects(self) -> dict[str, Any]:
        """The effects of the detector by name."""
        return {self.entries[j].name: self.entries[j].effect for j in self.detector}

    @property
    def detector(self) -> list[int]:
        """Which of them are conditions of transfer and acceptance."""
        return [j for j, entry in enumerate(self.entries) if entry.theory is None]

    def components(self, x_hard: Tensor, nominal: Tensor, points: Array) -> Tensor:
        """s_k(x; ν) at ``points`` [V, J] from x [..., D] and s_k(x) [..., K]: [..., V, K]; several theories add up."""
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
        return change.new_tensor(lagrange) @ change

    def conditions(self, points: Array) -> tuple[Tensor, list[int]]:
        """Different conditions [V, J_detector] among ``points`` [P, J], the nominal one first, and which belongs to each."""
        rows = [tuple(row) for row in points[:, self.detector].tolist()]
        different = list(dict.fromkeys([(0.0,) * len(self.detector), *rows]))
        found = torch.tensor(different, dtype=torch.float64, device="cpu").reshape(len(different), len(self.detector))
        return found, [different.index(row) for row in rows]

    def monomial_components(self, x_hard: Tensor, nominal: Tensor) -> Tensor:
        """What the theory has in the coefficients of the monomials of s_k(x; ν) [N, M, K]; s_k(x) where it has nothing."""
        if not self.entries:
            return nominal[:, None]
        theory = [j for j in range(len(self)) if j not in self.detector]
        points = self.points.copy()
        points[:, self.detector] = 0.0
        found = nominal.new_tensor(self.transform) @ self.components(x_hard, nominal, points)
        for m, power in enumerate(self.basis.powers):
            if not any(power[j] for j in theory):
                found[:, m] = nominal
            elif any(power[j] for j in self.detector):
                (nu,) = points[m][points[m] != 0]
                found[:, m] = (self.components(x_hard, nominal, points[m : m + 1])[:, 0] - nominal) / nu
        return found

    def design(self, hard: HardEvents) -> Tensor:
        """The monomials of the detector's ν [N, M] at which events were simulated; those of the theory are 1.

        Raises:
            InputError: the events were not simulated with these nuisances.
        """
        nu = torch.ones(len(hard), len(self), dtype=torch.float64, device=hard.x.device)
        for j in self.detector:
            nu[:, j] = hard.nuisance(self.entries[j].name)
        return hard.x.new_tensor(self.basis.value(nu.cpu().numpy()))

    def estimators(self, design: Tensor) -> Tensor:
        """Weights [N, M]: means over events with them are least squares in the monomials of the detector's ν [N, M].

        A coefficient of the theory has the weights of the detector's monomial that goes with it, mostly the constant.
        """
        used = sorted(set(self._detector_part))
        x = design[:, used]
        weights = torch.linalg.solve(x.T @ x / len(x), x.T).T
        return weights[:, [used.index(m) for m in self._detector_part]]

    def expected(self, design: Tensor, sigma: Tensor) -> Tensor:
        """What an event contributes on average, [N, M, K], where the coefficients are ``sigma`` [M, K]."""
        used = sorted(set(self._detector_part))
        result = sigma.expand(len(design), -1, -1).clone()
        result[:, used] = (design[:, used] @ sigma[used])[:, None]
        return result

    @cached_property
    def _detector_part(self) -> list[int]:
        """Of each monomial that which is left without the theory's ν."""
        powers = list(self.basis.powers)
        kept = [tuple(p if j in self.detector else 0 for j, p in enumerate(power)) for power in powers]
        return [powers.index(power) for power in kept]

    @cached_property
    def _terms(self) -> list[tuple[int, int]]:
        """(which ν, its power) of every monomial of one ν."""
        return [(j, p) for j, entry in enumerate(self.entries) for p in range(1, len(entry.nodes) + 1)]

    @cached_property
    def _pairs(self) -> list[tuple[int, int]]:
        """Two ν whose effects do not just add up: one of them is of the detector."""
        pairs = combinations(range(len(self)), 2)
        return [(i, j) for i, j in pairs if i in self.detector or j in self.detector]

    def _powers(self, powers: dict[int, int]) -> tuple[int, ...]:
        return tuple(powers.get(j, 0) for j in range(len(self)))


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
