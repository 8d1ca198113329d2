"""Named random generators, all derived from one seed.

A generator is identified by the path of what it is for, ``generator(seed, "integrate", event)``: a result then depends
neither on the order in which work is done nor on how it is cut into chunks.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a 63-bit seed for ``path``, statistically independent for different seeds and paths."""
    text = json.dumps([str(part) for part in (seed, *path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *path: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a torch generator for ``path``.

    On the CPU torch uses 32 bits of a seed: two paths share their numbers with a probability of 2.3e-10.
    """
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *path))


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return a numpy generator for ``path``."""
    return np.random.default_rng(derive_seed(seed, *path))
