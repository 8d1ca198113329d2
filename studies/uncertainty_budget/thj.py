"""tHj: the budget with the networks of a finished run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from rich.console import Console
from torch import Tensor

from bmem.config import parse
from bmem.events.reconstruction import Reconstruction
from bmem.inference.combine import Budget, budget
from bmem.inference.objective import unusable_events
from bmem.integration.importance import integrate
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, mixture_coefficients
from bmem.likelihood.integrand import Integrand
from bmem.stages import Run
from bmem.stages.simulate import load_sample
from bmem.stages.train import Networks


class ThjBench:
    """Events of the last sample of the run in ``folder``, integrated anew with its networks."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.run = Run(parse(content, str(folder / "config.json")), folder, Console(stderr=True))
        self.name = self.run.config.sample[-1].name

    @cached_property
    def networks(self) -> Networks:
        return Networks.load(self.run)

    @cached_property
    def observed(self) -> Tensor:
        return Reconstruction()(load_sample(self.run, self.name)[0])

    def budget(self, events: int, points: int) -> Budget:
        """Of the first ``events`` with ``points`` for each integral."""
        networks, fiducial = self.networks, FiducialCrossSection.load(self.run.fiducial)
        x_reco = self.observed[:events]
        integrand = Integrand(self.run.process, networks.transfer, networks.acceptance, networks.proposal, x_reco)
        settings = replace(self.run.config.integration, min_points=points, max_points=points)
        reference = mixture_coefficients(self.run.process)
        found = integrate(integrand, len(x_reco), reference, settings, self.run.seed("budget", points))
        coefficients = Coefficients(
            found.values,
            found.covariance,
            fiducial.values,
            fiducial.covariance,
            bootstrap=found.bootstrap,
            fiducial_bootstrap=fiducial.bootstrap,
        )
        basis = MorphingBasis.of(self.run.process)
        return budget(coefficients, basis, None, unusable_events(coefficients, basis))[1]
