"""The bank: weights are exact ratios of densities, and drawn samples are samples of the θ asked for."""

import numpy as np
import pytest
from bank_examples import toy_bank, toy_events
from scipy import stats

from bmem.calibration.bank import Bank, BankSample
from bmem.errors import InputError, RangeError
from bmem.likelihood.basis import MorphingBasis
from bmem.process.toy import LinearGaussian

FALSE_ALARM = 2e-5
TOY = LinearGaussian()


@pytest.fixture(scope="module")
def bank() -> Bank:
    return toy_bank(TOY, 20_000, (0.0, np.pi), seed=1)


def test_reweighted_bank_agrees_with_direct_generation(bank: Bank) -> None:
    """Mean of each log I_k at 60°, from the bank and from 20 000 events made there; false alarm 2e-5 over 3 components."""
    theta = [np.pi / 3]
    direct = np.log(toy_events(TOY, 20_000, theta[0], seed=2).observed.values[0])
    reweighted, w = np.log(bank.integrals[0]), bank.weights(theta)
    mean = w @ reweighted
    variance = np.square(w) @ np.square(reweighted - mean) + direct.var(axis=0) / len(direct)
    z = (mean - direct.mean(axis=0)) / np.sqrt(variance)
    assert np.abs(z).max() < stats.norm.isf(FALSE_ALARM / 6)


def test_weights_are_normalised_by_the_cross_section(bank: Bank) -> None:
    """p(θ)/q has mean 1; false alarm 2e-5 over 4 angles."""
    for angle in (-2.0, 0.3, 1.5, 3.0):
        mean, error = bank.normalisation([angle])
        assert abs(mean - 1) < stats.norm.isf(FALSE_ALARM / 8) * error


def test_a_sample_at_its_own_theta_has_nearly_equal_weights() -> None:
    """They only balance its fluctuation: in two directions by some standard deviations of a mean of 1000 events."""
    bank = toy_bank(TOY, 1000, (0.7,), seed=3)
    assert bank.effective_events([0.7]) == pytest.approx(1000, rel=2 * 9 / 1000)


def test_weights_reproduce_the_components_cross_sections(bank: Bank) -> None:
    b = bank.basis.value([2.0])
    fractions = bank.exact / (bank.exact @ b)[:, None]
    expected = bank.exact_fiducial / (b @ bank.exact_fiducial)
    np.testing.assert_allclose(bank.weights([2.0]) @ fractions, expected, rtol=1e-8)


def test_draws_follow_the_weights(bank: Bank) -> None:
    """χ² of 40 blocks of the bank in 100 000 draws; false alarm 2e-5."""
    draws = bank.draw([2.0], (100_000,), np.random.default_rng(4))
    expected = bank.weights([2.0]).reshape(40, -1).sum(axis=1) * draws.size
    observed = np.bincount(draws // (bank.n_events // 40), minlength=40)
    assert stats.chisquare(observed, expected).pvalue > FALSE_ALARM


def test_log_densities_are_those_of_the_process(bank: Bank) -> None:
    rows = np.arange(5)
    got = bank.log_densities(np.array([[0.1], [2.0]]))[rows]
    basis = MorphingBasis.of(TOY)
    for g, angle in enumerate((0.1, 2.0)):
        b = basis.value([angle])
        np.testing.assert_allclose(got[:, g], np.log(bank.integrals[0, rows] @ b / (b @ bank.fiducial[0])))


def test_unusable_events_are_left_out() -> None:
    sample = toy_events(TOY, 50, 0.0, seed=5)
    sample.observed.values[0, 7] = np.nan
    bank = Bank.of([sample], MorphingBasis.of(TOY))
    assert (bank.n_events, bank.excluded) == (49, 1)


def test_a_bank_that_is_too_small_is_refused() -> None:
    bank = toy_bank(TOY, 100, (0.0,), seed=6)
    with pytest.raises(RangeError, match="is worth"):
        bank.draw([np.pi], (10,), np.random.default_rng(0), minimum=99)


def test_bad_samples_are_refused() -> None:
    sample, basis = toy_events(TOY, 50, 0.0, seed=7), MorphingBasis.of(TOY)
    with pytest.raises(InputError, match="no sample"):
        Bank.of([], basis)
    with pytest.raises(InputError, match="50 integrated and 10 exact"):
        Bank.of([BankSample(sample.theta, sample.observed, sample.exact.select(slice(10)))], basis)
    other = toy_events(LinearGaussian(strengths=(1.0, 0.5, 0.5)), 50, 0.0, seed=8)
    with pytest.raises(InputError, match="other σ_k"):
        Bank.of([sample, other], basis)
