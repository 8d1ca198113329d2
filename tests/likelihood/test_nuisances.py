"""Nuisance parameters in the master formula, on the linear-Gaussian toy where integrals and σ_k at every ν are known.

Statistical tests are seeded; each rejects with a probability of ``FALSE_ALARM``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_toy import BroadProposal, ExactTransfer
from scipy import stats
from torch import Tensor
from varied_toy import SHIFTED, observed, shift, shifted

from bmem.errors import InputError
from bmem.events.record import HardEvents, Objects, PairedEvents, RecoEvents
from bmem.integration.importance import integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.cross_section import (
    counted_cross_section,
    mixture_coefficients,
    simulated_cross_section,
    with_learned_detector,
)
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.nuisances import NONE, Nuisance, Nuisances, interpolation_error
from bmem.networks.contract import Classifier
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.rng import generator, uniform

FALSE_ALARM = 2e-5
TOY = LinearGaussian()
SMEARING, EFFICIENCY = Nuisance("scale", (-2.0, -1.0, 1.0, 2.0)), Nuisance("efficiency", (-1.0, 1.0))
BOTH = Nuisances((shift(), SMEARING, EFFICIENCY))


def efficiency(nu: Tensor) -> Tensor:
    """A polynomial of second degree, so that its interpolation is exact."""
    return 0.5 + 0.1 * nu + 0.03 * nu**2


class VariedTransfer(ExactTransfer):
    """The response with x_reco moved by 0.1 ν along x; the condition is (x_hard, ν, another ν)."""

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        moved = x - 0.1 * torch.stack([condition[..., 2], 0 * condition[..., 2]], -1)
        return super().log_prob(moved, condition[..., :2])


class VariedEfficiency(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones((), dtype=torch.float64))

    def logit(self, features: Tensor) -> Tensor:
        return torch.logit(efficiency(features[..., 3])) * self.one


def exact(x: Tensor, nu: tuple[float, float, float]) -> np.ndarray:
    """I_k [N, 3] at ν."""
    moved = x - torch.tensor([0.1 * nu[1], 0.0], dtype=torch.float64)
    return (efficiency(torch.tensor(nu[2])) * shifted(nu[0]).integrals(moved)).numpy()


def test_monomials_go_through_the_nodes() -> None:
    assert BOTH.monomials == len(BOTH.points) == 14
    assert [p.name for p in BOTH.parameters] == ["shift", "scale", "efficiency"]
    assert all(p.nuisance for p in BOTH.parameters)
    np.testing.assert_allclose(BOTH.basis.value(BOTH.points) @ BOTH.transform, np.eye(14), atol=1e-12)
    assert BOTH.basis.value(np.zeros(3)).tolist() == [1.0] + [0.0] * 13


def test_integrals_at_nodes_share_their_points_and_are_those_of_the_closed_form() -> None:
    """Pulls of the interpolated I_k at each node of 100 events: χ² with 300 degrees of freedom, at 14 nodes."""
    x = observed(100, 0.8, 0.0, seed=1)
    networks = Replicas.of(VariedTransfer(TOY)), Replicas.of(VariedEfficiency())
    function = Integrand(TOY, *networks, BroadProposal(TOY), x, BOTH)
    settings = IntegrationSettings(min_points=1024, max_points=1024)
    reference = torch.zeros(3 * (BOTH.monomials + len(BOTH.checks)), dtype=torch.float64)
    reference[:3] = mixture_coefficients(TOY)
    found = integrate(function, len(x), reference, settings, seed=2)
    used = 3 * BOTH.monomials
    for point in BOTH.points:
        weights = np.kron(BOTH.basis.value(point), np.eye(3))
        values = found.values[0, :, :used] @ weights.T
        variances = np.einsum("ki,nij,kj->nk", weights, found.covariance[0, :, :used, :used], weights)
        pulls = (values - exact(x, tuple(point))) / np.sqrt(variances)
        assert FALSE_ALARM / 28 < stats.chi2(pulls.size).sf(np.square(pulls).sum()) < 1 - FALSE_ALARM / 28
    at_checks = found.values[..., used:].reshape(1, len(x), len(BOTH.checks), 3)
    b = TOY.basis(torch.tensor([[0.8]], dtype=torch.float64)).numpy()
    error = interpolation_error(at_checks, found.values[..., :used], BOTH, list(b))
    assert 0 < np.median(error) < 0.05  # of effects that are no polynomials; without the pairs 0.065


def test_no_nuisance_parameter_is_the_nominal_formula() -> None:
    x = observed(20, 0.8, 0.0, seed=1)
    arguments = TOY, Replicas.of(ExactTransfer(TOY)), Replicas.of(VariedEfficiency())
    assert Integrand(*arguments, BroadProposal(TOY), x).nuisances is NONE
    assert NONE.monomials == 1
    assert not len(NONE.checks)


def simulated(n: int, seed: int, nuisances: Nuisances, repeats: int = 1) -> PairedEvents:
    """Hard events uniform in θ, with ν uniform in [-2, 2] for each, accepted with the efficiency."""
    rng = generator(seed, "pairs")
    theta = 2 * torch.pi * uniform((n, 1), rng, torch.zeros(1, dtype=torch.float64)) - torch.pi
    hard = TOY.sample(n, theta, rng).repeat(repeats)
    names = [nuisances.entries[j].name for j in nuisances.detector]
    drawn = 4 * uniform((len(hard), len(names)), rng, hard.x) - 2
    hard = replace(hard, nuisances=dict(zip(names, drawn.unbind(-1), strict=True)))
    last = drawn[:, -1] if names else torch.zeros(len(hard), dtype=torch.float64)
    accepted = uniform((len(hard),), rng, hard.x) < efficiency(last)
    kept = int(accepted.sum())
    objects = Objects(torch.zeros(kept, 1, 1), torch.ones(kept, 1, dtype=torch.bool), ("x",))
    return PairedEvents(hard, accepted, RecoEvents({"observed": objects}))


@pytest.mark.parametrize("repeats", [1, 3])
def test_sigma_is_counted_with_the_right_errors(repeats: int) -> None:
    """Of 100 simulations the χ² of σ at ν of the efficiency, where the shift changes nothing: two-sided."""
    known = np.zeros((BOTH.monomials, 3))
    powers: dict[tuple[int, ...], float] = {(0, 0, 0): 0.5, (0, 0, 1): 0.1, (0, 0, 2): 0.03}
    for m, power in enumerate(BOTH.basis.powers):
        known[m] = powers.get(tuple(power), 0.0) * TOY.strengths.numpy()
    kept = [m for m, power in enumerate(BOTH.basis.powers) if power[0] == 0]
    total, count = 0.0, 0
    for seed in range(100):
        sigma, covariance = simulated_cross_section(TOY, simulated(2000, seed, BOTH, repeats), BOTH)
        rows = [3 * m + k for m in kept for k in range(3)]
        difference = (sigma - known.ravel())[rows]
        total += float(difference @ np.linalg.solve(covariance[np.ix_(rows, rows)], difference))
        count += len(rows)
    assert FALSE_ALARM / 2 < stats.chi2(count).cdf(total) < 1 - FALSE_ALARM / 2


class WrongEfficiency(VariedEfficiency):
    """1.1 times too large at ν = 0, and more so elsewhere; the condition is (x_hard, ν)."""

    def logit(self, features: Tensor) -> Tensor:
        nu = features[..., 2]
        return torch.logit(1.1 * efficiency(nu) * (1 + 0.05 * nu)) * self.one


def test_what_is_learned_of_the_detector_is_normalised_by_itself() -> None:
    """σ(ν)/σ(0) is that of the wrong acceptance, which every event has too, and σ(0) the counted one."""
    own = Nuisances((EFFICIENCY,))
    pairs = simulated(2000, 1, own)
    counted = counted_cross_section(TOY, pairs, 1, seed=1, resamples=2, nuisances=own)
    acceptance = Replicas.of(WrongEfficiency())
    found = with_learned_detector(TOY, counted, acceptance, pairs.hard, own)
    np.testing.assert_array_equal(found.values[:, :3], counted.values[:, :3])
    assert not found.covariance[0, 3:].any()
    mixture = mixture_coefficients(TOY).numpy()
    for nu in (-1.0, 1.0):  # the nodes
        sigma = np.kron(own.basis.value([nu]), np.eye(3)) @ found.values[0] @ mixture
        expected = efficiency(torch.tensor(nu)) * (1 + 0.05 * nu) / 0.5
        assert sigma / (found.values[0, :3] @ mixture) == pytest.approx(float(expected), rel=1e-6)
    theory = counted_cross_section(TOY, pairs, 1, seed=1, nuisances=SHIFTED)
    assert with_learned_detector(TOY, theory, acceptance, pairs.hard, SHIFTED) is theory


def test_sigma_of_the_theory_is_that_of_weights() -> None:
    """σ_k(ν) of a shift is constant but for the events at hand; with the efficiency 0.56 of |ν| ≤ 2 on average."""
    sigma, covariance = simulated_cross_section(TOY, simulated(20_000, 1, SHIFTED), SHIFTED)
    b = np.kron(SHIFTED.basis.value([1.0]), np.eye(3))
    difference = b @ sigma - 0.5 * TOY.strengths.numpy()
    assert stats.chi2(3).sf(difference @ np.linalg.solve(b @ covariance @ b.T, difference)) > FALSE_ALARM


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="names of nuisance parameters must differ"):
        Nuisances((shift(), shift()))
    for nodes in ((), (0.0, 1.0), (1.0, 1.0), (5.0,)):
        with pytest.raises(InputError, match="different numbers"):
            Nuisance("x", nodes)
    hard = HardEvents(torch.zeros(2, 2), torch.zeros(2, 1), torch.ones(2))
    with pytest.raises(InputError, match="without the nuisance 'scale'"):
        BOTH.design(hard)
