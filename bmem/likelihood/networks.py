"""The trained networks of a measurement, and all else that the integrals of events need."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch

from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.likelihood.density import ResidualDensity
from bmem.replicas import Replicas
from bmem.training.settings import History


@dataclass(frozen=True)
class Networks:
    """Replicas of transfer and acceptance, and one proposal."""

    transfer: Replicas
    acceptance: Replicas
    proposal: ResidualDensity

    @classmethod
    def of(cls, replicas: Mapping[str, Replicas]) -> Networks:
        """From the replicas by the names of their roles; of the proposal the first is taken."""
        proposal = deepcopy(replicas["proposal"].module)
        proposal.load_state_dict({name: value[0] for name, value in replicas["proposal"].weights.items()})
        assert isinstance(proposal, ResidualDensity)
        return cls(replicas["transfer"], replicas["acceptance"], proposal.eval())

    def to(self, device: torch.device | str) -> Networks:
        """The same on a device."""
        return Networks(self.transfer.to(device), self.acceptance.to(device), deepcopy(self.proposal).to(device))


@dataclass(frozen=True, repr=False)
class TrainedNetworks(Networks):
    """Networks with the fiducial cross section that belongs to them, and the ``histories`` of all trainings by name."""

    fiducial: FiducialCrossSection
    histories: Mapping[str, History]

    def __repr__(self) -> str:
        lines = [
            f"{name}: held-out loss {history.best_loss:.4f} in epoch {history.best_epoch + 1} of {len(history.train_loss)}"
            for name, history in self.histories.items()
            if history.validation_loss
        ]
        return "\n".join([f"{len(self.transfer)} replicas of transfer and acceptance, one proposal", *lines])
