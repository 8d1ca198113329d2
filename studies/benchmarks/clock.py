"""Time and memory of a function."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[Callable[[], object]], float]


def best(repeats: int) -> Clock:
    """A clock that gives the shortest of ``repeats`` times in seconds, after a first call that is not counted."""

    def clock(function: Callable[[], object]) -> float:
        function()
        return min(once(function) for _ in range(repeats))

    return clock


def once(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
