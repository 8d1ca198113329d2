"""The posterior: closed forms, calibration under its own prior, agreement with the profile likelihood for many events."""

import json

import numpy as np
import pytest
from iminuit.cost import NormalConstraint
from likelihood_examples import ANGLE, FALSE_ALARM, MIXTURE, PLANE, RESOLVED, counts, toy_sample
from scipy import stats
from scipy.special import betaln

from bmem.errors import InputError, RangeError
from bmem.inference.bayes import Posterior, Prior, posterior
from bmem.inference.intervals import IntervalSet, profile_intervals
from bmem.inference.minima import fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.process.toy import LinearGaussian

TOY = LinearGaussian()
BINOMIAL = NegativeTwoLogLikelihood(counts(70, 30), np.ones(2), MIXTURE)
BETA = stats.beta(31, 71)


def likelihood(process: LinearGaussian, n: int, theta: float, seed: int) -> NegativeTwoLogLikelihood:
    events = toy_sample(process, n, theta, seed)
    return NegativeTwoLogLikelihood(events, process.fiducial().numpy(), MorphingBasis.of(process))


def angular(density: np.ndarray) -> Posterior:
    """A posterior of an angle with the given density on a grid of its range."""
    points = -np.pi + (np.arange(len(density)) + 0.5) * 2 * np.pi / len(density)
    return Posterior(ANGLE, "any", points, np.log(density / density.sum() * len(density) / (2 * np.pi)), 0.0)


def test_binomial_likelihood_gives_a_beta_posterior() -> None:
    """30 of 100 events, flat prior over (0.001, 0.999): Beta(31, 71); its tails outside of the range are below 1e-15."""
    result = posterior(BINOMIAL)
    x = np.array([0.2, 0.3, 0.35])
    np.testing.assert_allclose(result.below(x), BETA.cdf(x), atol=1e-5)
    assert result.mean == pytest.approx(BETA.mean(), abs=1e-6)
    assert result.std == pytest.approx(BETA.std(), rel=1e-4)
    assert result.mode == pytest.approx(0.3, abs=2e-4)
    ((low, high),) = result.interval(0.683).intervals
    assert BETA.cdf(high) - BETA.cdf(low) == pytest.approx(0.683, abs=2e-4)
    assert BETA.pdf(low) == pytest.approx(BETA.pdf(high), rel=1e-3)
    assert result.probability(IntervalSet(result.parameter, 0.5, ((0.2, 0.3), (0.35, 0.4)))) == pytest.approx(
        BETA.cdf(0.3) - BETA.cdf(0.2) + BETA.cdf(0.4) - BETA.cdf(0.35), abs=1e-5
    )


def test_evidence_is_the_mean_likelihood() -> None:
    """∫ (1 - x)^70 x^30 dx = B(31, 71), over a range of length 0.998."""
    assert posterior(BINOMIAL).log_evidence == pytest.approx(betaln(31, 71) - np.log(0.998), abs=1e-6)


def test_the_prior_enters() -> None:
    """A Beta(5, 3) prior on the same data: Beta(35, 73)."""
    result = posterior(BINOMIAL, Prior("Beta(5, 3)", stats.beta(5, 3).logpdf))
    np.testing.assert_allclose(result.below([0.3]), stats.beta(35, 73).cdf([0.3]), atol=1e-5)
    assert result.prior == "Beta(5, 3)"


def test_a_constraint_is_the_same_as_a_gaussian_prior() -> None:
    summed = posterior(BINOMIAL + NormalConstraint("share", 0.4, 0.05))
    prior = posterior(BINOMIAL, Prior("Gaussian", stats.norm(0.4, 0.05).logpdf))
    np.testing.assert_allclose(summed.masses, prior.masses, atol=1e-12)


def test_mass_above_is_the_level_that_just_holds_a_value() -> None:
    result = posterior(BINOMIAL)
    ((low, high),) = result.interval(0.683).intervals
    assert result.mass_above(low) == pytest.approx(0.683, abs=2e-3)
    assert result.mass_above(high) == pytest.approx(0.683, abs=2e-3)
    assert result.mass_above(result.mode) == 0.0


def test_excluded_values_have_no_probability() -> None:
    prior = Prior("from 0.3 on", lambda x: np.where(x > 0.3, 0.0, -np.inf))
    result = posterior(BINOMIAL, prior)
    assert result.below(0.3) < 1e-3
    assert result.below(0.35) == pytest.approx((BETA.cdf(0.35) - BETA.cdf(0.3)) / BETA.sf(0.3), abs=1e-3)
    ((low, _),) = result.interval(0.9).intervals
    assert low == pytest.approx(0.3, abs=2e-4)


def test_draws_have_the_distribution() -> None:
    draws = posterior(BINOMIAL).sample(2000, np.random.default_rng(1))
    assert stats.kstest(draws, BETA.cdf).pvalue > FALSE_ALARM


def test_calibrated_under_its_prior() -> None:
    """Truths from the flat prior, 50 events each, 200 times: ranks uniform (Kolmogorov-Smirnov), regions hold 68.3 and
    95.4 % of the truths (binomial); false alarm 2e-5 for each of the three."""
    truths = np.random.default_rng(1).uniform(-np.pi, np.pi, 200)
    results = [posterior(likelihood(TOY, 50, t, seed), points=720) for seed, t in enumerate(truths)]
    ranks = [float(r.below(t)) for r, t in zip(results, truths, strict=True)]
    assert stats.kstest(ranks, "uniform").pvalue > FALSE_ALARM
    for level in (0.683, 0.954):
        held = sum(bool(r.interval(level).contains(t)) for r, t in zip(results, truths, strict=True))
        assert stats.binomtest(held, len(truths), level).pvalue > FALSE_ALARM


def test_agrees_with_the_profile_likelihood_for_many_events() -> None:
    objective = likelihood(RESOLVED, 4000, 0.8, seed=2)
    region = profile_intervals(objective, fit(objective), (0.683,))[0]
    ((low, high),) = region.intervals
    result = posterior(objective)
    np.testing.assert_allclose(result.interval(0.683).intervals, [(low, high)], atol=0.02 * (high - low))
    assert result.probability(region) == pytest.approx(0.683, abs=0.01)


def test_two_modes_give_two_pieces_of_the_stated_probability() -> None:
    x = angular(np.ones(7200)).points
    result = angular(np.exp(30 * np.cos(x - 1)) + np.exp(30 * np.cos(x + 1)))
    region = result.interval(0.683)
    assert len(region.intervals) == 2
    assert result.probability(region) == pytest.approx(0.683, abs=1e-4)
    assert result.mean == pytest.approx(0.0, abs=1e-9)


def test_region_around_the_end_of_the_period_is_one_piece() -> None:
    """A von Mises posterior about π: its mean, its circular spread and the probability of its own region."""
    result = angular(np.exp(20 * (np.cos(angular(np.ones(7200)).points - np.pi) - 1)))
    region = result.interval(0.954)
    assert len(region.intervals) == 1
    assert bool(region.contains(np.pi))
    assert result.probability(region) == pytest.approx(0.954, abs=1e-4)
    assert abs(np.angle(np.exp(1j * (result.mean - np.pi)))) < 1e-9
    assert result.std == pytest.approx(np.sqrt(-2 * np.log(stats.vonmises(20).expect(np.cos))), rel=1e-3)


def test_replicas_are_averaged_with_equal_weights() -> None:
    """Whatever the events say of their normalisation; a constraint is a part of the prior."""
    replicas = [likelihood(TOY, 40, 0.5, seed=3), likelihood(TOY, 40, 0.5, seed=4)]
    each = [posterior(replica) for replica in replicas]
    average = posterior(MarginalLikelihood(replicas))
    np.testing.assert_allclose(average.masses, np.mean([r.masses for r in each], axis=0), rtol=1e-9, atol=1e-15)
    assert average.log_evidence == pytest.approx(np.mean([r.log_evidence for r in each]))
    assert abs(each[0].log_evidence - each[1].log_evidence) > 1
    known = NormalConstraint("theta", 0.5, 0.3)
    constrained = [posterior(replica + known, points=720).masses for replica in replicas]
    found = posterior(MarginalLikelihood(replicas) + known, points=720).masses
    np.testing.assert_allclose(found, np.mean(constrained, axis=0), rtol=1e-9, atol=1e-15)


def test_survives_json() -> None:
    result = posterior(BINOMIAL, Prior("from 0.3 on", lambda x: np.where(x > 0.3, 0.0, -np.inf)), 2000)
    again = Posterior.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.log_density, result.log_density)
    assert again.interval(0.5) == result.interval(0.5)
    with pytest.raises(InputError, match="not the dictionary"):
        Posterior.from_dict({"prior": "flat"})


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="excludes every value"):
        posterior(BINOMIAL, Prior("nothing", lambda x: np.full_like(x, -np.inf)))
    with pytest.raises(InputError, match="one parameter"):
        posterior(NegativeTwoLogLikelihood(counts(60, 20, 20), np.ones(3), PLANE))
    with pytest.raises(InputError, match="needs a likelihood"):
        posterior(NormalConstraint("share", 0.4, 0.05))
    with pytest.raises(InputError, match="between 0 and 1"):
        posterior(BINOMIAL).interval(1.0)


def test_a_narrow_posterior_is_interpolated() -> None:
    """3000 of 10000 events on 500 cells, σ of 2.3 cells: Beta(3001, 7001); around the period as on a fine grid."""
    result, beta = (
        posterior(NegativeTwoLogLikelihood(counts(7000, 3000), np.ones(2), MIXTURE), points=500),
        stats.beta(3001, 7001),
    )
    assert len(result.points) > 2000
    assert result.mean == pytest.approx(beta.mean(), abs=0.001 * beta.std())
    assert result.std == pytest.approx(beta.std(), rel=1e-3)
    ((low, high),) = result.interval(0.683).intervals
    assert beta.cdf(high) - beta.cdf(low) == pytest.approx(0.683, abs=2e-3)
    objective = likelihood(RESOLVED, 1000, np.pi, seed=8)
    coarse, fine = posterior(objective, points=180).interval(0.683), posterior(objective).interval(0.683)
    np.testing.assert_allclose(coarse.intervals, fine.intervals, atol=0.01 * fine.length)


def test_a_grid_that_is_too_coarse_is_refused_and_the_advice_helps() -> None:
    with pytest.raises(RangeError, match=r"too narrow for 20 points .* take about (\d+)") as error:
        posterior(BINOMIAL, points=20)
    points = int(str(error.value).split("about ")[1].split(",")[0])
    assert points < 200
    assert posterior(BINOMIAL, points=points).mean == pytest.approx(BETA.mean(), abs=1e-4)
