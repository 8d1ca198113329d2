"""Resamples of simulated events, one for each replica: how often a replica takes an event.

Everything that a replica learns or counts takes the same resample. The resamples are balanced (Davison, Hinkley and
Schechtman, Biometrika 73 (1986) 555): over all replicas every event is taken as often as once in each, so that the mean over
the replicas of what is linear in the events is that of the events themselves, whatever the number of replicas.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bmem.rng import numpy_generator

_CHUNK = 1 << 16


def resample_counts(events: int, replicas: int, seed: int) -> Tensor:
    """How often each of ``replicas`` takes each of ``events``, [R, N] (int16, on the CPU).

    Of every event there are R copies, each of which goes to a replica drawn at random.
    """
    rng, shares = numpy_generator(seed, "resamples"), np.full(replicas, 1 / replicas)
    sizes = [min(_CHUNK, events - start) for start in range(0, events, _CHUNK)]
    parts = [rng.multinomial(replicas, shares, size=size).astype(np.int16) for size in sizes]
    return torch.from_numpy(np.concatenate(parts).T.copy())
