"""A measurement from Python: simulate, train, integrate, measure as the stages of ``bmem run`` do, with nothing on disk."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from iminuit.cost import NormalConstraint
from numpy.typing import ArrayLike
from pydantic import ValidationError
from torch import Tensor

from bmem.channels import load_channel, meant
from bmem.channels.contract import Channel, acceptance_coordinates, lacking
from bmem.channels.nuisances import make_nuisances, varied_response
from bmem.channels.section import mistakes
from bmem.config.model import ChainSettings, Config, wrong_truth
from bmem.config.sections import TRAINING, VALIDATION, FitSection, NuisanceSection
from bmem.devices import chosen
from bmem.errors import ChannelError, ConfigError, InputError, TrustWarning
from bmem.events.record import PairedEvents, RecoEvents, event_numbers
from bmem.inference.bias import Validation
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.objective import Basis
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.coordinates import Varied
from bmem.likelihood.cross_section import (
    FiducialCrossSection,
    counted_cross_section,
    fiducial_cross_section,
    mixture_coefficients,
    resampled_cross_section,
    with_learned_detector,
)
from bmem.likelihood.event_integrals import EventIntegrator
from bmem.likelihood.learning import Learned, Learner, Observer, unobserved
from bmem.likelihood.networks import Networks, TrainedNetworks
from bmem.likelihood.nuisances import NONE, Nuisances
from bmem.likelihood.ratio import Ratio
from bmem.likelihood.roles import Acceptance, Pairs, Proposal, Role, Transfer
from bmem.measurement import Measurement, measure_hypothesis
from bmem.process.contract import Process
from bmem.replicas import Replicas
from bmem.replicas.resamples import resample_counts
from bmem.rng import derive_seed, generator
from bmem.simulation.contract import Response
from bmem.simulation.hard_events import events_at, uniform_events, with_drawn_nuisances, with_nuisances_at
from bmem.simulation.pairs import Schedule, simulate
from bmem.workers import Workers


class Chain:
    """One measurement, step by step; with equal seeds and names its results are those of ``bmem run``.

    Args:
        channel: a channel, or the name that the configuration would have: "toy", "package.module:object".
        device: where is trained and integrated: "cpu", "cuda" and so on, or "auto".
        seed: of all random numbers.
        observer: called with (what is done, how much of it is done, how much there is), for progress bars.
        constraints: external measurements, with names and stored units of the parameters.
        workers: share the events to simulate and to integrate, as those of ``bmem.workers.processes``.
        nuisances: systematic effects, or the tables [[nuisance]] that the configuration would have.
        sections: any of ``ChainSettings``, as settings or as the table that the configuration would have.

    Raises:
        ChannelError: there is no such channel, or it lacks what a channel must offer.
        ConfigError: a section has unknown or wrong keys.
    """

    def __init__(
        self,
        channel: Channel | str,
        *,
        device: str | torch.device = "cpu",
        seed: int = 1,
        observer: Observer = unobserved,
        constraints: Sequence[NormalConstraint] = (),
        workers: Workers | None = None,
        nuisances: Nuisances | Sequence[Mapping[str, Any] | NuisanceSection] = NONE,
        **sections: Any,
    ) -> None:
        self.channel = _channel(channel)
        self.device = chosen(str(device))
        self.seed = seed
        self.observer = observer
        self.constraints = tuple(constraints)
        self.workers = workers
        self.nuisances = _nuisances(nuisances, self.channel)
        self.settings = _settings(sections)

    @classmethod
    def of(cls, config: Config, *, device: str = "cpu", observer: Observer = unobserved) -> Chain:
        """The chain of a configuration; its samples, bank and calibration are of no concern to it.

        Raises:
            ConfigError: it has backgrounds.
        """
        if config.background:
            raise ConfigError(
                "[[background]]: a chain simulates and integrates signal alone; use bmem run, or give Chain.measure the "
                "log-densities of the events under each background"
            )
        own, sections = config.channel.make(), sections_of(config) | {"constraints": config.constraints}
        sections |= {"nuisances": config.nuisance}
        return cls(own, device=device, seed=config.seed, observer=observer, **sections)

    def simulate(self, events: int, *, name: str | None = None, repeats: int = 1, **truth: float) -> PairedEvents:
        """``events`` hard events, each with ``repeats`` responses.

        Args:
            events: of the hard process.
            name: decides the random numbers, with the seed; where it is not given, "training" or the truth.
            repeats: responses of each.
            truth: the parameters by name, in printed units (degrees for an angle), for a sample, and where they are not 0
                nuisance parameters of the detector; without any they are uniform over their ranges: to train on.

        Raises:
            ConfigError: the truth names no parameter, or one outside of its range.
            InputError: it lacks one.
        """
        if truth:
            name = name or ", ".join(f"{key}={value:g}" for key, value in truth.items())
            of_detector = {key: truth.pop(key, 0.0) for key in self.nuisances.widths}
            hard = events_at(self.channel.process, events, self._stored(truth), self.seed, name).repeat(repeats)
            hard = with_nuisances_at(hard, of_detector)
        else:
            name = name or TRAINING
            hard = uniform_events(self.channel.process, events, self.seed, name).repeat(repeats)
            hard = with_drawn_nuisances(hard, self.nuisances.widths, self.seed, name)
        seed, told = derive_seed(self.seed, "response", name), partial(self.observer, f"simulate {name}")
        schedule = Schedule(workers=self.workers)
        return simulate(hard, self.response, self.channel.selection, seed, schedule=schedule, progress=told)

    def train(self, pairs: PairedEvents) -> TrainedNetworks:
        """The networks, with the fiducial cross section, from ``pairs`` whose parameters are uniform over their ranges.

        Warns:
            TrustWarning: a posterior over weights is doubtful.
        """
        data, made = self.pairs(pairs), dict[str, Replicas]()
        learned: dict[str, Learned] = {}
        for role in self.roles:
            learned[role.name] = self.learner().learn(role, data, made)
            made[role.name] = learned[role.name].replicas
            for suspicion in learned[role.name].suspicions:
                warnings.warn(f"{role.name}: {suspicion}", TrustWarning, stacklevel=2)
        histories = {name: history for one in learned.values() for name, history in one.histories.items()}
        fiducial = self.fiducial(made["acceptance"], pairs)
        return TrainedNetworks(**vars(Networks.of(made)), fiducial=fiducial, histories=histories)

    def integrate(
        self,
        sample: PairedEvents | RecoEvents,
        networks: TrainedNetworks,
        *,
        name: str = "sample",
        events: int | None = None,
    ) -> Coefficients:
        """The integrals of a simulated sample, or of observed events, to which the selection is applied first.

        Args:
            sample: of it only what the detector saw is used.
            networks: from ``train``.
            name: decides the random numbers, with the seed; of a run the name of the sample.
            events: the first so many that are accepted; None: all.

        Raises:
            InputError: no event is accepted.

        Warns:
            TrustWarning: integrals are not finite.
        """
        selection = self.channel.selection
        reco = sample.reco if isinstance(sample, PairedEvents) else selection.keep_objects(sample[selection.accept(sample)])
        if not len(reco):
            raise InputError("no event of the sample passes the selection; give more events, or loosen the selection")
        x_reco = self.channel.observe(reco)[:events].to(self.device)
        integrator = self.integrator(networks, networks.fiducial, name, self.settings.integration)
        return integrator.coefficients(x_reco, partial(self.observer, f"integrate {name}"), self.workers)

    def validate(self, pairs: PairedEvents, networks: TrainedNetworks, *, events: int | None = None) -> Validation:
        """What tells the bias of a measurement with these ``networks``: the first ``events`` accepted ones of the ``pairs``.

        Args:
            pairs: uniform in the parameters, as ``simulate(n, name="validation")`` makes them, none of them trained on.
            networks: from ``train``.
            events: None: all; each is integrated in one replica of the networks, which take turns.

        Raises:
            InputError: no event is accepted.
        """
        x_reco, x_hard = self.pairs(pairs).accepted_pairs
        if not len(x_reco):
            raise InputError("no validation event passes the selection; give more events, or loosen the selection")
        settings = replace(self.settings.integration, resamples=0)
        integrator = self.integrator(networks, networks.fiducial, VALIDATION, settings)
        observed = integrator.coefficients(x_reco[:events], partial(self.observer, f"integrate {VALIDATION}"), self.workers)
        return validation(self.channel.process, observed, x_hard[:events])

    def measure(
        self,
        coefficients: Coefficients,
        backgrounds: Mapping[str, ArrayLike] | None = None,
        validation: Validation | None = None,
    ) -> Measurement:
        """The measurement from integrals, of the first ``fit.events`` if the settings name a number.

        Args:
            coefficients: from ``integrate``.
            backgrounds: as for ``bmem.measure``, of the same events.
            validation: events that tell the bias, from ``validate``.

        Raises:
            FitError: as ``bmem.measurement.measure_hypothesis``.
        """
        fit, first = self.settings.fit, slice(self.settings.fit.events)
        known = {name: np.asarray(logs)[..., first] for name, logs in (backgrounds or {}).items()}
        beside: dict[str, Any] = {"backgrounds": known, "nuisances": self.nuisances, "validation": validation}
        return measure(coefficients.select(first), self.channel, fit, self.constraints, **beside)

    @property
    def response(self) -> Response:
        """That of the channel, with the nuisance parameters of the detector."""
        return varied_response(self.channel, self.nuisances)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The networks, in the order in which they are trained."""
        channel, settings = self.channel, self.settings
        transfer, acceptance, proposal = settings.transfer, settings.acceptance, settings.proposal
        learned = (proposal.network, proposal.defensive, proposal.pairs)
        count, given_hard = len(self.nuisances.widths), (channel.transfer, acceptance_coordinates(channel))
        response, accepted = (Varied(one, count) if count else one for one in given_hard)
        found = (
            Transfer("transfer", response, transfer.training, transfer.network),
            Acceptance("acceptance", accepted, acceptance.training, acceptance.network),
            Proposal("proposal", channel.proposal, proposal.training, *learned, channel.process),
        )
        return (*found, self.ratio) if settings.ratio.learn else found

    @property
    def ratio(self) -> Ratio:
        """The regression on all that is observed, which no likelihood needs."""
        section = self.settings.ratio
        return Ratio("ratio", self.channel.proposal, section.training, section.network, self.channel.process)

    def pairs(self, pairs: PairedEvents) -> Pairs:
        """What the networks are trained on, on the device."""
        device = self.device
        observed = self.channel.observe(pairs.reco).to(device)
        names = list(self.nuisances.widths)
        drawn = torch.stack([pairs.hard.nuisance(name) for name in names], -1).to(device) if names else None
        return Pairs(pairs.hard.x.to(device), pairs.accepted.to(device), observed, drawn)

    def learner(self, checkpoints: Path | None = None, workers: Workers | None = None) -> Learner:
        """Trains one network after the other, with ``workers`` for the members of an ensemble.

        Unfinished trainings are kept in the folder ``checkpoints``.
        """
        return Learner(self.settings.posterior, self.seed, checkpoints, self.observer, self.device, workers)

    def fiducial(self, acceptance: Replicas, pairs: PairedEvents | None) -> FiducialCrossSection:
        """σ_fid, counted from the training ``pairs`` or integrated with the learned ``acceptance``, as the settings say.

        Raises:
            InputError: it is to be counted, and there are no pairs.
        """
        process, section, resamples = self.channel.process, self.settings.likelihood, self.settings.integration.resamples
        if section.fiducial == "learned":
            rng = generator(self.seed, "fiducial")
            return fiducial_cross_section(process, acceptance, section.fiducial_events, rng, resamples)
        if pairs is None:
            raise InputError("σ_fid is counted from the training pairs; give them, or set likelihood.fiducial = 'learned'")
        if self.settings.posterior.resamples:
            counts = resample_counts(int(pairs.hard.numbers.max()) + 1, len(acceptance), self.seed)
            counted = resampled_cross_section(process, pairs, counts, resamples, nuisances=self.nuisances)
        else:
            counted = counted_cross_section(process, pairs, len(acceptance), self.seed, resamples, nuisances=self.nuisances)
        return with_learned_detector(process, counted, acceptance, pairs.hard, self.nuisances)

    def integrator(
        self, networks: Networks, fiducial: FiducialCrossSection, name: str, settings: IntegrationSettings
    ) -> EventIntegrator:
        """Integrates the events of the sample ``name``; those of the validation in one replica each, which take turns."""
        seed = derive_seed(self.seed, "integrate", name)
        process, in_turns = self.channel.process, name == VALIDATION
        return EventIntegrator(process, networks, fiducial, settings, seed, self.nuisances, in_turns)

    def _stored(self, truth: Mapping[str, float]) -> list[float]:
        parameters = self.channel.parameters
        problems = list(wrong_truth(truth, parameters, "simulate: "))
        if problems:
            raise ConfigError("\n  ".join(problems))
        missing = [p.name for p in parameters if p.name not in truth]
        if missing:
            raise InputError(f"simulate: a sample needs the true value of {', '.join(missing)} too")
        return [float(p.quantity.stored(truth[p.name])) for p in parameters]


def measure(
    coefficients: Coefficients,
    channel: Channel | str,
    fit: FitSection | None = None,
    constraints: Sequence[NormalConstraint] = (),
    *,
    backgrounds: Mapping[str, ArrayLike] | None = None,
    nuisances: Nuisances | Sequence[Mapping[str, Any] | NuisanceSection] = NONE,
    validation: Validation | None = None,
) -> Measurement:
    """Estimate, intervals, uncertainties and posterior of the parameters of a channel.

    Args:
        coefficients: of the events, all of which are used.
        channel: as for ``Chain``.
        fit: luminosity, further bases and strength, as in the section [fit] of a configuration.
        constraints: external measurements, with names and stored units of the parameters; that of the fraction of a
            background NAME is f_NAME.
        backgrounds: log-densities [N] or [R, N] of the observations under each background, by name; those that the channel
            states are ``channel.backgrounds[name].log_density``. Their fractions are fitted too.
        nuisances: those with which the events were integrated, as for ``Chain``.
        validation: events that tell the bias of the method, from ``Chain.validate``.

    Raises:
        ChannelError: as ``Chain``.
        ConfigError: the channel has not a basis that ``fit`` names.
        FitError: the likelihood has no minimum, or does not depend on one of several parameters.
    """
    channel, fit = _channel(channel), fit or FitSection()
    for name in fit.bases:
        if name not in channel.bases:
            raise ConfigError(f"fit.bases: the channel has no basis {name!r}{meant(name, channel.bases)}")
    varied = _nuisances(nuisances, channel)
    known = [*constraints, *external_constraints(varied)]
    stated = hypotheses(coefficients, channel, fit, constraints=known, backgrounds=backgrounds, nuisances=varied.basis)
    return measure_hypothesis(*stated, validation=validation)


def validation(process: Process, observed: Coefficients, x_hard: Tensor) -> Validation:
    """Validation events, uniform in the parameters: their integrals, each in one replica, and their ``x_hard`` [N, D]."""
    exact, mixture = process.components(x_hard).cpu().numpy(), mixture_coefficients(process).numpy()
    return Validation(observed.values[0], exact, mixture, event_numbers(x_hard).cpu().numpy())


def external_constraints(nuisances: Nuisances) -> tuple[NormalConstraint, ...]:
    """What is known of nuisance parameters from elsewhere."""
    return tuple(NormalConstraint(one.name, one.value, one.error) for one in nuisances.entries)


def hypotheses(
    signal: Coefficients, channel: Channel, fit: FitSection, **known: Any
) -> tuple[Hypothesis, dict[str, Hypothesis]]:
    """What is measured, and what else ``fit`` asks of the same integrals, by name: further bases, a signal strength.

    ``known`` are ``backgrounds``, their ``bounds``, ``nuisances`` and the ``constraints``, as for ``Hypothesis.of``.
    """
    own = MorphingBasis.of(channel.process)

    def hypothesis(basis: Basis, name: str, strength: bool = False) -> Hypothesis:
        rate = channel.rate.get(name)
        return Hypothesis.of(signal, basis, luminosity=fit.luminosity, rate=rate, strength=strength, **known)

    further = {name: hypothesis(channel.bases[name], name) for name in fit.bases}
    if fit.strength:
        further["strength"] = hypothesis(own, "process", strength=True)
    return hypothesis(own, "process"), further


def sections_of(config: Config) -> dict[str, Any]:
    """The sections of a configuration that a chain has, by name."""
    return {name: getattr(config, name) for name in ChainSettings.model_fields}


def _settings(sections: Mapping[str, Any]) -> ChainSettings:
    try:
        return ChainSettings(**sections)
    except ValidationError as error:
        lines = mistakes(error, sections, ChainSettings())
        raise ConfigError("\n  ".join([f"Chain: {len(lines)} problem(s)", *lines])) from error


def _nuisances(stated: Nuisances | Sequence[Mapping[str, Any] | NuisanceSection], channel: Channel) -> Nuisances:
    if isinstance(stated, Nuisances):
        return stated
    try:
        entries = [NuisanceSection(**one) if isinstance(one, Mapping) else one for one in stated]
    except ValidationError as error:
        raise ConfigError("\n  ".join(["nuisances:", *mistakes(error, {}, None)])) from error
    return make_nuisances(entries, channel)


def _channel(channel: Channel | str) -> Channel:
    """The channel of that name, or the one that is given, if it offers what it must."""
    if isinstance(channel, str):
        return load_channel(channel)
    missing = ["an instance, not the class"] if isinstance(channel, type) else lacking(channel)
    if missing:
        raise ChannelError(
            f"the channel {channel!r} lacks {', '.join(missing)}; see bmem.channels.contract.Channel, or derive it from "
            "bmem.channels.base.BaseChannel"
        )
    return channel
