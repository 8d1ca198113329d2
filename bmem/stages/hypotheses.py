"""What a configuration takes for possible beside the signal: its backgrounds, nuisance parameters, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from bmem.chain import external_constraints
from bmem.channels.nuisances import described, make_nuisances
from bmem.config import Config

_ALWAYS = ("density", "file", "fraction", "fraction_error")
"""Keys that artifacts have always had."""


def listed(config: Config) -> dict[str, Any]:
    """Constraints, backgrounds and nuisances as settings of an artifact; a background without what it has not."""
    backgrounds = [background.model_dump(mode="json") for background in config.background]
    told = [{key: value for key, value in one.items() if value is not None or key in _ALWAYS} for one in backgrounds]
    found = {"constraint": [entry.model_dump(mode="json") for entry in config.constraint], "background": told}
    if config.nuisance:
        found["nuisance"] = [described(entry) | {"value": entry.value, "error": entry.error} for entry in config.nuisance]
    return found


def known_beside(config: Config, backgrounds: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """Log-densities [N] or [R, N] of the ``backgrounds``, bounds of their shares, constraints: see ``Hypothesis.of``."""
    bounds = {b.name: p.bounds for b, p in zip(config.background, config.shares, strict=True)}
    nuisances = make_nuisances(config.nuisance, config.channel.make())
    constraints = (*config.constraints, *external_constraints(nuisances))
    return {"backgrounds": backgrounds, "bounds": bounds, "constraints": constraints, "nuisances": nuisances.basis}
