"""Named random generators, all derived from one seed.

A generator is identified by the path of what it is for, ``generator(seed, "integrate", event)``: a result then depends
neither on the order in which work is done nor on how it is cut into chunks.

Generators are on the CPU and their numbers are moved to where they are needed (``uniform``, ``normal``): so a seed means the
same numbers on every device, and results of two devices differ by rounding alone. The exception is what Pyro draws by itself
(posteriors of low rank, NUTS): its numbers come from the generator of the device on which the weights are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a 63-bit seed for ``path``, statistically independent for different seeds and paths."""
    text = json.dumps([str(part) for part in (seed, *path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """Return a torch generator for ``path``, on the CPU.

    On the CPU torch uses 32 bits of a seed: two paths share their numbers with a probability of 2.3e-10.
    """
    return torch.Generator(device="cpu").manual_seed(derive_seed(seed, *path))


def uniform(shape: Sequence[int], rng: torch.Generator, like: Tensor) -> Tensor:
    """Numbers in [0, 1) of the given shape, with type and device of ``like``; drawn where ``rng`` is."""
    return torch.rand(tuple(shape), generator=rng, dtype=like.dtype, device=rng.device).to(like.device)


def normal(shape: Sequence[int], rng: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers, as ``uniform``."""
    return torch.randn(tuple(shape), generator=rng, dtype=like.dtype, device=rng.device).to(like.device)


def permutation(n: int, rng: torch.Generator, like: Tensor) -> Tensor:
    """The numbers below ``n`` in a random order [n], on the device of ``like``."""
    return torch.randperm(n, generator=rng, device=rng.device).to(like.device)


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return a numpy generator for ``path``."""
    return np.random.default_rng(derive_seed(seed, *path))
