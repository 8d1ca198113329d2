"""Sums of processes that share a parameter: definition, derivatives, and a fit that is unbiased only with both."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.calibration.composition import ByShares, Rate
from bmem.calibration.population import Population, SourceEvents
from bmem.calibration.reweighted import Reweighted
from bmem.errors import InputError
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.inference.processes import SharedSum, joined_processes
from bmem.inference.scale import with_strength
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

FALSE_ALARM = 2e-5
SIGNAL = LinearGaussian(phases=(0.0, 2.1, -2.1))
OTHER = LinearGaussian(phases=(1.0, 3.0, -1.0), strengths=(0.5, 0.3, 0.4), modulation=(0.5, 0.4, 0.5))
"""A background whose shape and rate depend on θ in another way."""
STRENGTH = Parameter("mu_other", (0.1, 3.0))
OWN, ADDED = MorphingBasis.of(SIGNAL), with_strength(MorphingBasis.of(OTHER), STRENGTH)
TRUTH = 0.8


def coefficients(process: LinearGaussian, x: torch.Tensor) -> Coefficients:
    return Coefficients.exact(process.integrals(x).numpy(), process.fiducial().numpy())


def both(x: torch.Tensor) -> tuple[Coefficients, SharedSum]:
    return joined_processes([(coefficients(SIGNAL, x), OWN), (coefficients(OTHER, x), ADDED)])


def made(process: LinearGaussian, n: int, seed: int) -> torch.Tensor:
    rng = generator(seed, "processes")
    return process.response(process.sample(n, torch.tensor([TRUTH], dtype=torch.float64), rng).x, rng)


def sample(n: int, seed: int) -> torch.Tensor:
    rates = [float(p.basis(torch.tensor([TRUTH], dtype=torch.float64)) @ p.fiducial()) for p in (SIGNAL, OTHER)]
    signal = int(np.random.default_rng(seed).binomial(n, rates[0] / sum(rates)))
    return torch.cat([made(SIGNAL, signal, seed), made(OTHER, n - signal, seed)])


def test_sum_is_the_definition() -> None:
    x = sample(30, 1)
    joined, basis = both(x)
    assert [p.name for p in basis.parameters] == ["theta", "mu_other"]
    theta = torch.tensor([0.4], dtype=torch.float64)
    parts = [p.integrals(x) @ p.basis(theta) for p in (SIGNAL, OTHER)]
    sigma = [float(p.fiducial() @ p.basis(theta)) for p in (SIGNAL, OTHER)]
    expected = -2 * np.log(((parts[0] + 0.7 * parts[1]) / (sigma[0] + 0.7 * sigma[1])).numpy()).sum()
    assert float(NegativeTwoLogLikelihood.of(joined, basis).value([0.4, 0.7])) == pytest.approx(expected, rel=1e-12)


def test_derivatives_are_those_of_the_values() -> None:
    basis, theta, steps = SharedSum([OWN, ADDED]), np.array([0.4, 0.7]), 1e-5 * np.eye(2)
    for i, step in enumerate(steps):
        slope = (basis.value(theta + step) - basis.value(theta - step)) / 2e-5
        np.testing.assert_allclose(basis.gradient(theta)[i], slope, atol=1e-9)
        bend = (basis.gradient(theta + step) - basis.gradient(theta - step)) / 2e-5
        np.testing.assert_allclose(basis.hessian(theta)[i], bend, atol=1e-9)


def test_fit_is_unbiased_with_both_and_biased_without() -> None:
    """4000 events, 4.3 standard deviations (2e-5)."""
    x = sample(4000, 2)
    limit = stats.norm.isf(FALSE_ALARM / 2)
    found = fit(NegativeTwoLogLikelihood.of(*both(x))).nearest([TRUTH, 1.0])
    assert abs(found.theta[0] - TRUTH) < limit * found.error[0]
    alone = fit(NegativeTwoLogLikelihood.of(coefficients(SIGNAL, x), OWN)).nearest([TRUTH])
    assert abs(alone.theta[0] - TRUTH) > limit * alone.error[0]


def test_population_draws_both_at_any_value() -> None:
    """Events of both processes made at 0.8 and drawn at -1: shares, and the mean density of the other; 2e-5 over two."""
    theta, sources, rates = torch.tensor([TRUTH], dtype=torch.float64), [], []
    for number, (process, basis) in enumerate(((SIGNAL, OWN), (OTHER, MorphingBasis.of(OTHER)))):
        rng = generator(number, "population")
        hard = process.sample(4000, theta, rng).x
        s, x = process.components(hard).numpy(), process.response(hard, rng)
        sigma, b = process.fiducial().numpy(), process.basis(theta).numpy()
        joined = both(x)[0]
        sources.append(SourceEvents(joined, {}, Reweighted(basis, s / (s @ b)[:, None] * (b @ sigma), sigma)))
        rates.append(Rate(OWN if number == 0 else ADDED, sigma, (0,) if number == 0 else (0, 1)))
    p = Population.of(sources, lambda c, _: Hypothesis.of(c, SharedSum([OWN, ADDED])), ByShares(50, rates), [1.0])
    true = p.full(-1.0, p.nominal)
    rows, _ = p.draw(true, 400, np.random.default_rng(3))
    there = torch.tensor([-1.0], dtype=torch.float64)
    accepted = [float(q.basis(there) @ q.fiducial()) for q in (SIGNAL, OTHER)]
    share, limit = accepted[1] / sum(accepted), stats.norm.isf(FALSE_ALARM / 4)
    drawn = np.isin(rows, p.sources[1].rows)
    assert abs(drawn.mean() - share) < limit * np.sqrt(share * (1 - share) / rows.size)
    rng = generator(9, "direct")
    direct = OTHER.integrals(OTHER.response(OTHER.sample(4000, there, rng).x, rng)).numpy()[:, 0]
    own = p.integrals[rows[drawn]][:, 3]
    error = np.sqrt(direct.var() / 4000 + own.var() / min(4000, drawn.sum()))
    assert abs(own.mean() - direct.mean()) < limit * error


def test_what_does_not_fit_together_is_refused() -> None:
    x = sample(20, 4)
    c = coefficients(SIGNAL, x)
    with pytest.raises(InputError, match="differ in"):
        joined_processes([(c, OWN), (c.select(slice(0, 10)), ADDED)])
    with pytest.raises(InputError, match="at least one"):
        joined_processes([])
    narrow = MorphingBasis((replace(SIGNAL.parameters[0], bounds=(0.0, 2 * np.pi)),), SIGNAL.basis)
    with pytest.raises(InputError, match="theta has the ranges"):
        SharedSum([OWN, narrow])
