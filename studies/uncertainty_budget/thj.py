"""tHj: the budget with the networks of a finished run, and with networks of other sizes and less simulation."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from learning import trained
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from bmem.calibration.score import information_kept, score_test
from bmem.calibration.yardstick import yardstick_coefficients
from bmem.channels.thj.reconstruction import Reconstruction
from bmem.config import TRAINING, VALIDATION, Config, parse
from bmem.events import parquet
from bmem.inference.combine import Budget, budget
from bmem.inference.minima import difference, fit
from bmem.inference.objective import NegativeTwoLogLikelihood, unusable_events
from bmem.integration.importance import integrate
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import (
    FiducialCrossSection,
    fiducial_cross_section,
    mixture_coefficients,
    simulated_cross_section,
)
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.networks import Networks
from bmem.likelihood.roles import Pairs
from bmem.networks import cross_entropy, negative_log_likelihood
from bmem.rng import derive_seed, generator
from bmem.stages import Run
from bmem.stages.simulate import load_sample
from bmem.stages.train import build, load_networks, load_pairs
from bmem.training.settings import TrainingSettings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """What networks are trained on and how large they are.

    Attributes:
        events: simulated hard events, of which some 15 % are accepted.
        hidden: units of a layer of the transfer density; the acceptance has two thirds of them.
        first: the events are those of the run from this one on.
        replicas: of transfer and acceptance.
    """

    events: int
    hidden: int
    first: int = 0
    replicas: int = 8


@dataclass(frozen=True)
class Quality:
    """What networks make of a sample: angles in radians.

    Attributes:
        held_out: mean log density of pairs that were not trained on, averaged over the replicas.
        network: spread of α̂ over the replicas.
        shift: α̂ less that of the same events with x_hard known.
        shift_error: of the shift, because a reconstruction loses information; common to all networks.
        kept: share of the information with x_hard known that is kept.
        estimate: α̂.
    """

    held_out: float
    network: float
    shift: float
    shift_error: float
    kept: float
    estimate: float


class ThjBench:
    """Events of the last sample of the run in ``folder``, integrated anew."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.run = Run(parse(content, str(folder / "config.json")), folder, Console(stderr=True))
        self.name = self.run.config.sample[-1].name
        self.basis = MorphingBasis.of(self.run.process)

    @property
    def largest(self) -> Recipe:
        """That of the run."""
        config = self.run.config
        return Recipe(config.simulation.events, config.transfer.network.hidden, replicas=config.posterior.replicas)

    @cached_property
    def networks(self) -> Networks:
        """Those of the run."""
        return load_networks(self.run)

    @cached_property
    def observed(self) -> Tensor:
        return Reconstruction()(load_sample(self.run, self.name)[0])

    @cached_property
    def training(self) -> Pairs:
        return load_pairs(self.run, TRAINING)

    @cached_property
    def validation(self) -> tuple[Tensor, Tensor]:
        """(x_reco, x_hard) on which no network was trained."""
        x_reco, x_hard = load_pairs(self.run, VALIDATION).accepted_pairs
        return x_reco[:4000], x_hard[:4000]

    @cached_property
    def hard(self) -> Coefficients:
        """Of the same events with x_hard known."""
        hard = load_sample(self.run, self.name)[1]
        assert hard is not None, "the yardstick needs a simulated sample"
        sigma, _ = simulated_cross_section(self.run.process, parquet.read_pairs(self.run.events(TRAINING)))
        return yardstick_coefficients(self.run.process, hard.x, torch.ones(len(hard)), sigma)

    def budget(self, events: int, points: int) -> Budget:
        """Of the first ``events`` with ``points`` for each integral, with the networks of the run."""
        fiducial = FiducialCrossSection.load(self.run.fiducial)
        resamples = self.run.config.integration.resamples
        return self._budget(self._integrated(self.networks, fiducial, events, points, resamples))

    def _budget(self, coefficients: Coefficients) -> Budget:
        return budget(coefficients, self.basis, None, unusable_events(coefficients, self.basis))[1]

    def _integrated(
        self, networks: Networks, fiducial: FiducialCrossSection, events: int, points: int, resamples: int
    ) -> Coefficients:
        x_reco = self.observed[:events]
        integrand = Integrand(self.run.process, networks.transfer, networks.acceptance, networks.proposal, x_reco)
        settings = replace(self.run.config.integration, min_points=points, max_points=points, resamples=resamples)
        reference = mixture_coefficients(self.run.process)
        found = integrate(integrand, len(x_reco), reference, settings, self.run.seed("budget", points))
        return Coefficients(
            found.values,
            found.covariance,
            fiducial.values,
            fiducial.covariance,
            bootstrap=found.bootstrap,
            fiducial_bootstrap=fiducial.bootstrap if resamples else None,
        )

    def quality(self, networks: Networks, events: int, points: int) -> Quality:
        """Of ``networks`` by the first ``events`` of the sample."""
        process, n = self.run.process, self.run.config.likelihood.fiducial_events
        fiducial = fiducial_cross_section(process, networks.acceptance, n, generator(self.run.config.seed, "budget"))
        coefficients = self._integrated(networks, fiducial, events, points, 0)
        result, hard = self._budget(coefficients), self.hard.select(slice(0, events))
        known = fit(NegativeTwoLogLikelihood.of(hard, self.basis))
        nearest = np.array(result.estimate.nearest(known.theta).theta)
        scores = [score_test(c, self.basis, known.theta) for c in (coefficients, hard)]
        pull = [s.scores[:, 0] / np.nansum(np.square(s.scores)) for s in scores]
        log_p = networks.transfer("log_prob", *self.validation).detach()
        assert result.network is not None
        return Quality(
            held_out=float((torch.logsumexp(log_p, 0) - np.log(len(log_p))).mean()),
            network=result.network.std[0],
            shift=float(difference(nearest, known.theta, self.basis.parameters)[0]),
            shift_error=float(np.nanstd(pull[0] - pull[1]) * np.sqrt(events)),
            kept=float(information_kept(*scores)[0][0]),
            estimate=float(nearest[0]),
        )

    def trained(self, recipe: Recipe, seed: int) -> Networks:
        """Networks of another size or with less simulation; the proposal is that of the run."""
        run, pairs = replace(self.run, config=self._config(recipe)), self._part(recipe)
        transfer, acceptance = (build(run, name) for name in ("transfer", "acceptance"))
        for module in (transfer, acceptance):
            module.reset(generator(seed, "first weights"))
        transfer.fit_scales(*pairs.accepted_pairs)
        acceptance.classifier.features.fit(acceptance.residuals.features(pairs.x_hard))
        rows, posterior = (pairs.x_hard, pairs.accepted.double()), run.config.posterior
        settings = [(section.training, posterior) for section in (run.config.transfer, run.config.acceptance)]
        return Networks(
            trained(transfer, negative_log_likelihood, pairs.accepted_pairs, settings[0], derive_seed(seed, "transfer")),
            trained(acceptance, cross_entropy, rows, settings[1], derive_seed(seed, "acceptance")),
            self.networks.proposal,
        )

    def _part(self, recipe: Recipe) -> Pairs:
        all_pairs, rows = self.training, slice(recipe.first, recipe.first + recipe.events)
        before = int(all_pairs.accepted[: recipe.first].sum())
        accepted = all_pairs.accepted[rows]
        return Pairs(all_pairs.x_hard[rows], accepted, all_pairs.x_reco[before : before + int(accepted.sum())])

    def _config(self, recipe: Recipe) -> Config:
        """That of the run for f² times fewer events: f times smaller batches, f times the epochs of the transfer density.

        It then has as many steps; the acceptance, whose events are many more, has f times fewer.
        """
        config = self.run.config
        f = np.sqrt(config.simulation.events / recipe.events)
        network = replace(config.transfer.network, hidden=recipe.hidden)
        posterior = replace(config.posterior, replicas=recipe.replicas, epochs=round(f * config.posterior.epochs))
        transfer = {"network": network, "training": _stretched(config.transfer.training, f, f)}
        classifier = replace(config.acceptance.network, hidden=round(recipe.hidden * 2 / 3))
        acceptance = {"network": classifier, "training": _stretched(config.acceptance.training, f, 1)}
        return config.model_copy(
            update={
                "transfer": config.transfer.model_copy(update=transfer),
                "acceptance": config.acceptance.model_copy(update=acceptance),
                "posterior": posterior,
            }
        )


def _stretched(training: TrainingSettings, f: float, longer: float) -> TrainingSettings:
    return replace(
        training,
        epochs=round(longer * training.epochs),
        patience=round(longer * training.patience),
        batch_size=max(1, round(training.batch_size / f)),
    )
