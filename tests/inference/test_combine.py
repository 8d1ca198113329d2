"""The uncertainty budget: each source against a spread that is known because the test made it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from likelihood_examples import ANGLE, FALSE_ALARM, RESOLVED, YUKAWA, toy_sample
from scipy import stats

from bmem.inference.combine import Spread, budget, estimates_needed, linear_covariance, spread
from bmem.inference.minima import FitResult, Minimum, fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian

BASIS = MorphingBasis.of(RESOLVED)
FIDUCIAL = RESOLVED.fiducial().numpy()
TRUTH, N, K = 2.2, 200, 3
EXACT = toy_sample(RESOLVED, N, TRUTH, seed=11)


def measured(replicas: int = 1, resamples: int = 0, relative: float = 0.1, network: float = 0.0) -> Coefficients:
    """Integrals with a common and an own Gaussian error per event of size ``relative``, σ_k known to 1 %, and ``network`` a
    relative error of σ_k that differs between replicas."""
    rng = np.random.default_rng(1)
    mixing = relative * EXACT[:, :, None] * (np.eye(K) + 0.5)
    covariance = np.tile(mixing @ np.swapaxes(mixing, -1, -2), (replicas, 1, 1, 1))
    fiducial = FIDUCIAL * (1 + network * rng.normal(size=(replicas, K)))
    sizes = 0.01 * FIDUCIAL
    bootstrap = EXACT + np.einsum("nkl,rbnl->rbnk", mixing, rng.normal(size=(replicas, resamples, N, K)))
    fiducial_bootstrap = fiducial[:, None] + sizes * rng.normal(size=(replicas, resamples, K))
    return Coefficients(
        values=np.tile(EXACT, (replicas, 1, 1)),
        covariance=covariance,
        fiducial=fiducial,
        fiducial_covariance=np.tile(np.diag(sizes**2), (replicas, 1, 1)),
        bootstrap=bootstrap if resamples else None,
        fiducial_bootstrap=fiducial_bootstrap if resamples else None,
    )


def test_linear_propagation_is_the_spread_of_resamples():
    """400 resamples: std² is χ² with 399 degrees of freedom (false-alarm rate 4e-5); integrals known to 4 %
    keep the second order below 3 % of it."""
    _, result = budget(measured(resamples=400, relative=0.04), BASIS)
    ratio = (result.integration.std[0] / result.integration_linear[0]) ** 2
    assert stats.chi2.sf(399 * ratio / 1.03**2, 399) > FALSE_ALARM
    assert stats.chi2.cdf(399 * ratio * 1.03**2, 399) > FALSE_ALARM
    assert result.integration.n == 400
    assert result.integration.switched == 0
    assert abs(result.integration.mean[0]) < 0.5 * result.integration.std[0]


def test_integration_errors_are_those_of_repeated_integrations():
    """The linear error against the scatter of estimates from 300 independent integrations, χ² at false-alarm rate 4e-5."""
    coefficients = measured(relative=0.04)
    objective = NegativeTwoLogLikelihood.of(coefficients, BASIS)
    rng = np.random.default_rng(5)
    roots = np.linalg.cholesky(coefficients.covariance[0])
    estimates = [
        fit(
            objective.with_integrals(
                EXACT + np.einsum("nkl,nl->nk", roots, rng.normal(size=(N, K))),
                FIDUCIAL * (1 + 0.01 * rng.normal(size=K)),
            )
        ).theta[0]
        for _ in range(300)
    ]
    theta = fit(objective).theta
    covariance = coefficients.covariance[0], coefficients.fiducial_covariance[0]
    ratio = np.var(estimates, ddof=1) / linear_covariance(objective, theta, *covariance)[0, 0]
    assert stats.chi2.sf(299 * ratio / 1.03**2, 299) > FALSE_ALARM
    assert stats.chi2.cdf(299 * ratio * 1.03**2, 299) > FALSE_ALARM


def test_a_single_replica_has_no_network_error():
    objective, result = budget(measured(), BASIS)
    assert result.network is None
    assert result.integration is None
    assert "not evaluated" in str(result)
    alone = fit(NegativeTwoLogLikelihood.of(measured(), BASIS))
    assert result.estimate.theta == pytest.approx(alone.theta, abs=1e-9)
    assert result.statistical == alone.best.error
    expected = np.hypot(result.statistical[0], result.integration_linear[0])
    assert result.total[0] == pytest.approx(expected)
    assert len(objective.replicas) == 1


def test_replicas_spread_by_their_own_amount():
    """Ten replicas whose σ_k differ: the network error is the spread of the ten estimates, nothing else."""
    coefficients = measured(replicas=10, network=0.1)
    _, result = budget(coefficients, BASIS)
    estimates = [fit(NegativeTwoLogLikelihood.of(coefficients, BASIS, r)).theta[0] for r in range(10)]
    assert result.network.n == 10
    assert result.network.std[0] == pytest.approx(np.std(estimates, ddof=1))
    assert result.network.mean[0] == pytest.approx(np.mean(estimates) - result.estimate.theta[0])
    assert result.total[0] > result.statistical[0]
    equal = budget(measured(replicas=3), BASIS)[1]
    assert equal.network.std[0] == pytest.approx(0, abs=1e-9)


def test_the_statistical_error_holds_no_network_error():
    """It is the mean of the replicas' own errors, not the curvature of the marginal likelihood."""
    marginal, result = budget(measured(replicas=10, network=0.1), BASIS)
    alone = [fit(replica).error[0] for replica in marginal.replicas]
    assert result.statistical[0] == pytest.approx(np.sqrt(np.mean(np.square(alone))))
    wide = np.sqrt(2 / marginal.curvature(result.estimate.theta)[0, 0])
    assert wide > 1.05 * result.statistical[0]


def test_the_network_error_is_that_of_the_simulation_and_that_of_the_weights():
    """Replicas that differ in σ_k alone, in the integrals alone, and in both: to first order the squares add up, but for a
    correlation between two samples of 10, which is below 0.9 (false-alarm rate 4e-4 for one seed)."""
    counted = replace(measured(replicas=10, network=0.02), fiducial_covariance=np.zeros((10, K, K)))
    tilt = 1 + 0.02 * np.random.default_rng(8).normal(size=(10, 1, K))
    learned = replace(counted, values=counted.values * tilt, fiducial=np.tile(FIDUCIAL, (10, 1)))
    both = replace(counted, values=learned.values)
    of_sigma, of_weights, of_both = (budget(c, BASIS)[1] for c in (counted, learned, both))
    assert of_sigma.weights[0] == pytest.approx(0, abs=1e-6)
    assert of_sigma.simulation == pytest.approx(of_sigma.network.std, rel=1e-6)
    assert of_weights.simulation[0] == pytest.approx(0, abs=1e-6)
    assert of_weights.weights == pytest.approx(of_weights.network.std, rel=1e-6)
    assert of_both.simulation == pytest.approx(of_sigma.simulation, rel=0.05)
    assert of_both.weights == pytest.approx(of_weights.weights, rel=0.05)
    product = 2 * 0.9 * of_both.simulation[0] * of_both.weights[0]
    squares = of_both.simulation[0] ** 2 + of_both.weights[0] ** 2
    assert abs(of_both.network.std[0] ** 2 - squares) < product
    assert 1 <= of_both.effective_replicas <= 10


def test_replicas_that_are_resamples_of_the_simulation_have_all_of_their_spread_in_it():
    """What a resample moves through σ_k and through the networks is correlated: neither part is a source of its own."""
    drawn = measured(replicas=10, network=0.02)
    tilt = 1 + 0.5 * (drawn.fiducial / FIDUCIAL - 1)[:, None]
    resampled = replace(drawn, values=drawn.values * tilt, fiducial_covariance=np.zeros((10, K, K)), resampled=True)
    _, result = budget(resampled, BASIS)
    assert result.simulation == result.network.std
    assert result.weights is None
    apart = budget(replace(resampled, resampled=False), BASIS)[1]
    assert (result.by_counting, result.by_networks) == (apart.simulation, apart.weights)
    assert result.simulation[0] < 0.7 * np.hypot(apart.simulation[0], apart.weights[0])  # they cancel, by a half
    assert result.total == pytest.approx(apart.total)


def test_the_simulation_statistics_of_a_single_replica_come_from_the_covariance():
    coefficients = measured()
    _, result = budget(coefficients, BASIS)
    only = replace(coefficients, covariance=np.zeros_like(coefficients.covariance))
    assert result.simulation == budget(only, BASIS)[1].integration_linear
    assert 0 < result.simulation[0] < result.integration_linear[0]
    assert result.weights is None


def test_excluded_events_are_left_out_and_counted():
    coefficients = measured(replicas=2, resamples=3)
    _, result = budget(coefficients, BASIS, exclude=[0, 5])
    keep = np.delete(np.arange(N), [0, 5])
    _, without = budget(coefficients.select(keep), BASIS)
    assert result.estimate.excluded == (0, 5)
    assert result.estimate.n_events == N
    assert result.estimate.theta == pytest.approx(without.estimate.theta, abs=1e-9)
    assert result.integration_linear == pytest.approx(without.integration_linear, rel=1e-6)
    assert result.integration.std == pytest.approx(without.integration.std, rel=1e-6)


def test_an_ambiguity_is_no_width():
    """The even toy: resamples that prefer -θ are counted as switched; the spread stays that of one minimum."""
    process = LinearGaussian(phases=(np.pi, 0.0, 0.0))
    basis, fiducial = MorphingBasis.of(process), process.fiducial().numpy()
    exact = toy_sample(process, N, 1.4, seed=12)
    rng = np.random.default_rng(2)
    coefficients = Coefficients(
        values=exact[None],
        covariance=np.einsum("nk,kl->nkl", (0.05 * exact) ** 2, np.eye(K))[None],
        fiducial=fiducial[None],
        fiducial_covariance=np.zeros((1, K, K)),
        bootstrap=exact * (1 + 0.05 * rng.normal(size=(1, 60, N, K))),
        fiducial_bootstrap=np.tile(fiducial, (1, 60, 1)),
    )
    _, result = budget(coefficients, basis)
    assert len(result.estimate.minima) == 2
    assert result.integration.std[0] < 2 * result.integration_linear[0] < 0.1


def test_each_resample_is_used_in_one_replica_around_the_estimate_of_that_replica():
    """Replicas far apart leave the integration error as it is: χ² with 99 degrees of freedom at false-alarm rate 4e-5."""
    _, result = budget(measured(replicas=4, network=0.3, resamples=100, relative=0.04), BASIS)
    assert result.integration.n == 100
    assert result.network.std[0] > 3 * result.integration.std[0]
    ratio = (result.integration.std[0] / result.integration_linear[0]) ** 2
    assert stats.chi2.sf(99 * ratio / 1.03**2, 99) > FALSE_ALARM
    assert stats.chi2.cdf(99 * ratio * 1.03**2, 99) > FALSE_ALARM


def test_how_many_estimates_an_error_bar_needs():
    rng = np.random.default_rng(3)
    n = estimates_needed(0.1)
    assert Spread(n, (0.0,), (1.0,), 0.0).relative_error <= 0.1 < Spread(n - 1, (0.0,), (1.0,), 0.0).relative_error
    stds = rng.normal(size=(20_000, n)).std(axis=1, ddof=1)
    assert stds.std() == pytest.approx(0.1, rel=0.03)


def fits_at(*angles: float) -> list[FitResult]:
    return [FitResult((ANGLE,), (Minimum((a,), 0.0, 0.0, (0.1,), True, False),), 1) for a in angles]


def test_spreads_go_around_the_seam():
    found = spread(fits_at(3.1, -3.1, np.pi, 3.1), np.array([np.pi]))
    deviations = [3.1 - np.pi, np.pi - 3.1, 0.0, 3.1 - np.pi]
    assert found.std[0] == pytest.approx(np.std(deviations, ddof=1))
    assert found.mean[0] == pytest.approx(np.mean(deviations))
    assert found.switched == 0


def test_a_switch_is_counted():
    twin = FitResult(
        (ANGLE,),
        (Minimum((-1.0,), 0.0, 0.0, (0.1,), True, False), Minimum((1.0,), 0.1, 0.1, (0.1,), True, False)),
        1,
    )
    found = spread([twin, *fits_at(1.1)], np.array([1.0]))
    assert found.switched == 0.5
    assert found.mean[0] == pytest.approx(0.05)


def test_no_curvature_no_linear_error():
    flat = NegativeTwoLogLikelihood(np.tile([1.0, 0, 0, 0], (5, 1)), [1.0, 0, 0, 0], YUKAWA)
    assert np.isnan(linear_covariance(flat, [0.3], np.zeros((5, 4, 4)), np.zeros((4, 4)))).all()


def test_the_budget_is_json():
    _, result = budget(measured(replicas=2, resamples=3), BASIS)
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert FitResult.from_dict(content["estimate"]) == result.estimate
    assert content["network"]["n"] == 2
    assert content["integration"]["n"] == 3
