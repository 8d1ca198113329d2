"""Importance sampling of one vector-valued integral per event, with as many points as each event needs.

``integrate`` knows nothing of physics: it is given a function that returns the weights f/q of fresh points of some events.
A pilot decides how many points an event gets and is then thrown away: had its points been kept, events whose pilot happened
to miss the large weights would stop early and keep their too small estimate, which biases every integral low.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmem.errors import InputError, TrustWarning
from bmem.integration import diagnostics
from bmem.integration.bootstrap import bootstrap_means, mean_with_covariance
from bmem.integration.diagnostics import Flag
from bmem.integration.settings import IntegrationSettings
from bmem.rng import generator
from bmem.workers import Workers, map_chunks

Array = NDArray[np.float64]
WeightFunction = Callable[[Tensor, int, list[torch.Generator]], Tensor]
"""(event indices [E], points M, one CPU generator per event) → importance weights f/q [R, E, M, K] of fresh points."""

_INACCURATE = 1.5
"""Times its target a relative error must be to be flagged; the pilot knows it only to some ten per cent."""


@dataclass(frozen=True)
class EventIntegrals:
    """Integrals of N events in R replicas and K components, all numpy float64 unless stated.

    ``values`` [R, N, K] and the ``covariance`` [R, N, K, K] of these means; ``bootstrap`` [R, B, N, K] or None. Per event
    [N], from the reference combination of the weights and the worst replica: ``effective_fraction``, ``pareto_k``,
    ``relative_error``, ``max_weight_fraction``; ``points`` used (int) and ``flags`` (int, see ``diagnostics.Flag``).
    """

    values: Array
    covariance: Array
    bootstrap: Array | None
    effective_fraction: Array
    pareto_k: Array
    relative_error: Array
    max_weight_fraction: Array
    points: NDArray[np.int64]
    flags: NDArray[np.int64]

    def diagnostics(self) -> dict[str, NDArray[Any]]:
        """The arrays with one entry per event, by name."""
        return {name: array for name, array in vars(self).items() if name not in _EVENT_AXIS}


_EVENT_AXIS = {"values": 1, "covariance": 1, "bootstrap": 2}


class Kept(Protocol):
    """Remembers blocks of events that are finished, as ``bmem.artifacts.Blocks`` does."""

    def map(
        self, function: Callable[[Block], EventIntegrals], chunks: Iterable[Block], workers: Workers | None
    ) -> Iterator[tuple[int, EventIntegrals]]:
        """As ``map_chunks``, but only what is not known yet is computed."""
        ...


def integrate(
    weights: WeightFunction,
    n_events: int,
    reference: Tensor,
    settings: IntegrationSettings,
    seed: int,
    *,
    pilot: WeightFunction | None = None,
    kept: Kept | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: Workers | None = None,
) -> EventIntegrals:
    """Integrate ``n_events`` events, in blocks that the ``workers`` share, or without any in this process.

    ``pilot`` replaces ``weights`` in the pilot, where one replica that stands for all is cheaper.

    ``reference`` [K] is the combination of the components with weights·reference >= 0 that stands for the whole integrand in
    the pilot and in the diagnostics. ``progress(done, total)`` is called after every block of events. Event n sees only the
    generators named (seed, "pilot" | "integrate" | "bootstrap", n): the result depends on nothing else.

    Raises:
        ChunkError: a block cannot be computed; those that were finished are ``kept``.

    Warns:
        TrustWarning: weights of some events are not finite; their integrals are not finite either, and flagged.
    """
    blocks = stream(weights, n_events, reference, settings, seed, pilot=pilot, kept=kept, workers=workers)
    found, done = dict[Block, EventIntegrals](), 0
    for block, integrals in blocks:
        found[block] = integrals
        done += block.stop - block.start
        if progress is not None:
            progress(done, n_events)
    result = _join([found[block] for block in sorted(found)])
    warn_if_broken(result.flags)
    return result


def stream(
    weights: WeightFunction,
    n_events: int,
    reference: Tensor,
    settings: IntegrationSettings,
    seed: int,
    *,
    pilot: WeightFunction | None = None,
    kept: Kept | None = None,
    workers: Workers | None = None,
) -> Iterator[tuple[Block, EventIntegrals]]:
    """What ``integrate`` does, block after block as they are finished: no more than these is held in memory.

    First come the blocks that are ``kept`` already.
    """
    run = _Run(weights, pilot or weights, reference, settings, seed)
    starts = range(0, n_events, settings.block)
    blocks = [Block(start, min(start + settings.block, n_events)) for start in starts]
    for number, integrals in (kept.map if kept else map_chunks)(run.block, blocks, workers):
        yield blocks[number], integrals


def warn_if_broken(flags: NDArray[np.int64]) -> None:
    """Warn of events whose ``flags`` [N] tell of weights that are not finite.

    Warns:
        TrustWarning: there are some.
    """
    broken = np.flatnonzero(flags & Flag.NON_FINITE)
    if broken.size:
        warnings.warn(
            f"{broken.size} of {len(flags)} events have weights that are not finite; neither are their integrals. "
            f"First events: {broken[:10].tolist()}",
            TrustWarning,
            stacklevel=3,
        )


class Block(NamedTuple):
    """The events from ``start`` up to, but without, ``stop``: what a worker does at once."""

    start: int
    stop: int

    def __str__(self) -> str:
        return f"events {self.start} to {self.stop - 1}"


@dataclass(frozen=True)
class _Run:
    """One call of ``integrate``, as far as a block of events needs it."""

    weights: WeightFunction
    pilot: WeightFunction
    reference: Tensor
    settings: IntegrationSettings
    seed: int

    def block(self, block: Block) -> EventIntegrals:
        """Pilot and integral of some events."""
        events = np.arange(block.start, block.stop)
        points = self._points(events)
        parts, order = [], []
        for m in np.unique(points):
            group = events[points == m]
            order.append(np.flatnonzero(points == m))
            parts += [_summarise(self._draw("integrate", c, int(m)), self, c) for c in self._chunks(group, int(m))]
        return _take(_join(parts), np.argsort(np.concatenate(order)))

    def _points(self, events: NDArray[np.int64]) -> NDArray[np.int64]:
        s = self.settings
        if s.min_points == s.max_points:
            return np.full(len(events), s.min_points)
        errors = []
        for chunk in self._chunks(events, s.pilot):
            total = self.total(self._draw("pilot", chunk, s.pilot))
            errors.append(diagnostics.relative_error(total).max(0))
        error = np.concatenate(errors)
        return s.points_for(np.where(np.isfinite(error), error, np.inf))

    def _chunks(self, events: NDArray[np.int64], points: int) -> Iterator[NDArray[np.int64]]:
        size = max(1, self.settings.points_per_chunk // points)
        for start in range(0, len(events), size):
            yield events[start : start + size]

    def _draw(self, purpose: str, events: NDArray[np.int64], points: int) -> Tensor:
        generators = [generator(self.seed, purpose, int(event)) for event in events]
        with torch.no_grad():
            function = self.pilot if purpose == "pilot" else self.weights
            weights = function(torch.from_numpy(events), points, generators)
        expected = (len(events), points, len(self.reference))
        if weights.dim() != 4 or tuple(weights.shape[1:]) != expected:
            raise InputError(f"the weight function returned shape {tuple(weights.shape)}, but [R, *{expected}] is needed")
        return weights.double()

    def total(self, weights: Tensor) -> Array:
        """The reference combination [R, E, M] of weights [R, E, M, K]."""
        return (weights @ self.reference.to(weights)).cpu().numpy()


def _summarise(weights: Tensor, run: _Run, events: NDArray[np.int64]) -> EventIntegrals:
    """The integrals and diagnostics of one chunk from its weights [R, E, M, K]."""
    broken = ~torch.isfinite(weights).all(-1).all(-1).all(0).cpu().numpy()
    mean, covariance = mean_with_covariance(weights)
    total = run.total(weights)
    total[:, broken] = 0.0
    fraction = diagnostics.effective_fraction(total).min(0)
    shapes, tolerated = diagnostics.pareto_k(total), _INACCURATE * run.settings.relative_error
    heavy = (shapes > diagnostics.PARETO_K_LIMIT) & (diagnostics.tail_share(total) > tolerated)
    error = diagnostics.relative_error(total).max(0)
    points = weights.shape[2]
    raised = {
        Flag.LOW_ESS: fraction * points < run.settings.min_effective_points,
        Flag.HIGH_PARETO_K: heavy.any(0),
        Flag.UNKNOWN_PARETO_K: np.isnan(shapes).any(0),
        Flag.NON_POSITIVE: (total.mean(-1) <= 0).any(0),
        Flag.INACCURATE: error > tolerated,
        Flag.NON_FINITE: broken,
    }
    return EventIntegrals(
        values=mean.cpu().numpy(),
        covariance=covariance.cpu().numpy(),
        bootstrap=_resamples(weights, run, events),
        effective_fraction=fraction,
        pareto_k=shapes.max(0),
        relative_error=error,
        max_weight_fraction=diagnostics.max_weight_fraction(total).max(0),
        points=np.full(len(events), points),
        flags=np.sum([int(flag) * mask.astype(np.int64) for flag, mask in raised.items()], axis=0),
    )


def _resamples(weights: Tensor, run: _Run, events: NDArray[np.int64]) -> Array | None:
    n = run.settings.resamples
    if n == 0:
        return None
    generators = [generator(run.seed, "bootstrap", int(event)) for event in events]
    means = [bootstrap_means(weights[:, i], n, rng) for i, rng in enumerate(generators)]
    return torch.stack(means, 2).cpu().numpy()


def _join(parts: list[EventIntegrals]) -> EventIntegrals:
    if not parts:
        raise InputError("there are no events to integrate")
    return _combine(lambda name: np.concatenate([getattr(p, name) for p in parts], _EVENT_AXIS.get(name, 0)), parts[0])


def _take(part: EventIntegrals, index: NDArray[np.int64]) -> EventIntegrals:
    return _combine(lambda name: np.take(getattr(part, name), index, _EVENT_AXIS.get(name, 0)), part)


def _combine(array: Callable[[str], NDArray[Any]], like: EventIntegrals) -> EventIntegrals:
    arrays: dict[str, Any] = {name: None if value is None else array(name) for name, value in vars(like).items()}
    return EventIntegrals(**arrays)
