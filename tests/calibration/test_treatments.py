"""What the treatments of network and integration errors do, on the toy: networks are wrong response matrices.

Four replicas scatter around a network that is itself as far from the truth. Belts are made from one bank and tested with
toys of another one, both of the true response: whatever the replicas say, a belt of simulated toys covers.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from bank_examples import exact_coefficients, toy_bank
from scipy import stats

from bmem.calibration.bank import Bank, BankSample
from bmem.calibration.neyman import Belt, BeltSettings, make_belt
from bmem.calibration.toys import ToyScan, Treatment
from bmem.errors import InputError
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.toy import LinearGaussian
from bmem.rng import generator, numpy_generator

FALSE_ALARM = 2e-5
EVENTS, TOYS, TRUTH = 100, 4000, np.pi / 2
LEVELS = (0.683, 0.954)
QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
TRUE = LinearGaussian(phases=(0.0, 2.1, -2.1))
BASIS = MorphingBasis.of(TRUE)
WRONG = 0.12


def networks(replicas: int) -> list[LinearGaussian]:
    """Posterior draws around a wrong network, each as wrong as it in the elements of the response matrix."""
    rng = np.random.default_rng(11)
    network = TRUE.response_matrix.numpy() + WRONG * rng.normal(size=(2, 2))
    drawn = network + WRONG * rng.normal(size=(replicas, 2, 2))
    return [LinearGaussian(phases=(0.0, 2.1, -2.1), response_matrix=matrix.tolist()) for matrix in drawn]


@cache
def bank_of(seed: int, replicas: int = 4) -> Bank:
    """Events of the true response, integrated with every replica."""
    analysts = networks(replicas)
    samples = []
    for theta in QUARTERS:
        rng = generator(seed, "treatments", str(theta))
        hard = TRUE.sample(3000, torch.tensor([theta], dtype=torch.float64), rng)
        x_reco = TRUE.response(hard.x, rng)
        values = np.stack([analyst.integrals(x_reco).numpy() for analyst in analysts])
        n, k = values.shape[1:]
        sigma = np.repeat(TRUE.fiducial().numpy()[None], replicas, axis=0)
        observed = Coefficients(values, np.zeros((replicas, n, k, k)), sigma, np.zeros((replicas, k, k)))
        samples.append(BankSample(np.array([theta]), observed, exact_coefficients(TRUE.components(hard.x), TRUE)))
    return Bank.of(samples, BASIS)


@cache
def belt_with(treatment: Treatment) -> Belt:
    settings = BeltSettings(points=5, toys=TOYS, levels=LEVELS, halvings=0, treatment=treatment)
    return make_belt(bank_of(1), EVENTS, seed=1, settings=settings)


def covered(bank: Bank, treatment: Treatment, thresholds: list[float]) -> np.ndarray:
    t = ToyScan(bank, 180, treatment).statistics(TRUTH, (TOYS, EVENTS), numpy_generator(2))
    return np.array([(t <= threshold).mean() for threshold in thresholds])


def error(level: float) -> float:
    """Of a coverage: both sets of toys, and 1 % for what the two banks share."""
    return float(np.sqrt(2 * level * (1 - level) / TOYS + 0.01**2))


@pytest.mark.parametrize("replicas", ["marginal", "drawn"])
def test_both_treatments_cover(replicas: str) -> None:
    """68.3 and 95.4 %; false alarm 2e-5 over the four comparisons."""
    treatment = Treatment(replicas)  # type: ignore[arg-type]
    found = covered(bank_of(2), treatment, [float(belt_with(treatment).critical_value(TRUTH, level)) for level in LEVELS])
    for level, fraction in zip(LEVELS, found, strict=True):
        assert abs(fraction - level) < stats.norm.isf(FALSE_ALARM / 8) * error(level), (replicas, level)


def test_chi2_thresholds_undercover_with_wrong_networks() -> None:
    found = covered(bank_of(2), Treatment("drawn"), [stats.chi2.ppf(0.683, 1)])
    assert found[0] < 0.683 - 5 * error(0.683)


def test_drawn_replicas_cover_on_average_only() -> None:
    """With one and the same replica in all toys the coverage is another one: that of at least one differs by 5 errors."""
    belt, test = belt_with(Treatment("drawn")), bank_of(2)
    threshold = [float(belt.critical_value(TRUTH, 0.683))]
    alone = [replace(test, integrals=test.integrals[[r]], fiducial=test.fiducial[[r]]) for r in range(4)]
    each = np.array([covered(bank, Treatment(), threshold)[0] for bank in alone])
    assert np.abs(each - 0.683).max() > 5 * error(0.683)
    assert abs(each.mean() - 0.683) < 5 * error(0.683)


def test_belt_of_drawn_replicas_measures_with_one() -> None:
    belt, bank = belt_with(Treatment("drawn")), bank_of(2)
    rows = np.arange(EVENTS)
    one = [NegativeTwoLogLikelihood.of(bank.coefficients(rows), BASIS, r) for r in range(4)]
    belt.check(one[3])
    with pytest.raises(InputError, match="mean over 4"):
        belt.interval(MarginalLikelihood(one), 0.683)
    with pytest.raises(InputError, match="networks"):
        belt_with(Treatment()).interval(one[3], 0.683)


def test_integration_errors_are_in_the_bank_already() -> None:
    """Integrals with a noise of a factor 3: the belt of the events as they are covers; resampled, it covers too much."""
    clean = [toy_bank(TRUE, 3000, QUARTERS, seed=seed) for seed in (5, 6)]
    belts_from, test = (noisy(bank, seed) for seed, bank in enumerate(clean))
    fractions = {}
    for resampled in (False, True):
        treatment = Treatment(resampled=resampled)
        settings = BeltSettings(points=5, toys=TOYS, levels=LEVELS, halvings=0, treatment=treatment)
        belt = make_belt(belts_from, EVENTS, seed=1, settings=settings)
        fractions[resampled] = covered(test, Treatment(), [float(belt.critical_value(TRUTH, level)) for level in LEVELS])
    limit = stats.norm.isf(FALSE_ALARM / 4)
    assert (np.abs(fractions[False] - LEVELS) < limit * np.array([error(level) for level in LEVELS])).all()
    assert fractions[True][0] > fractions[False][0] + 3 * np.sqrt(2 * 0.683 * 0.317 / TOYS)


def noisy(bank: Bank, seed: int) -> Bank:
    """Log-normal noise of mean 1 on every integral, and ten resamples with the same noise again."""
    rng = np.random.default_rng(seed)

    def factor(*shape: int) -> np.ndarray:
        return np.exp(1.2 * rng.normal(size=shape) - 0.72)

    integrals = bank.integrals * factor(*bank.integrals.shape)
    bootstrap = integrals[:, None] * factor(1, 10, *bank.integrals.shape[1:])
    return replace(
        bank, integrals=integrals, bootstrap=bootstrap, fiducial_bootstrap=np.repeat(bank.fiducial[:, None], 10, axis=1)
    )
