"""Named generators: reproducible, and different for every seed and path."""

import itertools

import numpy as np
import pytest
import torch

from bmem.rng import derive_seed, generator, numpy_generator

PATHS = [(), ("train",), ("integrate",), ("integrate", 0), ("integrate", 1), ("integrate", 0, "grid"), (0,), (1, 0), (10,)]


def test_every_seed_and_path_has_its_own_seed() -> None:
    seeds = [derive_seed(seed, *path) for seed in range(3) for path in PATHS]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(("one", "other"), [(("a/b", "c"), ("a", "b/c")), (("a/b",), ("a", "b"))])
def test_paths_are_not_glued_together(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Used to join the path with slashes, so that these shared a seed."""
    assert derive_seed(1, *one) != derive_seed(1, *other)


def test_seeds_are_the_same_in_every_process_and_version() -> None:
    assert derive_seed(7, "integrate", 3) == 8445171313398539337


def test_generators_repeat_and_do_not_depend_on_order() -> None:
    first = torch.rand(5, generator=generator(3, "a"))
    torch.rand(100, generator=generator(3, "b"))
    assert torch.equal(first, torch.rand(5, generator=generator(3, "a")))
    assert np.array_equal(numpy_generator(3, "a").random(5), numpy_generator(3, "a").random(5))


def test_streams_of_neighbouring_paths_are_uncorrelated() -> None:
    """Every pair of 12 streams of 4000 normals; the largest of 66 correlations exceeds 6/sqrt(4000) once in 8e6 times."""
    streams = [torch.randn(4000, generator=generator(0, "event", i)) for i in range(12)]
    largest = max(abs(float((a * b).mean())) for a, b in itertools.combinations(streams, 2))
    assert largest < 6 / 4000**0.5
