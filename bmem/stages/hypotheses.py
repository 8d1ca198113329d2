"""What a configuration takes for possible beside the signal: its backgrounds, nuisance parameters, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from bmem.chain import external_constraints
from bmem.channels.nuisances import make_nuisances
from bmem.config import Config


def known_beside(config: Config, backgrounds: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """Log-densities [N] or [R, N] of the ``backgrounds``, bounds of their fractions, constraints: see ``Hypothesis.of``."""
    bounds = {p.name.removeprefix("f_"): p.bounds for p in config.fractions}
    nuisances = make_nuisances(config.nuisance, config.channel.make())
    constraints = (*config.constraints, *external_constraints(nuisances))
    return {"backgrounds": backgrounds, "bounds": bounds, "constraints": constraints, "nuisances": nuisances.basis}
