"""Belts of populations: coverage on events made directly, with the other parameters where one does not expect them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from contaminated import (
    NOMINAL,
    SHARE,
    ContaminatedBank,
    background_events,
    coefficients,
    hypothesis,
    log_background,
    signal_basis,
    signal_events,
)
from scipy import stats

from bmem.calibration.experiments import Experiments
from bmem.calibration.likelihood_ratio import likelihood_ratios
from bmem.calibration.neyman import BeltSettings
from bmem.calibration.observed import Data
from bmem.calibration.population import Population
from bmem.calibration.population_belt import PopulationBelt, _parabola, make_population_belt
from bmem.calibration.population_coverage import PopulationCoverage, coverage_point
from bmem.calibration.toy_fits import Samples
from bmem.calibration.toys import true_values
from bmem.errors import ArtifactError, InputError, RangeError
from bmem.inference.mixture import mixture_by_fractions

FALSE_ALARM = 2e-5
SIZE, TOYS = 60, 1200
SETTINGS = BeltSettings(points=5, toys=TOYS, halvings=0)
RIGHT = np.pi / 2


@pytest.fixture(scope="module")
def population() -> Population:
    return ContaminatedBank.of(9000, 3000, seed=1).population(SIZE)


@pytest.fixture(scope="module")
def belt(population: Population) -> PopulationBelt:
    return make_population_belt(population, seed=1, settings=SETTINGS)


def sample(theta: float, effects: np.ndarray, seed: int) -> torch.Tensor:
    background = int(np.random.default_rng(seed).binomial(SIZE, SHARE))
    return torch.cat([signal_events(SIZE - background, theta, effects, seed), background_events(background, seed)])


def data(theta: float, seed: int) -> Data:
    x = sample(theta, np.zeros(2), seed)
    return Data.of(hypothesis(coefficients(x), log_background(x)), NOMINAL)


def test_coverage_on_events_made_directly_with_both_effects_shifted(population: Population, belt: PopulationBelt) -> None:
    """At 90°, with ν = (1, -1) and 30 %: 68.3 and 95.4 % of 800 samples within their errors; 2e-5 over the two levels.

    The error is that of the samples and of the belt's toys, and 1 % for the finite bank. The interval by the χ² quantile,
    which covers 60 % here, must fail the same test.
    """
    count, effects = 800, np.array([1.0, -1.0])
    rng = np.random.default_rng(7)
    events = signal_events(SIZE * count, RIGHT, effects, seed=2), background_events(SIZE * count, seed=2)
    mixed = [mixture_by_fractions(coefficients(x), signal_basis(), log_background(x))[0] for x in events]
    rows = np.arange(SIZE * count).reshape(count, SIZE)
    rows = np.where(rng.random(rows.shape) < SHARE, rows + SIZE * count, rows)
    true = population.full(RIGHT, [*effects, SHARE])
    direct = Samples(
        population.basis,
        np.concatenate([one.values[0] for one in mixed]),
        population.fiducial,
        None,
        population.known,
        rows,
        np.ones(rows.shape),
        population.known.measured(true, count, rng),
    )
    found = likelihood_ratios(direct, RIGHT, NOMINAL, true_values(population.parameters[0], 61))
    limit = stats.norm.isf(FALSE_ALARM / 4)
    for level in (0.683, 0.954):
        error = np.sqrt(level * (1 - level) * (1 / count + 2 / TOYS) + 0.01**2)
        critical = belt.critical_value(np.full(count, RIGHT), found.there, level)
        assert abs((found.t <= critical).mean() - level) < limit * error
    error = np.sqrt(0.683 * 0.317 / count)
    assert (found.t <= 1).mean() < 0.683 - limit * error / 2


def test_interval_holds_exactly_the_values_whose_t_is_not_critical(belt: PopulationBelt) -> None:
    x = np.linspace(-np.pi, np.pi, 201)
    for seed in range(3):
        observed = data(1.2, 20 + seed)
        t, others = observed.ratio(x)
        assert t.min() < 0.2
        for level in (0.683, 0.954):
            margin = t - belt.critical_value(x, others, level)
            inside, clear = belt.interval(observed, level).contains(x), np.abs(margin) > 1e-2
            np.testing.assert_array_equal(inside[clear], margin[clear] < 0)


def test_drawn_parameters_cover_on_average_over_what_is_known(population: Population) -> None:
    """At 90°: toys of the same population, other ones than those of the belt; errors as above, 2e-5 over two levels."""
    halves = population.halves(np.random.default_rng(2))
    belts = [make_population_belt(half, 1, SETTINGS, "drawn") for half in halves]
    assert belts[0].nodes.shape == (1, 3)
    point = coverage_point(halves, belts, RIGHT, toys=600, seed=3)
    for i, level in enumerate((0.683, 0.954)):
        error = np.sqrt(level * (1 - level) * (1 / 1200 + 0.5 / TOYS) + 0.015**2)
        assert abs(point.covered[:, 1, i].mean() - level) < stats.norm.isf(FALSE_ALARM / 4) * error
    again = PopulationCoverage.from_dict(PopulationCoverage((point,)).to_dict())
    assert again.coverage("Feldman-Cousins").shape == (1, 2)
    assert str(again).startswith("Feldman-Cousins: 68.3 % covers")


def test_critical_values_are_those_of_the_nodes_and_end_with_them(belt: PopulationBelt) -> None:
    column = int(np.abs(belt.values - RIGHT).argmin())
    for number, node in enumerate(belt.nodes):
        found = belt.critical_value([RIGHT], node[None], 0.683)
        assert found[0] == pytest.approx(max(belt.critical[0, column, number], 0.0))
    far, last = belt.nodes[2].copy(), belt.nodes[2]
    far[0] += 1.0
    assert belt.critical_value([RIGHT], far[None], 0.683) == belt.critical_value([RIGHT], last[None], 0.683)


def test_parabola_is_the_polynomial_through_three_points() -> None:
    places = np.array([0.3, 0.1, 0.6])
    values = (2 * places**2 - places + 1)[:, None] * np.ones((3, 4))
    x = np.array([0.1, 0.2, 0.5, 0.9])
    inside = np.clip(x, 0.1, 0.6)
    np.testing.assert_allclose(values[0] + _parabola(places, values, x), 2 * inside**2 - inside + 1)
    np.testing.assert_array_equal(_parabola(np.array([0.1, 0.1, 0.6]), values, x), 0.0)


def test_saved_belt_comes_back(belt: PopulationBelt, tmp_path: Path) -> None:
    path, observed = tmp_path / "belt.json", data(0.3, 30)
    belt.save(path, settings={"seed": 1})
    assert PopulationBelt.load(path).interval(observed, 0.954) == belt.interval(observed, 0.954)
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(ArtifactError, match="checksum"):
        PopulationBelt.load(path)


def test_other_data_are_refused(belt: PopulationBelt) -> None:
    observed = data(0.3, 31)
    with pytest.raises(InputError, match="for 60 events, the data have 59"):
        belt.check(replace(observed, events=59))
    with pytest.raises(InputError, match=r"luminosity of None, the data have 5.0"):
        belt.check(replace(observed, luminosity=5.0))
    with pytest.raises(InputError, match="σ_k differ"):
        belt.check(replace(observed, fiducial=2 * observed.fiducial))
    with pytest.raises(InputError, match="constraints differ"):
        belt.check(replace(observed, known=replace(observed.known, precision=2 * observed.known.precision)))
    with pytest.raises(RangeError, match="levels"):
        belt.interval(observed, 0.9)
    with pytest.raises(InputError, match="'profiled' or 'drawn'"):
        Experiments(None, "guessed")  # type: ignore[arg-type]


def test_a_small_bank_makes_no_belt() -> None:
    few = ContaminatedBank.of(900, 150, seed=3).population(SIZE)
    with pytest.raises(RangeError, match="background 1 are worth 150"):
        make_population_belt(few, 1, SETTINGS)
