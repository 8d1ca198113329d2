"""From observed events to their coefficients: the integrand of the networks, integrated event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bmem.integration.importance import EventIntegrals, Kept, integrate, stream
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import Array, Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.networks import Networks
from bmem.process.contract import Process
from bmem.workers import Workers


@dataclass(frozen=True)
class EventIntegrator:
    """Integrates events of a ``process``; the ``seed`` and the number of an event decide its points.

    With ``in_turns`` every event is integrated in one replica, which take turns; σ_k are the mean over the replicas.
    """

    process: Process
    networks: Networks
    fiducial: FiducialCrossSection
    settings: IntegrationSettings
    seed: int
    in_turns: bool = False

    def coefficients(self, x_reco: Tensor, progress: Callable[[int, int], None] | None = None) -> Coefficients:
        """Those of observations ``x_reco`` [N, D]; ``progress(done, N)`` is called after every block.

        Warns:
            TrustWarning: as ``bmem.integration.importance.integrate``.
        """
        return self._coefficients(integrate(*self._arguments(x_reco), pilot=self._pilot(x_reco), progress=progress), x_reco)

    def blocks(self, x_reco: Tensor, kept: Kept, workers: Workers | None = None) -> Iterator[tuple[slice, Coefficients]]:
        """The same, block after block: the events and their coefficients; first those that are ``kept`` already."""
        found = stream(*self._arguments(x_reco), pilot=self._pilot(x_reco), kept=kept, workers=workers)
        for block, integrals in found:
            events = slice(block.start, block.stop)
            yield events, self._coefficients(integrals, x_reco[events])

    def _integrand(self, x_reco: Tensor) -> Integrand:
        networks = self.networks
        return Integrand(self.process, networks.transfer, networks.acceptance, networks.proposal, x_reco)

    def _pilot(self, x_reco: Tensor) -> Integrand:
        """One replica stands for all."""
        return self._integrand(x_reco).replica(0)

    def _arguments(self, x_reco: Tensor) -> tuple[Any, ...]:
        integrand = self._integrand(x_reco)
        weights = integrand.in_turns if self.in_turns else integrand
        return weights, len(x_reco), mixture_coefficients(self.process), self.settings, self.seed

    def _coefficients(self, integrals: EventIntegrals, x_reco: Tensor) -> Coefficients:
        """With the diagnostic ``outside``: whether an event lies outside of the range of the training data."""
        fiducial = self.fiducial.mean if self.in_turns else self.fiducial
        return Coefficients(
            values=integrals.values,
            covariance=integrals.covariance,
            fiducial=fiducial.values,
            fiducial_covariance=fiducial.covariance,
            diagnostics=integrals.diagnostics() | {"outside": ~self.networks.proposal.seen(x_reco).cpu().numpy()},
            bootstrap=integrals.bootstrap,
            fiducial_bootstrap=_first_resamples(fiducial, integrals),
            resampled=fiducial.resampled,
        )


def _first_resamples(fiducial: FiducialCrossSection, integrals: EventIntegrals) -> Array | None:
    """As many resamples of σ_k [R, B, K] as there are of the integrals."""
    if integrals.bootstrap is None or fiducial.bootstrap is None:
        return None
    return fiducial.bootstrap[:, : integrals.bootstrap.shape[1]]
