"""A right posterior has uniform ranks and covers at all levels; wrong ones are found out."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bank_examples import toy_bank
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.sbc import (
    SbcSettings,
    SimulationBasedCalibration,
    region_coverage,
    simulation_based_calibration,
)
from bmem.calibration.toys import Treatment
from bmem.errors import InputError, RangeError
from bmem.inference.bayes import Prior
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian

FALSE_ALARM = 2e-5
SETTINGS = SbcSettings(events=40, simulations=250, points=720, false_alarm=FALSE_ALARM)


class Trebled(Bank):
    """A likelihood that counts every event three times."""

    def coefficients(self, events: np.ndarray) -> Coefficients:
        return super().coefficients(np.repeat(events, 3))


@pytest.fixture(scope="module")
def bank() -> Bank:
    return toy_bank(LinearGaussian(), 3000, (0.0, 2.0, 4.0), seed=1)


def test_right_posterior_is_calibrated(bank: Bank) -> None:
    """250 truths from the flat prior; false alarm 2e-5 for both tests together, and for each coverage."""
    result = simulation_based_calibration(bank, SETTINGS, np.random.default_rng(2))
    assert result.calibrated
    share, error = result.coverage([0.683, 0.954])
    for held, level in zip(share, (0.683, 0.954), strict=True):
        assert stats.binomtest(round(held * 250), 250, level).pvalue > FALSE_ALARM
    np.testing.assert_allclose(error, np.sqrt(np.array([0.683 * 0.317, 0.954 * 0.046]) / 250))
    again = SimulationBasedCalibration.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.ranks, result.ranks)
    assert again.calibrated


def test_calibrated_under_another_prior_and_only_under_it(bank: Bank) -> None:
    """Truths and posterior with the density 1 + cos x; posteriors of the same truths under a flat prior are not uniform."""
    prior = Prior("1 + cos x", lambda x: np.log1p(np.cos(x) * 0.999))
    result = simulation_based_calibration(bank, SETTINGS, np.random.default_rng(3), prior)
    assert result.calibrated
    assert result.prior == "1 + cos x"
    assert stats.kstest(result.truths, lambda x: (x + 0.999 * np.sin(x) + np.pi) / (2 * np.pi)).pvalue > FALSE_ALARM


def test_wrong_likelihoods_are_found_out(bank: Bank) -> None:
    """A wrong σ_k shifts the posteriors; events that count three times make them too narrow."""
    shifted = replace(bank, fiducial=bank.fiducial * np.array([1.0, 1.0, 0.3]))
    assert not simulation_based_calibration(shifted, SETTINGS, np.random.default_rng(4)).calibrated

    result = simulation_based_calibration(Trebled(**vars(bank)), replace(SETTINGS, points=3600), np.random.default_rng(5))
    assert result.p_levels < FALSE_ALARM / 2


def test_treatments_of_networks_and_integrals(bank: Bank) -> None:
    """Equal replicas and resamples change nothing, nor does which replica is drawn; a second, wrong one shows if drawn."""
    few = replace(SETTINGS, simulations=30)
    sigma, stacked = np.repeat(bank.fiducial, 2, 0), np.repeat(bank.integrals, 2, 0)
    alike = replace(bank, integrals=stacked, fiducial=sigma, bootstrap=stacked[:, None], fiducial_bootstrap=sigma[:, None])
    expected = simulation_based_calibration(bank, few, np.random.default_rng(7))
    for treatment in (Treatment(), Treatment("drawn"), Treatment(resampled=True)):
        found = simulation_based_calibration(alike, replace(few, treatment=treatment), np.random.default_rng(7))
        np.testing.assert_allclose(found.ranks, expected.ranks, atol=1e-9)
        np.testing.assert_allclose(found.levels, expected.levels, atol=0.01)
    wrong = replace(alike, fiducial=sigma * np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.1]]))
    one = replace(SETTINGS, simulations=120, treatment=Treatment("drawn"))
    assert not simulation_based_calibration(wrong, one, np.random.default_rng(8)).calibrated
    with pytest.raises(InputError, match="keeps no resamples"):
        simulation_based_calibration(bank, replace(few, treatment=Treatment(resampled=True)), np.random.default_rng(1))


def test_false_alarm_rate_is_kept() -> None:
    """300 perfect posteriors (uniform ranks and levels), blamed no more often than at 5 % (binomial); false alarm 2e-5."""
    rng = np.random.default_rng(6)
    blamed = sum(
        not SimulationBasedCalibration("flat", 1, rng.random(100), rng.random(100), rng.random(100), 0.05).calibrated
        for _ in range(300)
    )
    assert stats.binomtest(blamed, 300, 0.05, "greater").pvalue > FALSE_ALARM
    assert blamed > 0


def test_bad_input_is_refused(bank: Bank) -> None:
    with pytest.raises(InputError, match="at least 20 samples"):
        SbcSettings(events=10, simulations=2)
    with pytest.raises(InputError, match="false_alarm"):
        SbcSettings(events=10, false_alarm=0.0)
    with pytest.raises(RangeError, match="worth"):
        simulation_based_calibration(bank, replace(SETTINGS, minimum=1e6), np.random.default_rng(1))


def test_parts_are_joined() -> None:
    """Coverage of regions of both parts together, as counts with binomial tests."""
    first = SimulationBasedCalibration("flat", 5, np.zeros(3), np.zeros(3), np.array([0.1, 0.5, 0.9]), 0.01)
    second = replace(first, levels=np.array([0.2, 0.6, 0.7]))
    both = SimulationBasedCalibration.joined([first, second])
    assert both.levels.tolist() == [0.1, 0.5, 0.9, 0.2, 0.6, 0.7]
    found = region_coverage(both, [0.55, 0.95])
    assert (found.covered.tolist(), found.trials.tolist()) == ([3, 6], [6, 6])
    for others in ([], [first, replace(first, events=6)], [first, replace(first, prior="other")]):
        with pytest.raises(InputError, match="joined"):
            SimulationBasedCalibration.joined(others)
