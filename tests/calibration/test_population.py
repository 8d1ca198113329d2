"""Populations: what is drawn has the composition and the distribution that the parameters say."""

import numpy as np
import pytest
from contaminated import (
    NOMINAL,
    RATE,
    SHARE,
    ContaminatedBank,
    coefficients,
    hypothesis,
    log_background,
    signal_events,
)
from scipy import stats

from bmem.calibration.composition import ByFractions
from bmem.calibration.population import Population, SourceEvents
from bmem.errors import InputError, RangeError

FALSE_ALARM = 2e-5


@pytest.fixture(scope="module")
def bank() -> ContaminatedBank:
    return ContaminatedBank.of(6000, 1500, seed=1)


@pytest.fixture(scope="module")
def population(bank: ContaminatedBank) -> Population:
    return bank.population(100)


def test_signal_stands_for_any_value_of_all_its_parameters(population: Population) -> None:
    """Mean of log I_k/Σ I at θ = 1, ν = (1, -1) against 6000 events made there; false alarm 2e-5 over 3 components."""
    effects = np.array([1.0, -1.0])
    direct = np.log(coefficients(signal_events(6000, 1.0, effects, seed=2)).values[0][:, :3])
    own = np.log(population.integrals[population.sources[0].rows][:, :3])
    w = population.sources[0].weighted.weights([1.0, *effects])
    mean = w @ own
    variance = np.square(w) @ np.square(own - mean) + direct.var(axis=0) / len(direct)
    assert (np.abs(mean - direct.mean(axis=0)) < stats.norm.isf(FALSE_ALARM / 6) * np.sqrt(variance)).all()


def test_fractions_are_those_asked_for(population: Population) -> None:
    """Background among 400 samples of 100; 2e-5."""
    rows, weights = population.draw(population.full(0.3, NOMINAL), 400, np.random.default_rng(1))
    assert rows.shape == weights.shape == (400, 100)
    assert (weights == 1).all()
    share = np.isin(rows, population.sources[1].rows).mean()
    assert abs(share - SHARE) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(SHARE * (1 - SHARE) / rows.size)


def test_numbers_of_a_luminosity_are_poisson(bank: ContaminatedBank) -> None:
    """Means of both sources over 1000 samples within their errors, variance as large as the mean; 2e-5 over 4 numbers."""
    p, luminosity = bank.population(luminosity=15.0), 15.0
    theta = p.full(0.3, p.nominal)
    rows, weights = p.draw(theta, 1000, np.random.default_rng(2))
    background = ((weights > 0) & np.isin(rows, p.sources[1].rows)).sum(axis=1)
    counts, limit = np.stack([weights.sum(axis=1) - background, background]), stats.norm.isf(FALSE_ALARM / 8)
    expected = p.composition.expected(theta)
    assert expected[1] == luminosity * RATE[0]
    assert (np.abs(counts.mean(axis=1) - expected) < limit * np.sqrt(expected / 1000)).all()
    assert (np.abs(counts.var(axis=1, ddof=1) / expected - 1) < limit * np.sqrt(2 / 1000 + 1 / expected / 1000)).all()


def test_halves_have_no_event_in_common(population: Population) -> None:
    halves = population.halves(np.random.default_rng(3))
    for source, *parts in zip(population.sources, *(half.sources for half in halves), strict=True):
        both = np.concatenate([part.rows for part in parts])
        np.testing.assert_array_equal(np.sort(both), source.rows)
    rows, _ = halves[0].draw(halves[0].full(0.3, NOMINAL), 20, np.random.default_rng(4))
    assert np.isin(rows, np.concatenate([source.rows for source in halves[0].sources])).all()


def test_a_small_population_is_refused(population: Population) -> None:
    theta = population.full(0.3, NOMINAL)
    population.check(theta, 10.0)
    with pytest.raises(RangeError, match=r"of the background 1 are worth 1500 .* 1800 are needed"):
        population.check(theta, 60.0)


def test_values_for_all_other_parameters_are_needed(bank: ContaminatedBank) -> None:
    few = bank.background[:50]
    source = SourceEvents(coefficients(few), log_background(few))
    with pytest.raises(InputError, match="2 nominal values"):
        Population.of([source], hypothesis, ByFractions(10, (3,)), NOMINAL[:2])
