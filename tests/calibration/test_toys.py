"""Toys are samples of the bank, their scan is that of the likelihood, and the intervals on them are those of the methods."""

from dataclasses import replace

import numpy as np
import pytest
from bank_examples import toy_bank
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.toy_intervals import METHODS, held, lengths
from bmem.calibration.toys import Toys, ToyScan, Treatment, _logs, true_values
from bmem.errors import InputError
from bmem.inference.minima import fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.process.toy import LinearGaussian
from bmem.rng import numpy_generator

TOY = LinearGaussian()
POINTS = np.array([0.4, -0.4])


@pytest.fixture(scope="module")
def bank() -> Bank:
    return toy_bank(TOY, 1500, (0.0, 2.0, 4.0), seed=1)


def gaussian(z: np.ndarray, sigma: float = 0.05) -> Toys:
    """Toys whose estimate is 0 and whose curve is a parabola, asked at ``z`` standard deviations."""
    x = 2 * np.pi * np.arange(720) / 720 - np.pi
    points = z * sigma
    curves = np.repeat((x / sigma)[None] ** 2, 3, axis=0)
    return Toys(x, curves, points, np.repeat((points / sigma)[None] ** 2, 3, axis=0), 2 * np.pi)


def test_scan_is_that_of_the_fit(bank: Bank) -> None:
    """Minimum as iminuit finds it within 0.01 standard deviations; the curvature, that of the three points, within 3 %."""
    toys = ToyScan(bank, 360).draw(0.4, POINTS, (20, 100), numpy_generator(2))
    found, rows = toys.minima(), bank.draw([0.4], (20, 100), numpy_generator(2))
    for i, events in enumerate(rows):
        result = fit(NegativeTwoLogLikelihood.of(bank.coefficients(events), bank.basis))
        offset = np.angle(np.exp(1j * (found.place[i] - result.theta[0])))
        assert abs(offset) < 0.01 * result.error[0]
        assert found.error[i] == pytest.approx(result.error[0], rel=0.03)
        assert toys.at_points[i, 0] - found.value[i] == pytest.approx(
            float(NegativeTwoLogLikelihood.of(bank.coefficients(events), bank.basis).value([0.4])) - result.best.value,
            abs=1e-3,
        )


def test_posterior_mass_of_a_gaussian_is_the_error_function() -> None:
    z = np.array([0.3, 1.0, -2.0])
    expected = stats.chi2.cdf(z**2, 1)
    np.testing.assert_allclose(gaussian(z).mass_above(), np.repeat(expected[None], 3, axis=0), atol=2e-3)


def test_mass_grows_from_the_mode_to_the_least_likely_point() -> None:
    toys = gaussian(np.array([0.0, np.pi / 0.05]))
    np.testing.assert_allclose(toys.mass_above(), np.repeat([[0.0, 1.0]], 3, axis=0), atol=1e-9)


def test_all_intervals_of_a_gaussian_are_the_same() -> None:
    levels = np.array([0.3, 0.683, 0.954])
    critical = stats.chi2.ppf(levels, 1)[:, None]
    z = np.sqrt(stats.chi2.ppf(0.683, 1)) * np.array([0.97, 1.03, -0.97, -1.03])
    toys = gaussian(z)
    inside = held(toys, levels, critical)
    assert inside.shape == (len(METHODS), 3, 3, 4)
    np.testing.assert_array_equal(inside[:, 0], False)
    np.testing.assert_array_equal(inside[:, 1], np.broadcast_to([True, False, True, False], (4, 3, 4)))
    np.testing.assert_array_equal(inside[:, 2], True)
    expected = 2 * 0.05 * np.sqrt(critical[:, 0])
    found = lengths(toys, levels, np.repeat(critical, 720, axis=1))
    np.testing.assert_allclose(found, np.repeat(expected[None], 4, axis=0), atol=2 * np.pi / 720)


def test_flat_curves_have_no_hesse_interval() -> None:
    toys = replace(gaussian(np.zeros(1)), curves=np.zeros((2, 720)), at_points=np.zeros((2, 1)))
    inside = held(toys, np.array([0.683]), np.ones((1, 1)))
    assert not inside[METHODS.index("Hesse")].any()
    assert inside[METHODS.index("profile")].all()
    assert lengths(toys, np.array([0.683]), np.ones((1, 720)))[0, 0] == pytest.approx(2 * np.pi)


def two_replicas(bank: Bank) -> Bank:
    """A second replica that has lost half of the contrast between the components."""
    flat = bank.integrals.mean(axis=2, keepdims=True)
    integrals = np.concatenate([bank.integrals, (bank.integrals + flat) / 2])
    return replace(bank, integrals=integrals, fiducial=np.repeat(bank.fiducial, 2, axis=0))


def test_drawn_replicas_are_those_of_the_bank(bank: Bank) -> None:
    """Every toy is analysed in one of the two, each about half of the time (200 toys; 5 σ), with the same events."""
    both, shape = two_replicas(bank), (200, 20)
    drawn = ToyScan(both, 90, Treatment("drawn")).draw(0.4, POINTS, shape, numpy_generator(3))
    alone = [
        ToyScan(replace(both, integrals=both.integrals[[r]], fiducial=both.fiducial[[r]]), 90).draw(
            0.4, POINTS, shape, numpy_generator(3)
        )
        for r in (0, 1)
    ]
    first = np.isclose(drawn.curves, alone[0].curves, rtol=1e-12).all(axis=1)
    second = np.isclose(drawn.curves, alone[1].curves, rtol=1e-12).all(axis=1)
    assert (first ^ second).all()
    assert abs(first.sum() - 100) < 5 * np.sqrt(50)
    marginal = ToyScan(both, 90).draw(0.4, POINTS, shape, numpy_generator(3))
    likelihoods = np.stack([np.exp(-one.curves / 2) for one in alone])
    evidence = likelihoods.mean(axis=2, keepdims=True)
    expected = -2 * np.log((likelihoods / evidence).mean(axis=0)) - np.log(evidence).mean(axis=0) * 2
    np.testing.assert_allclose(marginal.curves, expected, atol=1e-8)


def test_a_toy_is_averaged_as_a_measurement_is(bank: Bank) -> None:
    """The curve of a toy is that of ``MarginalLikelihood`` for the same events, up to a constant of each event."""
    both, events = two_replicas(bank), np.arange(25)
    values = true_values(both.basis.parameters[0], 91)
    curve, _ = ToyScan(both, 90)._curves(events[None], _logs(both, values), numpy_generator(1))
    expected = MarginalLikelihood.of(both.coefficients(events), both.basis).value(values[:, None])
    np.testing.assert_allclose(curve[0], expected, atol=1e-8)


def test_a_toy_is_estimated_as_a_measurement_is(bank: Bank) -> None:
    """The minimum of the mean over the replicas within 0.01 of its error; it used to be the mode of their average."""
    both, shape = two_replicas(bank), (10, 100)
    toys, rows = ToyScan(both, 360).draw(0.4, POINTS, shape, numpy_generator(2)), both.draw([0.4], shape, numpy_generator(2))
    found = toys.estimates()
    for i, events in enumerate(rows):
        result = fit(MarginalLikelihood.of(both.coefficients(events), both.basis))
        offset = np.angle(np.exp(1j * (found.place[i] - result.theta[0])))
        assert abs(offset) < 0.01 * result.error[0]
        assert found.error[i] == pytest.approx(result.error[0], rel=0.03)
    assert np.abs(found.place - toys.minima().place).max() > 0.02 * found.error.min()


def test_resampled_toys_use_the_resamples_in_turn(bank: Bank) -> None:
    resamples = np.stack([bank.integrals, 2 * bank.integrals**1.1], axis=1)
    noisy = replace(bank, bootstrap=resamples, fiducial_bootstrap=np.repeat(bank.fiducial[:, None], 2, axis=1))
    scan = ToyScan(noisy, 90, Treatment(resampled=True))
    toys = scan.draw(0.4, POINTS, (1500, 5), numpy_generator(4))
    for index in (0, 1):
        plain = ToyScan(noisy.resampled(index), 90).draw(0.4, POINTS, (1500, 5), numpy_generator(4))
        same = np.isclose(toys.curves, plain.curves, rtol=1e-12).all(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(same) // 500 % 2, index)
        assert same.sum() == (1000 if index == 0 else 500)
    with pytest.raises(InputError, match="keeps no resamples"):
        ToyScan(bank, 90, Treatment(resampled=True)).draw(0.4, POINTS, (10, 5), numpy_generator(4))


def test_an_unknown_treatment_is_refused() -> None:
    with pytest.raises(InputError, match="'marginal' or 'drawn'"):
        Treatment("averaged")  # type: ignore[arg-type]
