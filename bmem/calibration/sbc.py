"""Simulation-based calibration of the posterior: truths drawn from the prior must be distributed as the posteriors say.

The posterior probability below the truth (its rank) is uniform over many truths drawn from the prior, each with its own
sample, and regions of level q hold the truth with the probability q (Talts et al., arXiv:1804.06788). Samples are drawn from
a bank of integrated events: it must be worth many more events than one sample, or the samples are no independent ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bmem.calibration.bank import Bank
from bmem.calibration.coverage import Coverage, coverage_of
from bmem.calibration.record import Array, JsonRecord
from bmem.calibration.toys import AS_INTEGRATED, Treatment
from bmem.errors import InputError
from bmem.inference.bayes import FLAT, Prior, posterior
from bmem.inference.objective import MarginalLikelihood


@dataclass(frozen=True)
class SbcSettings:
    """``simulations`` of samples of ``events``, posteriors on ``points``; the bank must be worth ``minimum`` events.

    ``false_alarm`` is the probability that a perfect posterior is blamed; ``treatment`` says how networks and integrals
    enter each of them.
    """

    events: int
    simulations: int = 500
    points: int = 1800
    minimum: float = 0.0
    false_alarm: float = 1e-3
    treatment: Treatment = AS_INTEGRATED

    def __post_init__(self) -> None:
        if self.events < 1 or self.simulations < 20:
            raise InputError(f"SBC: at least 20 samples of 1 event, not {self.simulations} of {self.events}")
        if not 0 < self.false_alarm < 1:
            raise InputError(f"SBC: false_alarm lies between 0 and 1, not {self.false_alarm}")


@dataclass(frozen=True)
class SimulationBasedCalibration(JsonRecord):
    """S samples of ``events`` at ``truths`` [S] drawn from the ``prior``, with what the posterior says of each truth.

    ``ranks`` [S] posterior probability below the truth; ``levels`` [S] the smallest level whose region of highest density
    holds it. Both are uniform for a calibrated posterior. For an angle the rank is counted from the lower bound.
    """

    prior: str
    events: int
    truths: Array
    ranks: Array
    levels: Array
    false_alarm: float

    @property
    def p_ranks(self) -> float:
        """Kolmogorov-Smirnov: probability of ranks that are as far from uniform, if the posterior is calibrated."""
        return float(stats.kstest(self.ranks, "uniform").pvalue)

    @property
    def p_levels(self) -> float:
        """The same of the levels: whether regions cover as they say, at all levels."""
        return float(stats.kstest(self.levels, "uniform").pvalue)

    @property
    def calibrated(self) -> bool:
        """Whether neither test blames the posterior; a perfect one is blamed with at most ``false_alarm`` (Bonferroni)."""
        return min(self.p_ranks, self.p_levels) >= self.false_alarm / 2

    @classmethod
    def joined(cls, parts: Sequence[SimulationBasedCalibration]) -> SimulationBasedCalibration:
        """The samples of all ``parts``, which were drawn independently of each other under the same prior.

        Raises:
            InputError: there is none, or they are of other priors or numbers of events.
        """
        if len({(p.prior, p.events, p.false_alarm) for p in parts}) != 1:
            raise InputError("SBC: only parts of one prior, number of events and false alarm can be joined")
        truths, ranks, levels = (np.concatenate([getattr(p, name) for p in parts]) for name in ("truths", "ranks", "levels"))
        return cls(parts[0].prior, parts[0].events, truths, ranks, levels, parts[0].false_alarm)

    def coverage(self, levels: ArrayLike) -> tuple[Array, Array]:
        """Share of the truths in regions of highest density of the ``levels`` [L], with its binomial error [L]."""
        asked = np.asarray(levels, np.float64)
        share = (self.levels <= asked[:, None]).mean(axis=1)
        return share, np.sqrt(asked * (1 - asked) / len(self.levels))


def region_coverage(found: SimulationBasedCalibration, levels: ArrayLike) -> Coverage:
    """Coverage of the regions of highest density at the ``levels`` [L], averaged over the prior, with binomial tests.

    Raises:
        InputError: a level is not between 0 and 1.
    """
    asked = np.asarray(levels, np.float64)
    return coverage_of(found.levels <= asked[:, None], asked)


def simulation_based_calibration(
    bank: Bank, settings: SbcSettings, rng: np.random.Generator, prior: Prior = FLAT
) -> SimulationBasedCalibration:
    """Test the posterior under ``prior``, by default of the likelihood averaged over the bank's replicas.

    Raises:
        InputError: the basis has several parameters, the prior excludes everything, or resamples are asked for that the bank
            has not kept.
        RangeError: the bank is worth too few events at a truth, or a posterior is too narrow for the grid.
    """
    if len(bank.basis.parameters) != 1:
        raise InputError("SBC is of one parameter; give a basis in which the others are fixed")
    truths = prior.sample(bank.basis.parameters[0], settings.simulations, rng)
    ranks, levels = np.empty(len(truths)), np.empty(len(truths))
    replicas = rng.spawn(1)[0].integers(len(bank.fiducial), size=len(truths))
    for i, truth in enumerate(truths):
        events = bank.draw([truth], (settings.events,), rng, settings.minimum)
        source = bank.resampled(i) if settings.treatment.resampled else bank
        sample = MarginalLikelihood.of(source.coefficients(events), bank.basis)
        drawn = settings.treatment.replicas == "drawn"
        result = posterior(sample.replicas[replicas[i]] if drawn else sample, prior, settings.points)
        ranks[i], levels[i] = result.below(truth), result.mass_above(truth)
    return SimulationBasedCalibration(prior.description, settings.events, truths, ranks, levels, settings.false_alarm)
