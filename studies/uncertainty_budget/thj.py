"""tHj: the budget with the networks of a finished run, and with networks of other sizes and less simulation."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from bmem.calibration.score import information_kept, score_test
from bmem.calibration.yardstick import yardstick_coefficients
from bmem.chain import Chain, sections_of
from bmem.channels.thj.reconstruction import Reconstruction
from bmem.config import TRAINING, VALIDATION, Config, parse
from bmem.events import parquet
from bmem.events.record import PairedEvents
from bmem.inference.combine import Budget, budget
from bmem.inference.minima import difference, fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection, simulated_cross_section
from bmem.likelihood.event_integrals import EventIntegrator
from bmem.likelihood.networks import TrainedNetworks
from bmem.replicas import Replicas
from bmem.stages import Run
from bmem.stages.simulate import load_sample
from bmem.stages.train import load_networks, load_pairs
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
        network: spread of α̂ over the replicas, which are resamples of the simulation.
        counting: the same through σ_k alone.
        weights: the same through the networks alone.
        shift: α̂ less that of the same events with x_hard known.
        shift_error: of the shift, because a reconstruction loses information; common to all networks.
        kept: share of the information with x_hard known that is kept.
        estimate: α̂.
        common: α̂ with the σ_k of the whole simulation of the run for all replicas, those of ``hard``.
    """

    held_out: float
    network: float
    counting: float
    weights: float
    shift: float
    shift_error: float
    kept: float
    estimate: float
    common: float


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
    def networks(self) -> TrainedNetworks:
        """Those of the run."""
        fiducial = FiducialCrossSection.load(self.run.fiducial)
        return TrainedNetworks(**vars(load_networks(self.run)), fiducial=fiducial, histories={})

    @cached_property
    def observed(self) -> Tensor:
        return Reconstruction()(load_sample(self.run, self.name)[0])

    @cached_property
    def training(self) -> PairedEvents:
        return parquet.read_pairs(self.run.events(TRAINING))

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
        sigma, _ = simulated_cross_section(self.run.process, self.training)
        return yardstick_coefficients(self.run.process, hard.x, torch.ones(len(hard)), sigma)

    def budget(self, events: int, points: int) -> Budget:
        """Of the first ``events`` with ``points`` for each integral, with the networks of the run."""
        return self._budget(self._integrated(self.networks, events, points, self.run.config.integration.resamples))

    def _budget(self, coefficients: Coefficients) -> Budget:
        return budget(coefficients, self.basis, None, unusable_events(coefficients, self.basis))[1]

    def _integrated(self, networks: TrainedNetworks, events: int, points: int, resamples: int) -> Coefficients:
        settings = replace(self.run.config.integration, min_points=points, max_points=points, resamples=resamples)
        seed = self.run.seed("budget", points)
        integrator = EventIntegrator(self.run.process, networks, networks.fiducial, settings, seed)
        return integrator.coefficients(self.observed[:events])

    def quality(self, networks: TrainedNetworks, events: int, points: int) -> Quality:
        """Of ``networks`` by the first ``events`` of the sample."""
        coefficients = self._integrated(networks, events, points, 0)
        result, hard = self._budget(coefficients), self.hard.select(slice(0, events))
        known = fit(NegativeTwoLogLikelihood.of(hard, self.basis))
        nearest = np.array(result.estimate.nearest(known.theta).theta)
        lost = unusable_events(coefficients, self.basis)
        common = replace(coefficients, fiducial=np.tile(hard.fiducial, (coefficients.n_replicas, 1)))
        scores = [score_test(c, self.basis, known.theta) for c in (coefficients, hard)]
        pull = [s.scores[:, 0] / np.nansum(np.square(s.scores)) for s in scores]
        log_p = networks.transfer("log_prob", *self.validation).detach()
        assert result.network is not None
        assert result.by_counting is not None
        assert result.by_networks is not None
        return Quality(
            held_out=float((torch.logsumexp(log_p, 0) - np.log(len(log_p))).mean()),
            network=result.network.std[0],
            counting=result.by_counting[0],
            weights=result.by_networks[0],
            shift=float(difference(nearest, known.theta, self.basis.parameters)[0]),
            shift_error=float(np.nanstd(pull[0] - pull[1]) * np.sqrt(events)),
            kept=float(information_kept(*scores)[0][0]),
            estimate=float(nearest[0]),
            common=float(fit(MarginalLikelihood.of(common, self.basis, None, lost)).nearest(known.theta).theta[0]),
        )

    def trained(self, recipe: Recipe, seed: int) -> TrainedNetworks:
        """Networks of another size or with less simulation, as a chain trains them; the proposal is that of the run."""
        config, pairs = self._config(recipe), self._part(recipe)
        chain = Chain(self.run.channel, seed=seed, **sections_of(config))
        data, made = chain.pairs(pairs), dict[str, Replicas]()
        for role in chain.roles[:2]:
            made[role.name] = chain.learner().learn(role, data, made).replicas
        fiducial = chain.fiducial(made["acceptance"], pairs)
        return TrainedNetworks(**made, proposal=self.networks.proposal, fiducial=fiducial, histories={})

    def _part(self, recipe: Recipe) -> PairedEvents:
        every, rows = self.training, slice(recipe.first, recipe.first + recipe.events)
        before, accepted = int(every.accepted[: recipe.first].sum()), every.accepted[rows]
        return PairedEvents(every.hard[rows], accepted, every.reco[before : before + int(accepted.sum())])

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
