"""From observed events to their coefficients: the integrand of the networks, integrated event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from bmem.integration.importance import EventIntegrals, Kept, integrate, stream
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.coefficients import Array, Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, mixture_coefficients, mixture_grid
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.networks import Networks
from bmem.likelihood.nuisances import NONE, Nuisances, interpolation_error
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
    nuisances: Nuisances = NONE
    in_turns: bool = False

    def coefficients(
        self, x_reco: Tensor, progress: Callable[[int, int], None] | None = None, workers: Workers | None = None
    ) -> Coefficients:
        """Those of observations ``x_reco`` [N, D]; ``progress(done, N)`` is called after every block.

        Warns:
            TrustWarning: as ``bmem.integration.importance.integrate``.
        """
        arguments, pilot = self._arguments(x_reco), self._pilot(x_reco)
        return self._coefficients(integrate(*arguments, pilot=pilot, progress=progress, workers=workers), x_reco)

    def blocks(self, x_reco: Tensor, kept: Kept, workers: Workers | None = None) -> Iterator[tuple[slice, Coefficients]]:
        """The same, block after block: the events and their coefficients; first those that are ``kept`` already."""
        found = stream(*self._arguments(x_reco), pilot=self._pilot(x_reco), kept=kept, workers=workers)
        for block, integrals in found:
            events = slice(block.start, block.stop)
            yield events, self._coefficients(integrals, x_reco[events])

    def _integrand(self, x_reco: Tensor) -> Integrand:
        networks = self.networks
        return Integrand(self.process, networks.transfer, networks.acceptance, networks.proposal, x_reco, self.nuisances)

    def _pilot(self, x_reco: Tensor) -> Integrand:
        """One replica stands for all."""
        return self._integrand(x_reco).replica(0)

    def _arguments(self, x_reco: Tensor) -> tuple[Any, ...]:
        mixture, integrand = mixture_coefficients(self.process), self._integrand(x_reco)
        reference = mixture.new_zeros(len(mixture) * (self.nuisances.monomials + len(self.nuisances.checks)))
        reference[: len(mixture)] = mixture
        weights = integrand.in_turns if self.in_turns else integrand
        return weights, len(x_reco), reference, self.settings, self.seed

    def _coefficients(self, integrals: EventIntegrals, x_reco: Tensor) -> Coefficients:
        """With the diagnostic ``outside``: whether an event lies outside of the range of the training data."""
        fiducial = self.fiducial.mean if self.in_turns else self.fiducial
        kept, checked = self._split(integrals)
        return Coefficients(
            values=kept.values,
            covariance=kept.covariance,
            fiducial=fiducial.values,
            fiducial_covariance=fiducial.covariance,
            diagnostics=kept.diagnostics() | {"outside": ~self.networks.proposal.seen(x_reco).cpu().numpy()} | checked,
            bootstrap=kept.bootstrap,
            fiducial_bootstrap=_first_resamples(fiducial, kept),
            resampled=fiducial.resampled,
        )

    def _split(self, integrals: EventIntegrals) -> tuple[EventIntegrals, dict[str, Array]]:
        """The integrals without those at the checks, and the diagnostic ``interpolation``, if there are checks."""
        checks = len(self.nuisances.checks)
        if not checks:
            return integrals, {}
        components = integrals.values.shape[-1] // (self.nuisances.monomials + checks)
        used = slice(0, components * self.nuisances.monomials)
        bootstrap = None if integrals.bootstrap is None else integrals.bootstrap[..., used]
        covariance = integrals.covariance[..., used, used]
        kept = replace(integrals, values=integrals.values[..., used], covariance=covariance, bootstrap=bootstrap)
        at_checks = integrals.values[..., used.stop :].reshape(*integrals.values.shape[:2], checks, components)
        references = np.asarray(self.process.basis(mixture_grid(self.process)))
        return kept, {"interpolation": interpolation_error(at_checks, kept.values, self.nuisances, list(references))}


def _first_resamples(fiducial: FiducialCrossSection, integrals: EventIntegrals) -> Array | None:
    """As many resamples of σ_k [R, B, K] as there are of the integrals."""
    if integrals.bootstrap is None or fiducial.bootstrap is None:
        return None
    return fiducial.bootstrap[:, : integrals.bootstrap.shape[1]]
