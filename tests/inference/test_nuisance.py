"""One parameter with the others integrated out: against quadrature, exact derivatives, draws of the joint posterior.

Statistical tests are seeded; each rejects with a probability of ``FALSE_ALARM``.
"""

import numpy as np
import pytest
from derivatives import assert_exact
from iminuit.cost import NormalConstraint
from likelihood_examples import FALSE_ALARM, PLANE, RESOLVED, counts, toy_sample
from scipy import integrate, stats

from bmem.errors import InputError
from bmem.inference.bayes import posterior
from bmem.inference.constraints import Joint
from bmem.inference.nuisance import Marginalised
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.inference.scale import with_fractions
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter

FRACTION = Parameter("f_b", (1e-4, 0.99))
EVENTS = counts(30, 12, 8)
"""-2 log L = -2 Σ n_k log b_k, of x and y in a plane."""


@pytest.fixture(scope="module")
def plane() -> NegativeTwoLogLikelihood:
    return NegativeTwoLogLikelihood(EVENTS, np.ones(3), PLANE)


@pytest.fixture(scope="module")
def mixture() -> NegativeTwoLogLikelihood:
    """60 toy events with a background of constant density: α and its fraction."""
    signal = toy_sample(RESOLVED, 60, 0.8, seed=4)
    sigma = RESOLVED.fiducial().numpy()
    rng = np.random.default_rng(5)
    integrals = np.concatenate([signal, np.exp(-3 + 0.3 * rng.normal(size=(60, 1))) * sigma], axis=1)
    basis = with_fractions(MorphingBasis.of(RESOLVED), [FRACTION])
    return NegativeTwoLogLikelihood(integrals, np.tile(sigma, 2), basis)


def test_value_is_the_integral(plane: NegativeTwoLogLikelihood) -> None:
    """Differences of the marginal agree with adaptive quadrature to 1e-4."""
    marginal, points = Marginalised(plane), np.array([0.15, 0.24, 0.3])

    def quadrature(x: float) -> float:
        low, high = PLANE.parameters[1].bounds
        return integrate.quad(lambda y: np.exp(-plane.value([x, y]) / 2 + 50), low, high, epsabs=0, epsrel=1e-10)[0]

    exact = -2 * np.log([quadrature(x) for x in points])
    np.testing.assert_allclose(np.diff(marginal.value(points[:, None])), np.diff(exact), atol=1e-4)


def test_derivatives(plane: NegativeTwoLogLikelihood, mixture: NegativeTwoLogLikelihood) -> None:
    assert_exact(Marginalised(plane), [0.2])
    assert_exact(Marginalised(mixture), [0.7])


def test_constraints_take_part(mixture: NegativeTwoLogLikelihood) -> None:
    """A fraction that is known very well leaves the likelihood at that fraction."""
    known = Marginalised(Joint([mixture], [NormalConstraint("f_b", 0.2, 1e-3)]))
    alpha = np.linspace(0.2, 1.4, 5)
    fixed = mixture.value(np.stack([alpha, np.full(5, 0.2)], -1))
    np.testing.assert_allclose(np.diff(known.value(alpha[:, None])), np.diff(fixed), atol=2e-3)


def test_draws_have_the_joint_posterior(mixture: NegativeTwoLogLikelihood) -> None:
    """4000 draws: α as the marginal posterior says (Kolmogorov-Smirnov), the fraction as that of the other order."""
    marginal = Marginalised(mixture)
    chains = marginal.draws(2, 2000, np.random.default_rng(6), "flat")
    alpha, fraction = chains.samples.reshape(-1, 2).T
    found = posterior(marginal, points=1440)
    assert stats.kstest(alpha, found.below).pvalue > FALSE_ALARM
    a, f = np.linspace(-np.pi, np.pi, 721)[:-1], np.linspace(*FRACTION.bounds, 400)
    grid = np.exp(-(mixture.value(np.stack(np.meshgrid(a, f, indexing="ij"), -1)) - mixture.value([0.8, 0.2])) / 2)
    cumulative = np.cumsum(grid.sum(0)) / grid.sum()
    assert stats.kstest(fraction, lambda x: np.interp(x, f, cumulative - grid.sum(0) / grid.sum() / 2)).pvalue > FALSE_ALARM
    np.testing.assert_allclose(chains.log_posterior[0, 0], -mixture.value(chains.samples[0, 0]) / 2)


def test_replicas_are_averaged_first(mixture: NegativeTwoLogLikelihood) -> None:
    twice = MarginalLikelihood([mixture, mixture])
    points = np.array([[0.3], [0.9]])
    np.testing.assert_allclose(Marginalised(twice).value(points), Marginalised(mixture).value(points), atol=1e-9)


def test_one_parameter_has_no_others() -> None:
    one = NegativeTwoLogLikelihood(toy_sample(RESOLVED, 5, 0.8, 1), RESOLVED.fiducial().numpy(), MorphingBasis.of(RESOLVED))
    with pytest.raises(InputError, match="0 parameters cannot be integrated out"):
        Marginalised(one)
