"""Predicted distributions of the right posterior hold the data; other data are found out; arviz takes the events."""

import json
from itertools import pairwise

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest
import torch
from bank_examples import exact_coefficients, toy_bank, toy_events
from scipy import stats

from bmem.calibration.bank import Bank, BankSample
from bmem.calibration.predictive import (
    Observable,
    PosteriorDraws,
    PredictiveHistogram,
    bin_edges,
    predictive_events,
    predictive_histogram,
    predictive_histograms,
)
from bmem.errors import InputError
from bmem.inference.bayes import posterior
from bmem.inference.export import DrawSettings, inference_data, with_predictive
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

mpl.use("Agg")
FALSE_ALARM = 2e-5
TOY = LinearGaussian()
EDGES = np.linspace(-4, 4, 13)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return toy_bank(TOY, 4000, (0.0, 2.0, 4.0), seed=1)


def feature_of(integrals: np.ndarray) -> np.ndarray:
    """An observable that every event has: log I_1/I_0."""
    return np.log(integrals[..., 1] / integrals[..., 0])


def test_expected_counts_are_those_of_direct_generation(bank: Bank) -> None:
    """χ² of 40000 events at 0.7 against the bank reweighted to it, counting both errors; false alarm 2e-5."""
    direct = feature_of(toy_events(TOY, 40_000, 0.7, seed=2).observed.values[0])
    feature, rng = feature_of(bank.integrals[0]), np.random.default_rng(1)
    found = predictive_histogram(bank, feature, direct, EDGES, draws=PosteriorDraws.of([0.7]), rng=rng)
    weights = bank.weights([0.7])
    error = [np.square(weights[(feature >= a) & (feature < b)]).sum() for a, b in pairwise(EDGES)]
    used = found.expected[0] > 5
    variance = found.expected[0] + len(direct) ** 2 * np.array(error)
    chi2 = (np.square(found.observed - found.expected[0]) / variance)[used].sum()
    assert stats.chi2.sf(chi2, used.sum()) > FALSE_ALARM


def test_right_data_lie_in_the_bands_and_wrong_ones_do_not(bank: Bank) -> None:
    """300 events at 0.7: the p-value of right data crowds around 1/2, so less than 1 % of the seeds give one below 0.01.

    Events with an observable shifted by half its spread are refused.
    """
    sample = toy_events(TOY, 300, 0.7, seed=3).observed
    result = posterior(NegativeTwoLogLikelihood.of(sample, bank.basis))
    rng = np.random.default_rng(4)
    draws, observed = PosteriorDraws.of(result.sample(150, rng)), feature_of(sample.values[0])
    right = predictive_histogram(bank, feature_of(bank.integrals[0]), observed, EDGES, draws=draws, rng=rng)
    assert right.p_value > 0.01
    low, high = right.band(0.954, replicated=True)
    assert ((right.observed >= low) & (right.observed <= high)).mean() > 0.6
    wrong = predictive_histogram(
        bank, feature_of(bank.integrals[0]), observed + observed.std() / 2, EDGES, draws=draws, rng=rng
    )
    assert wrong.p_value < 0.01


def test_replicated_counts_have_the_statistical_fluctuation(bank: Bank) -> None:
    """At one α the variance of the counts is that of a multinomial: χ² of 4000 samples in each bin; false alarm 2e-5."""
    draws = PosteriorDraws.of(np.full(400, 0.7))
    feature = feature_of(bank.integrals[0])
    found = predictive_histogram(bank, feature, np.zeros(200), EDGES, draws=draws, rng=np.random.default_rng(5))
    np.testing.assert_allclose(np.ptp(found.expected, axis=0), 0.0, atol=1e-9)
    share = found.expected[0, 6] / 200
    ratio = found.replicated[:, 6].var(ddof=1) / (200 * share * (1 - share))
    assert stats.chi2.cdf(399 * ratio, 399) > FALSE_ALARM / 2
    assert stats.chi2.sf(399 * ratio, 399) > FALSE_ALARM / 2
    assert (np.diff(found.band(0.683, replicated=True), axis=0)[0, 4:9] > 0).all()


WIDE = LinearGaussian(noise=((0.8, 0.05), (0.05, 0.16)))


def x_reco_at(theta: float, process: LinearGaussian, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = generator(9, str(theta), str(float(process.noise[0, 0])))
    hard = process.sample(n, torch.tensor([theta], dtype=torch.float64), rng)
    return hard.x, process.response(hard.x, rng)


@pytest.fixture(scope="module")
def of_two_responses() -> tuple[Bank, np.ndarray]:
    """Half of the events with either response, so that the mean of two replicas, each right of one, is right of all.

    The bank and the first coordinate of its x_reco.
    """
    samples, features = [], []
    for theta in (0.0, 2.0, 4.0):
        hard, reco = (torch.cat(pair) for pair in zip(*(x_reco_at(theta, p, 2000) for p in (TOY, WIDE)), strict=True))
        values = np.stack([p.integrals(reco).numpy() for p in (TOY, WIDE)])
        sigma = np.stack([TOY.fiducial().numpy()] * 2)
        observed = Coefficients(values, np.zeros((2, len(reco), 3, 3)), sigma, np.zeros((2, 3, 3)))
        samples.append(BankSample(np.array([theta]), observed, exact_coefficients(TOY.components(hard), TOY)))
        features.append(reco[:, 0].numpy())
    return Bank.of(samples, MorphingBasis.of(TOY)), np.concatenate(features)


def shares(process: LinearGaussian, theta: float) -> np.ndarray:
    """Exact probabilities of the bins in the first coordinate of x_reco."""
    b = process.basis(torch.tensor([theta], dtype=torch.float64)).numpy() * process.strengths.numpy()
    a = process.response_matrix.numpy()
    means = (process.means.numpy() @ a.T)[:, 0]
    width = np.sqrt((a @ process.covariances.numpy() @ a.T + process.noise.numpy())[:, 0, 0])
    return np.diff(stats.norm.cdf((EDGES[:, None] - means) / width) @ b) / b.sum()


def test_each_replica_predicts_its_own_distribution(of_two_responses: tuple[Bank, np.ndarray]) -> None:
    """χ² against the closed form of either response at θ = 0.7; false alarm 2e-5.

    A replica at most doubles a weight, so that it is worth at least half of the effective events.
    """
    bank, feature = of_two_responses
    n, rng = 1000, np.random.default_rng(1)
    draws = PosteriorDraws.of([0.7, 0.7], [0, 1])
    found = predictive_histogram(bank, feature, np.zeros(n), EDGES, draws=draws, rng=rng)
    np.testing.assert_allclose(found.expected, found.by_replica)
    assert found.network is not None
    np.testing.assert_allclose(found.network, np.abs(np.diff(found.by_replica, axis=0)[0]) / np.sqrt(2))
    for r, process in enumerate((TOY, WIDE)):
        exact, wrong = (n * shares(p, 0.7) for p in (process, (WIDE, TOY)[r]))
        variance = n * exact / (0.5 * bank.effective_events([0.7]))
        used = exact > 5
        deviations = [(np.square(found.by_replica[r] - e) / variance)[used].sum() for e in (exact, wrong)]
        assert stats.chi2.sf(deviations[0], used.sum()) > FALSE_ALARM
        assert stats.chi2.sf(deviations[1], used.sum()) < FALSE_ALARM


def test_events_are_those_of_the_replica(of_two_responses: tuple[Bank, np.ndarray]) -> None:
    """χ² of 2000 drawn events against the closed form of their own replica, with both errors; false alarm 2e-5."""
    bank, feature = of_two_responses
    rows = predictive_events(bank, PosteriorDraws.of([0.7, 0.7], [0, 1]), 2000, np.random.default_rng(2))
    for row, process in zip(rows, (TOY, WIDE), strict=True):
        exact = 2000 * shares(process, 0.7)
        variance = exact * (1 + 2000 / (0.5 * bank.effective_events([0.7])))
        used = exact > 5
        chi2 = np.square(np.histogram(feature[row], EDGES)[0] - exact) / variance
        assert stats.chi2.sf(chi2[used].sum(), used.sum()) > FALSE_ALARM


def test_arviz_draws_predicted_events(bank: Bank) -> None:
    sample = toy_events(TOY, 30, 0.7, seed=6).observed
    rng = np.random.default_rng(7)
    data = inference_data(NegativeTwoLogLikelihood.of(sample, bank.basis), rng, settings=DrawSettings(2, 20))
    draws = PosteriorDraws.of(data.posterior["theta"], data.sample_stats["replica"])
    rows = predictive_events(bank, draws, 30, rng)
    assert rows.shape == (2, 20, 30)
    predicted = {"ratio": feature_of(bank.integrals[0])[rows]}
    plot = getattr(az, "plot_ppc", None) or getattr(az, "plot_ppc_dist")  # noqa: B009 - the name in arviz 0.x, and in 1.x
    plot(with_predictive(data, {"ratio": feature_of(sample.values[0])}, predicted))
    mpl.pyplot.close("all")


def test_survives_json_and_refuses_bad_input(bank: Bank) -> None:
    rng, feature = np.random.default_rng(8), feature_of(bank.integrals[0])
    found = predictive_histogram(bank, feature, feature[:20], EDGES, draws=PosteriorDraws.of([0.1, 0.2]), rng=rng)
    again = PredictiveHistogram.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.expected, found.expected)
    with pytest.raises(InputError, match="events of the bank"):
        predictive_histogram(bank, feature[:-1], feature, EDGES, draws=PosteriorDraws.of([0.0]), rng=rng)
    with pytest.raises(InputError, match="replicas up to 3 for a bank with 1"):
        predictive_events(bank, PosteriorDraws.of([0.1], [3]), 5, rng)
    with pytest.raises(InputError, match="rising edges"):
        predictive_histogram(bank, feature, feature, EDGES[::-1], draws=PosteriorDraws.of([0.0]), rng=rng)


def test_several_observables_at_once_are_each_of_them(bank: Bank) -> None:
    """The bank is reweighted once for all; ``progress`` counts the draws."""
    feature, seen = feature_of(bank.integrals[0]), []
    observables = {
        "ratio": Observable(feature, feature[:50], EDGES),
        "square": Observable(feature**2, feature[:50] ** 2, np.linspace(0, 9, 5)),
    }
    draws = PosteriorDraws.of(np.array([0.1, 0.4, 2.0]))
    found = predictive_histograms(
        bank, observables, draws=draws, rng=np.random.default_rng(3), progress=lambda *done: seen.append(done)
    )
    alone = predictive_histogram(
        bank, feature**2, feature[:50] ** 2, np.linspace(0, 9, 5), draws=draws, rng=np.random.default_rng(3)
    )
    np.testing.assert_array_equal(found["square"].expected, alone.expected)
    np.testing.assert_array_equal(found["square"].observed, alone.observed)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(InputError, match="'ratio'"):
        predictive_histograms(
            bank, {"ratio": Observable(feature[:9], feature, EDGES)}, draws=draws, rng=np.random.default_rng(3)
        )


def test_edges_lie_around_whole_numbers_and_between_quantiles_of_what_is_there() -> None:
    counts = np.array([4.0, 5.0, 4.0, 7.0])
    np.testing.assert_allclose(bin_edges(counts, (0.01, 0.99), 12), [3.5, 4.5, 5.5, 6.5, 7.5])
    np.testing.assert_allclose(bin_edges(np.array([4.0, 4.0]), (0.01, 0.99), 12), [3.5, 4.5])
    missing = np.array([0.0, np.nan, 0.5, 1.0, np.nan])
    np.testing.assert_allclose(bin_edges(missing, (0.0, 1.0), 2), [0.0, 0.5, 1.0])


def test_an_event_without_the_observable_is_in_no_bin() -> None:
    feature = np.linspace(0, 1, 200)
    feature[::4] = np.nan
    observable = Observable.binned(feature, np.array([0.3, np.nan, 0.4]))
    assert observable.counts.sum() == 2
    assert (observable.cells[::4] == len(observable.edges)).all()
