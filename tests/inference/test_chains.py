"""NUTS draws from the posterior that the grid knows exactly, and from closed forms of several parameters."""

import numpy as np
import pytest
import torch
from likelihood_examples import FALSE_ALARM, MIXTURE, PLANE, RESOLVED, counts, toy_sample
from scipy import stats

from bmem.errors import InputError
from bmem.inference.bayes import posterior
from bmem.inference.nuts import JointPrior, draw_chains
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.replicas.nuts_density import SamplerSettings, sample_nuts

SETTINGS = SamplerSettings(chains=2, draws=210, warm_up=60)
BINOMIAL = NegativeTwoLogLikelihood(counts(7, 3), np.ones(2), MIXTURE)
THINNED = 3
"""Draws of NUTS are nearly independent; every third one is, for these posteriors."""


def thinned(samples: np.ndarray) -> np.ndarray:
    return samples[:, ::THINNED].reshape(-1, samples.shape[-1])


def test_agrees_with_the_grid_around_the_end_of_the_period() -> None:
    """Kolmogorov-Smirnov of 140 thinned draws against the distribution of the grid; false alarm 2e-5."""
    events = toy_sample(RESOLVED, 60, np.pi, seed=3)
    objective = NegativeTwoLogLikelihood(events, RESOLVED.fiducial().numpy(), MorphingBasis.of(RESOLVED))
    chains = draw_chains(objective, seed=1, settings=SETTINGS)
    assert chains.samples.shape == (2, 210, 1)
    assert np.abs(chains.samples).max() <= np.pi
    draws = thinned(chains.samples)[:, 0]
    assert (draws > 0).any()
    assert (draws < 0).any()
    assert stats.kstest(draws, posterior(objective).below).pvalue > FALSE_ALARM


def test_bounded_parameter_and_prior_give_a_beta_posterior() -> None:
    """0 of 2 events under the prior (1 - x)⁶: Beta(1, 9) from 0.001 on, which leans against the bound; false alarm 2e-5.

    Without the Jacobian of the logistic scale half of the draws would lie below 0.01, without the prior above 0.2.
    """
    prior = JointPrior("Beta(1, 7)", lambda x: 6 * torch.log1p(-x).sum())
    objective = NegativeTwoLogLikelihood(counts(2, 0), np.ones(2), MIXTURE)
    chains = draw_chains(objective, seed=2, prior=prior, settings=SETTINGS)
    assert chains.prior == "Beta(1, 7)"
    np.testing.assert_allclose(chains.log_posterior, 8 * np.log1p(-chains.samples[..., 0]), rtol=1e-12)
    draws, beta = thinned(chains.samples)[:, 0], stats.beta(1, 9)
    assert stats.kstest(draws, lambda x: 1 - beta.sf(x) / beta.sf(0.001)).pvalue > FALSE_ALARM


@pytest.mark.slow
def test_two_parameters_give_a_dirichlet_posterior() -> None:
    """Counts (60, 20, 20): Dirichlet(61, 21, 21), whose margins are Beta(21, 82) up to tails beyond the bounds of 0.1 %."""
    objective = NegativeTwoLogLikelihood(counts(60, 20, 20), np.ones(3), PLANE)
    draws = thinned(draw_chains(objective, seed=3, settings=SETTINGS).samples)
    for column in draws.T:
        assert stats.kstest(column, stats.beta(21, 82).cdf).pvalue > FALSE_ALARM
    expected = -np.sqrt(21 * 21 / (82 * 82))
    correlation = np.corrcoef(draws.T)[0, 1]
    assert abs(np.arctanh(correlation) - np.arctanh(expected)) < stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(len(draws) - 3)


@pytest.mark.filterwarnings("ignore:the chains are not yet:bmem.errors.TrustWarning")
def test_seeded() -> None:
    short = SamplerSettings(chains=2, draws=20, warm_up=10)
    first, again, other = (draw_chains(BINOMIAL, seed, settings=short).samples for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="draws must be at least 4"):
        SamplerSettings(draws=1)
    with pytest.raises(InputError, match="1 starts for 2 chains"):
        sample_nuts(lambda z: -(z**2).sum(), torch.zeros(1, 1), SETTINGS, 1)
    with pytest.raises(InputError, match="density vanishes at a start"):
        draw_chains(BINOMIAL, seed=1, prior=JointPrior("nothing", lambda x: torch.tensor(-torch.inf)))
