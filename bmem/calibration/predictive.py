"""Posterior predictive checks: what the fitted posterior says of the distribution of any observable, against the data.

Every draw from the posterior has its own θ, to which the bank is reweighted exactly, and its own replica of the networks: in
replica r the weight of an event is multiplied by p_r(x | θ) over the mean density of all replicas. The spread of the
histograms over the draws is the uncertainty of the prediction, that of θ and of the networks; the spread over the replicas
at the same θ is that of the networks alone. The mean over the replicas is simulated events, no network's: a disagreement
beyond the bands means that data and simulation differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from bmem.calibration.bank import Bank
from bmem.calibration.record import Array, IntArray, JsonRecord
from bmem.errors import InputError


@dataclass(frozen=True)
class PredictiveHistogram(JsonRecord):
    """Counts of ``observed`` [B] events in the bins of ``edges`` [B + 1], and what S draws from the posterior expect.

    ``expected`` [S, B] are mean counts, normalised to all observed events whether inside the edges or not; ``replicated``
    [S, B] whole samples of as many events drawn from them, which have the statistical fluctuation in addition;
    ``by_replica`` [R, B] mean counts in each replica of the networks, over the same θ in all.
    """

    edges: Array
    observed: Array
    expected: Array
    replicated: Array
    by_replica: Array

    def band(self, level: float = 0.683, replicated: bool = False) -> tuple[Array, Array]:
        """Central interval [B] of the expected counts over the draws, or of the replicated ones."""
        values = self.replicated if replicated else self.expected
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    @property
    def network(self) -> Array | None:
        """Standard deviation of the expected counts [B] over the replicas; None with a single one (not evaluated)."""
        return None if len(self.by_replica) == 1 else self.by_replica.std(axis=0, ddof=1)

    @property
    def p_value(self) -> float:
        """Share of replicated samples with a larger χ² about their own draw's expectation than the observed one.

        (Gelman, Meng, Stern, Statistica Sinica 6 (1996) 733.) It crowds around 1/2 because θ was fitted: a small one is
        stronger evidence than its number says. Bins in which a draw expects nothing count only if something is there.
        """
        larger = self._chi2(self.replicated) >= self._chi2(self.observed)
        return float((1 + larger.sum()) / (1 + len(larger)))

    def _chi2(self, counts: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.square(counts - self.expected) / self.expected
        return np.where((self.expected > 0) | (counts > 0), terms, 0.0).sum(axis=1)


@dataclass(frozen=True)
class PosteriorDraws:
    """Values ``theta`` [...] of the parameter and, of the same shape, the ``replica`` of the networks that each belongs to.

    Both are in what ``bmem.inference.export`` makes. Some hundred are enough for a histogram.
    """

    theta: Array
    replica: IntArray

    @classmethod
    def of(cls, theta: ArrayLike, replica: ArrayLike = 0) -> PosteriorDraws:
        """Of anything that numpy can read; one replica for all if there is only one."""
        values = np.asarray(theta, np.float64)
        return cls(values, np.broadcast_to(np.asarray(replica, np.int64), values.shape))

    @classmethod
    def of_inference_data(cls, data: Any, parameter: str, count: int) -> PosteriorDraws:
        """``count`` draws of ``parameter`` from what ``bmem.inference.export`` made, evenly over its chains."""
        theta, replica = data.posterior[parameter].to_numpy().ravel(), data.sample_stats["replica"].to_numpy().ravel()
        chosen = np.linspace(0, len(theta) - 1, min(count, len(theta))).round().astype(np.int64)
        return cls.of(theta[chosen], replica[chosen])


@dataclass(frozen=True)
class Observable:
    """One observable: the ``feature`` [N] of the bank's events in their order, ``observed`` [n] of the sample, and bins.

    The ``edges`` [B + 1] rise; a value at one belongs to the bin above it. A NaN, of an event that has not this observable,
    is in no bin.
    """

    feature: Array
    observed: Array
    edges: Array

    @classmethod
    def binned(cls, feature: Array, observed: Array, bins: int = 12) -> Observable:
        """With bins of equal width over all but the outermost of the bank's events, 1 % on either side."""
        return cls(feature, observed, bin_edges(feature, (0.01, 0.99), bins))

    @property
    def cells(self) -> IntArray:
        """The bin of each event of the bank [N], 0 and B + 1 beyond the edges."""
        return np.digitize(self.feature, self.edges)

    @property
    def counts(self) -> Array:
        """Observed events in the bins [B]."""
        return np.bincount(np.digitize(self.observed, self.edges), minlength=len(self.edges) + 1)[1:-1].astype(np.float64)


def bin_edges(values: Array, between: tuple[float, float], bins: int) -> Array:
    """Edges [B + 1] of equal bins between two quantiles of ``values`` [N], or around each of a few whole numbers."""
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) <= bins and (distinct == distinct.round()).all():
        return np.arange(distinct[0] - 0.5, distinct[-1] + 1)
    low, high = np.quantile(known, between)
    return np.linspace(low, high, bins + 1)


def predictive_histogram(
    bank: Bank, feature: Array, observed: Array, edges: ArrayLike, *, draws: PosteriorDraws, rng: np.random.Generator
) -> PredictiveHistogram:
    """Predict the distribution of one observable for each of the posterior ``draws``.

    Args:
        bank: of simulated events, integrated with the networks of the sample.
        feature: the observable of the bank's events, in their order [N].
        observed: that of the sample [n].
        edges: of the bins, rising [B + 1]; a value at an edge belongs to the bin above it.
        draws: from the posterior.
        rng: of the replicated samples.

    Raises:
        InputError: one value is needed for every event of the bank, the edges do not rise, there is no draw, or one is of a
            replica that the bank has not.
        RangeError: the bank cannot stand for a draw.
    """
    observable = Observable(feature, observed, np.asarray(edges, np.float64))
    return predictive_histograms(bank, {"it": observable}, draws=draws, rng=rng)["it"]


def predictive_histograms(
    bank: Bank,
    observables: Mapping[str, Observable],
    *,
    draws: PosteriorDraws,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, PredictiveHistogram]:
    """The same of several observables, for which the bank is reweighted to each draw only once.

    ``progress(done, total)`` is called after every draw.

    Raises:
        InputError, RangeError: as ``predictive_histogram``.
    """
    for name, o in observables.items():
        if len(o.feature) != bank.n_events:
            raise InputError(
                f"{len(o.feature)} values of the observable {name!r} for {bank.n_events} events of the bank; give its own"
            )
        if len(o.edges) < 2 or not (np.diff(o.edges) > 0).all() or draws.theta.size == 0:
            raise InputError("a predictive histogram needs rising edges and at least one draw from the posterior")
    _check(bank, draws)
    places = {name: o.cells for name, o in observables.items()}
    shares: dict[str, list[Array]] = {name: [] for name in observables}
    for done, theta in enumerate(draws.theta.ravel(), 1):
        weights = _weights(bank, theta)
        for name, o in observables.items():
            rows = [np.bincount(places[name], w, len(o.edges) + 1) for w in weights]
            shares[name].append(np.stack(rows))
        if progress is not None:
            progress(done, draws.theta.size)
    return {name: _histogram(o, np.stack(shares[name]), draws, rng) for name, o in observables.items()}


def _histogram(o: Observable, every: Array, draws: PosteriorDraws, rng: np.random.Generator) -> PredictiveHistogram:
    """From the shares of the cells [S, R, B + 2] in every draw and replica."""
    own, n = every[np.arange(len(every)), draws.replica.ravel()], len(o.observed)
    return PredictiveHistogram(
        edges=o.edges,
        observed=o.counts,
        expected=n * own[:, 1:-1],
        replicated=rng.multinomial(n, own / own.sum(axis=1, keepdims=True))[:, 1:-1].astype(np.float64),
        by_replica=n * every.mean(axis=0)[:, 1:-1],
    )


def predictive_events(bank: Bank, draws: PosteriorDraws, n: int, rng: np.random.Generator) -> IntArray:
    """Indices [..., n] of events of the bank drawn at each of the posterior ``draws`` [...], in its replica.

    An observable of them is what ``bmem.inference.export.with_predictive`` takes: ``feature[predictive_events(...)]``.

    Raises:
        InputError: a draw is of a replica that the bank has not.
        RangeError: the bank cannot stand for a draw.
    """
    _check(bank, draws)
    rows = np.empty((draws.theta.size, n), np.int64)
    for i, (x, r) in enumerate(zip(draws.theta.ravel(), draws.replica.ravel(), strict=True)):
        edges = np.cumsum(_weights(bank, x)[r])
        rows[i] = np.searchsorted(edges / edges[-1], rng.random(n), side="right")
    return rows.reshape(*draws.theta.shape, n)


def _weights(bank: Bank, theta: float) -> Array:
    """Weights [R, N], of sum 1, that make the bank a sample of what each replica says of ``theta``."""
    logs = np.stack([bank.log_densities([[theta]], r)[:, 0] for r in range(len(bank.fiducial))])
    weights = bank.weights([theta]) * softmax(logs, axis=0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _check(bank: Bank, draws: PosteriorDraws) -> None:
    replicas = len(bank.fiducial)
    if draws.replica.size and not 0 <= draws.replica.min() <= draws.replica.max() < replicas:
        raise InputError(f"draws of the replicas up to {draws.replica.max()} for a bank with {replicas}; integrate it alike")
