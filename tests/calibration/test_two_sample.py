"""The two-sample test: how often it blames the innocent, and what it finds."""

import numpy as np
import pytest
from scipy import stats

from bmem.calibration.two_sample import TwoSampleSettings, TwoSampleTest, two_sample_test
from bmem.errors import InputError, RangeError

FALSE_ALARM = 2e-5
SETTINGS = TwoSampleSettings(toys=99, reference=300)
UNIT = np.array([1.0, 200.0, 0.01])
"""The observables are of very different sizes."""


def simulated(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Events of twice the width of the data, with the weights that make them alike."""
    x = 2 * rng.standard_normal((n, 3))
    return x * UNIT, np.exp(-(x**2).sum(axis=1) * (1 - 0.25) / 2)


def p_values(experiments: int, shift: float = 0.0, correlation: float = 0.0, n: int = 50) -> np.ndarray:
    found = []
    for number in range(experiments):
        rng = np.random.default_rng([number, 5])
        x = rng.standard_normal((n, 3)) + shift
        x[:, 1] = correlation * x[:, 0] + np.sqrt(1 - correlation**2) * x[:, 1]
        found.append(two_sample_test(x * UNIT, *simulated(8000, rng), rng, SETTINGS).p_value)
    return np.array(found)


def test_p_values_of_what_is_alike_are_uniform() -> None:
    """200 experiments, Kolmogorov-Smirnov; false alarm 2e-5 (p-values are multiples of 1/100)."""
    p = p_values(200)
    assert stats.kstest(p - 0.005, "uniform").pvalue > FALSE_ALARM


def test_a_shift_and_a_correlation_are_found() -> None:
    """In most experiments: half a standard deviation in all three; a correlation of 0.8 that no single observable shows."""
    assert (p_values(20, shift=0.5) < 0.05).mean() > 0.5
    assert (p_values(20, correlation=0.8, n=150) < 0.05).mean() > 0.5


def test_distance_is_zero_for_the_same_distribution() -> None:
    """2000 events: below 0.02, while a shift by a standard deviation in three directions makes more than 0.5."""
    rng = np.random.default_rng(3)
    y, w = rng.standard_normal((20_000, 3)), np.ones(20_000)
    x = rng.standard_normal((2000, 3))
    settings = TwoSampleSettings(toys=20)
    assert abs(two_sample_test(x, y, w, rng, settings).distance) < 0.02
    assert two_sample_test(x + 1, y, w, rng, settings).distance > 0.5


def test_record_comes_back() -> None:
    found = TwoSampleTest(10, 0.495, np.linspace(0, 1, 99))
    again = TwoSampleTest.from_dict(found.to_dict())
    assert again.p_value == found.p_value == 0.51
    assert found.p_error == pytest.approx(np.sqrt(0.51 * 0.49 / 99))


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(4)
    x, (y, w) = rng.standard_normal((50, 3)), simulated(5000, rng)
    with pytest.raises(RangeError, match=r"are worth .* 2500000 are needed"):
        two_sample_test(x, y, w, rng, TwoSampleSettings(reserve=50_000))
    with pytest.raises(InputError, match="same observables"):
        two_sample_test(x[:, :2], y, w, rng)
    with pytest.raises(InputError, match="a weight >= 0"):
        two_sample_test(x, y, -w, rng)
    x[7, 1] = np.nan
    with pytest.raises(InputError, match=r"1 observed events .* event 7"):
        two_sample_test(x, y, w, rng)
    with pytest.raises(InputError, match="at least 20 toys"):
        TwoSampleSettings(toys=5)
