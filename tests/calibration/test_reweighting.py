"""The test of reweighting accepts what is right, at its stated rate, and finds a bank of another θ."""

import numpy as np
import pytest
from bank_examples import toy_bank, toy_events
from scipy import stats

from bmem.calibration.reweighting import reweighting_test
from bmem.errors import InputError
from bmem.process.toy import LinearGaussian

TOY = LinearGaussian()
QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)


def test_p_values_of_right_banks_are_uniform() -> None:
    """60 banks with 2000 direct events each, Kolmogorov-Smirnov; false alarm 1e-4."""
    p_values = []
    for seed in range(60):
        bank = toy_bank(TOY, 500, QUARTERS, seed=seed)
        direct = toy_events(TOY, 2000, 0.7, seed=1000 + seed).observed
        p_values.append(reweighting_test(bank, direct, 0.7).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_events_of_another_theta_are_found() -> None:
    bank = toy_bank(TOY, 2000, QUARTERS, seed=1)
    direct = toy_events(TOY, 4000, 1.0, seed=2).observed
    assert reweighting_test(bank, direct, 1.0).p_value > 1e-4
    assert reweighting_test(bank, direct, 1.3).p_value < 1e-4


def test_other_networks_are_refused() -> None:
    bank = toy_bank(TOY, 500, QUARTERS, seed=1)
    other = toy_events(LinearGaussian(strengths=(1.0, 0.5, 0.5)), 100, 1.0, seed=2).observed
    with pytest.raises(InputError, match="other networks"):
        reweighting_test(bank, other, 1.0)
    broken = toy_events(TOY, 100, 1.0, seed=2).observed
    broken.values[0, 3] = -1.0
    with pytest.raises(InputError, match="positive density"):
        reweighting_test(bank, broken, 1.0)
