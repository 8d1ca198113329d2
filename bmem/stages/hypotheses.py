"""What a configuration takes for possible: its backgrounds, constraints and luminosity."""

from __future__ import annotations

from collections.abc import Mapping

from numpy.typing import ArrayLike

from bmem.config import Config
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.objective import Basis
from bmem.inference.rate import RateFactor
from bmem.likelihood.coefficients import Coefficients


def hypothesis_of(
    config: Config,
    signal: Coefficients,
    basis: Basis,
    backgrounds: Mapping[str, ArrayLike],
    *,
    rate: RateFactor | None = None,
    strength: bool = False,
) -> Hypothesis:
    """``signal`` with the ``basis`` of its parameters and log-densities of the ``backgrounds``, see ``Hypothesis.of``."""
    return Hypothesis.of(
        signal,
        basis,
        backgrounds,
        bounds={p.name.removeprefix("f_"): p.bounds for p in config.fractions},
        luminosity=config.fit.luminosity,
        constraints=config.constraints,
        rate=rate,
        strength=strength,
    )
