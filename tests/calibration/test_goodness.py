"""Goodness of fit on the toy: p-values of its own samples are uniform, samples of other processes are found out."""

import json

import numpy as np
import pytest
import torch
from bank_examples import exact_coefficients, toy_bank, toy_events
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.goodness import Goodness, GoodnessSettings, GoodnessTest, goodness_of_fit
from bmem.calibration.mean_density import mean_log_density, mean_score
from bmem.errors import InputError, RangeError
from bmem.inference.objective import MeanLikelihood, NegativeTwoLogLikelihood
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

TOY = LinearGaussian()
UNEQUAL = LinearGaussian(
    means=((0.0, 0.0), (0.0, 0.0)),
    covariances=(((0.05, 0.0), (0.0, 0.05)), ((6.0, 0.0), (0.0, 6.0))),
    strengths=(1.0, 1.0),
    modulation=(0.9, 0.9),
    phases=(0.0, np.pi),
    noise=((0.02, 0.0), (0.0, 0.02)),
)
"""A narrow and a broad component: the mean log density depends much on θ."""
EVENTS = 50
SAMPLES = 300
SETTINGS = GoodnessSettings(toys=400, grid=90)
FALSE_ALARM = 1e-3


@pytest.fixture(scope="module")
def bank() -> Bank:
    return toy_bank(TOY, 6000, (0.0, 2.0, 4.0), seed=1)


@pytest.fixture(scope="module")
def check(bank: Bank) -> GoodnessTest:
    return GoodnessTest(bank, EVENTS, 7, SETTINGS)


def samples(process: LinearGaussian, theta: float, count: int, model: LinearGaussian = TOY) -> list[Coefficients]:
    """Samples of events of ``process``, analysed as events of the ``model``."""
    rng = generator(11, "samples", str(theta))
    hard = process.sample(count * EVENTS, torch.tensor([theta], dtype=torch.float64), rng)
    integrals = model.integrals(process.response(hard.x, rng))
    return [exact_coefficients(rows, model) for rows in integrals.split(EVENTS)]


@pytest.mark.parametrize(("process", "theta"), [(TOY, 0.0), (UNEQUAL, 0.8)], ids=["toy", "unequal"])
def test_p_values_of_own_samples_are_uniform(process: LinearGaussian, theta: float) -> None:
    """300 samples made at a θ that is not known to the test. Three Kolmogorov-Smirnov tests for each of two processes with a
    false-alarm rate of 0.1 % each: less than 0.6 % in all. A raw mean log p would give p = 1e-50 for "unequal"."""
    check = GoodnessTest(toy_bank(process, 6000, (0.0, 2.0, 4.0), seed=1), EVENTS, 7, SETTINGS)
    found = [check(sample) for sample in samples(process, theta, SAMPLES, process)]
    p = np.array([[*g.p_values, g.p_value[0]] for g in found])
    for column in p.T:
        # p-values are multiples of 1/(T + 1); jitter within a step makes them continuous
        jittered = column - np.random.default_rng(3).random(SAMPLES) / (SETTINGS.toys + 1) * (column < 1)
        assert stats.kstest(jittered, "uniform").pvalue > FALSE_ALARM


def other_processes() -> dict[str, LinearGaussian]:
    return {
        "broader": LinearGaussian(noise=((2.0, 0.0), (0.0, 2.0))),
        "displaced": LinearGaussian(means=((0.0, 2.5), (1.5, 3.0), (-0.5, 4.0))),
        "narrower": LinearGaussian(covariances=(((0.2, 0.0), (0.0, 0.2)),) * 3, noise=((0.05, 0.0), (0.0, 0.05))),
    }


@pytest.mark.parametrize("name", list(other_processes()))
def test_samples_of_other_processes_are_found_out(check: GoodnessTest, name: str) -> None:
    """At least 9 of 10 samples of 50 events have p < 1 %."""
    p = [check(sample).p_value[0] for sample in samples(other_processes()[name], 0.7, 20)]
    assert np.mean(np.array(p) < 0.01) >= 0.9


def test_statistics_are_what_they_say(bank: Bank, check: GoodnessTest) -> None:
    """α̂ is the best point of the grid, log p is the absolute density, the levels are those of the bank reweighted to α̂."""
    sample = samples(TOY, 1.2, 1)[0]
    found = check(sample)
    objective = NegativeTwoLogLikelihood.of(sample, bank.basis)
    grid = 2 * np.pi * np.arange(90) / 90 - np.pi
    assert found.theta == pytest.approx(grid[objective.value(grid[:, None]).argmin()])
    assert found.log_densities.sum() == pytest.approx(-objective.value([found.theta]) / 2)
    weights, logs = bank.weights([found.theta]), bank.log_densities([[found.theta]])[:, 0]
    below = [weights[logs < value].sum() for value in found.log_densities]
    np.testing.assert_allclose(found.levels, below, atol=2 * weights.max())
    mean, spread = weights @ logs, np.sqrt(weights @ (logs - weights @ logs) ** 2)
    assert found.observed[0] == pytest.approx((found.log_densities.mean() - mean) * np.sqrt(EVENTS) / spread)
    u = np.sort(found.levels)
    i = np.arange(1, EVENTS + 1)
    assert found.observed[1] == pytest.approx(-EVENTS - np.mean((2 * i - 1) * np.log(u * (1 - u[::-1]))))
    assert found.improbable(1)[0] == found.levels.argmin()
    np.testing.assert_allclose(np.median(found.expected), np.interp(0.5, np.sort(weights.cumsum()), np.sort(logs)), atol=0.2)


def test_p_values_count_the_toys() -> None:
    """100 toys of mean -50 … 49 and distance 0 … 99; the sample at (-48, 97): 3 of 101 lie as low, 3 as far."""
    toys = np.array([np.arange(100.0) - 50, np.random.default_rng(1).permutation(100).astype(float)])
    result = Goodness(0.0, 0, np.zeros(1), np.zeros(1), np.zeros(1), np.array([-48.0, 97.0]), toys)
    np.testing.assert_allclose(result.p_values, [2 * 4 / 101, 4 / 101])
    np.testing.assert_allclose(result.p_errors, np.array([2, 1]) * np.sqrt(4 / 101 * 97 / 101 / 100))
    p, error = result.p_value
    assert 4 / 101 <= p <= (4 + 2 * 2) / 101
    assert error == pytest.approx(np.sqrt(p * (1 - p) / 100))


def test_result_survives_json_and_the_seed_decides(bank: Bank) -> None:
    sample, settings = samples(TOY, 0.4, 1)[0], GoodnessSettings(toys=50, grid=36)
    found = goodness_of_fit(sample, bank, 5, settings)
    again = Goodness.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.toys, goodness_of_fit(sample, bank, 5, settings).toys)
    assert again.p_value == found.p_value
    assert (goodness_of_fit(sample, bank, 6, settings).toys != found.toys).any()


def test_unusable_events_are_left_out_and_counted(bank: Bank) -> None:
    sample = samples(TOY, 0.4, 1)[0]
    sample.values[0, [3, 9]] = [[np.nan] * 3, [-1.0, 0.0, 0.0]]
    found = goodness_of_fit(sample, bank, 5, GoodnessSettings(toys=50, grid=36))
    assert found.excluded == 2
    assert len(found.levels) == EVENTS - 2


def test_what_cannot_be_tested_is_refused(bank: Bank, check: GoodnessTest) -> None:
    sample = samples(TOY, 0.4, 1)[0]
    with pytest.raises(InputError, match="is of 50 usable events, the sample has 20"):
        check(sample.select(slice(20)))
    with pytest.raises(InputError, match="not those of the bank"):
        check(exact_coefficients(torch.ones(EVENTS, 3, dtype=torch.float64), LinearGaussian(strengths=(1, 1, 1))))
    with pytest.raises(InputError, match="0 usable events"):
        goodness_of_fit(sample.select(slice(0)), bank, 5)
    with pytest.raises(RangeError, match="500 are needed"):
        goodness_of_fit(sample, toy_bank(TOY, 100, (0.0,), seed=2), 5)
    with pytest.raises(InputError, match="at least 20 toys"):
        GoodnessSettings(toys=10)


def test_mean_log_density_and_its_score() -> None:
    """Against the mean over the replicas that an estimate minimises, and a difference quotient."""
    one = toy_events(TOY, 40, 0.3, seed=4).observed
    integrals = np.concatenate([one.values, one.values[:, ::-1]])
    fiducial = np.concatenate([one.fiducial, one.fiducial[:, ::-1]])
    basis = toy_bank(TOY, 5, (0.0,), seed=1).basis
    b = basis.value(np.array([[0.3], [0.3 + 1e-6], [0.3 - 1e-6]]))
    replicas = [NegativeTwoLogLikelihood(i, sigma, basis) for i, sigma in zip(integrals, fiducial, strict=True)]
    logs = mean_log_density(integrals, fiducial, b)
    np.testing.assert_allclose(-2 * logs.sum(axis=0)[0], MeanLikelihood(replicas).value([0.3]))
    score = mean_score(integrals, fiducial, b[0], basis.gradient([0.3])[0])
    np.testing.assert_allclose(score, (logs[:, 1] - logs[:, 2]) / 2e-6, atol=1e-7)
