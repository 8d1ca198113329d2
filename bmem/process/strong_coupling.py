"""The strong coupling at leading order, as the default PDF set runs it."""

from __future__ import annotations

import math

FLAVOURS = 5


def one_loop_alpha_s(scale: float, at_mz: float = 0.130, mz: float = 91.188) -> float:
    """α_s at ``scale`` GeV from α_s(M_Z), one loop and five flavours: a / (1 + a (33 - 2n) / (12π) log(μ²/M_Z²)).

    Example:
        >>> round(one_loop_alpha_s(235.0), 8)
        0.11302738
    """
    slope = (33 - 2 * FLAVOURS) / (12 * math.pi)
    return at_mz / (1 + at_mz * slope * math.log(scale**2 / mz**2))
