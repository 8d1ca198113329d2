"""Theory as a nuisance parameter: the same process with other parton densities, or with them at another scale.

Every matrix element and phase space is that of the nominal process; only the luminosities differ, so no network has to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bmem.process.contract import Process


@dataclass(frozen=True)
class OtherProcesses:
    """The process at some ν beside 0, see ``bmem.process.contract.TheoryVariation``."""

    processes: Mapping[float, Process]

    @property
    def nodes(self) -> tuple[float, ...]:
        return tuple(self.processes)

    def components(self, x_hard: Tensor, nu: float) -> Tensor:
        """s_k(x; ν) at one of the ``nodes``: [..., D] → [..., K]."""
        return self.processes[nu].components(x_hard)
