"""A configuration as a whole: what its sections must not say together, and what follows from them.

Parameters have their printed units here and in everything that is printed (degrees for an angle).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from iminuit.util import describe
from pydantic import Field, model_validator

from bmem.channels.nuisances import kinds_of, read_kind
from bmem.channels.section import ChannelSection
from bmem.config.sections import (
    EXTERNAL,
    INTERNAL,
    MOST_BACKGROUNDS,
    MOST_STANDARD_DEVIATIONS,
    AcceptanceSection,
    BackgroundSection,
    BeltSection,
    CalibrationSection,
    ConstraintSection,
    DensitySection,
    FiguresSection,
    FitSection,
    LikelihoodSection,
    NuisanceSection,
    ProposalSection,
    RatioSection,
    SampleSection,
    Section,
    SimulationSection,
)
from bmem.errors import ConfigError, InputError
from bmem.inference.parameters import CROSS_SECTIONS, LARGEST_FRACTION, SMALLEST_FRACTION, STRENGTH
from bmem.integration.settings import IntegrationSettings
from bmem.quantity import Parameter
from bmem.replicas.settings import PosteriorSettings
from bmem.wording import array_entry, meant


class DataSettings(Section):
    """Where events come from, and what they may be."""

    seed: int = Field(1, ge=0, description="seed of all random numbers")
    device: str = Field(
        "cpu",
        description='where networks are trained and integrals computed: "cpu", "cuda" (or "cuda:1"), "auto": a GPU if any',
    )
    channel: ChannelSection = Field(default_factory=ChannelSection)
    simulation: SimulationSection = SimulationSection()
    sample: tuple[SampleSection, ...] = Field((), description="the event samples to measure: one [[sample]] each")
    background: tuple[BackgroundSection, ...] = Field(
        (), max_length=MOST_BACKGROUNDS, description="backgrounds in the samples: one [[background]] each"
    )
    nuisance: tuple[NuisanceSection, ...] = Field((), description="systematic effects: one [[nuisance]] each")
    constraint: tuple[ConstraintSection, ...] = Field((), description="external measurements: one [[constraint]] each")


class ChainSettings(Section):
    """What decides how events are measured: the sections that a ``bmem.Chain`` takes by these names."""

    transfer: DensitySection = DensitySection()
    acceptance: AcceptanceSection = AcceptanceSection()
    posterior: PosteriorSettings = PosteriorSettings()
    proposal: ProposalSection = ProposalSection()
    ratio: RatioSection = RatioSection()
    integration: IntegrationSettings = IntegrationSettings()
    likelihood: LikelihoodSection = LikelihoodSection()
    fit: FitSection = FitSection()


class Config(ChainSettings, DataSettings):
    """Everything that determines a result."""

    belt: BeltSection = BeltSection()
    calibration: CalibrationSection = CalibrationSection()
    figures: FiguresSection = FiguresSection()

    @model_validator(mode="after")
    def _agrees(self) -> Config:
        """Every contradiction is told; the constraints are of parameters that are known where there is none."""
        found = list(self._contradictions()) or list(self._wrong_constraints())
        if found:
            raise ValueError("\n".join(found))
        return self

    def _contradictions(self) -> Iterator[str]:
        for section in ("sample", "background", "nuisance"):
            names = [entry.name for entry in getattr(self, section)]
            if len(set(names)) < len(names):
                yield f"[[{section}]] names must differ, got {names}"
        if self.belt.bank_events and (self.background or self.fit.luminosity is not None):
            yield from self._wrong_belt()
        if self.belt.resample and not self.integration.resamples:
            yield "belt.resample needs resamples of the integrals: set integration.resamples, to 20 say"
        if self.fit.strength and self.fit.luminosity is None:
            yield "fit.strength: only the number of events sees the signal strength; give fit.luminosity"
        if self.background:
            yield from self._wrong_backgrounds()
        # the channel, and torch with it, is made only for what it must be asked
        if self.sample or self.calibration.truths:
            yield from self._wrong_truths()
        if self.sample:
            yield from self._wrong_networks()
        if self.background or self.fit.bases:
            yield from self._unknown_names()
        if self.nuisance:
            yield from self._wrong_nuisances()

    def _wrong_backgrounds(self) -> Iterator[str]:
        wanted, other = ("fraction", "cross_section")[:: 1 if self.fit.luminosity is None else -1]
        for background in self.background:
            if getattr(background, wanted) is None:
                where = f"[[background]] {background.name!r}: {'without' if wanted == 'fraction' else 'with'} fit.luminosity"
                yield f"{where} give a {wanted!r} in place of the {other!r}"
        if self.fit.luminosity is None:
            total = sum(background.fraction or 0.0 for background in self.background)
            if total >= LARGEST_FRACTION:
                yield f"[[background]]: the fractions add up to {total:g}; no signal is left to measure"

    def _wrong_belt(self) -> Iterator[str]:
        """What a belt cannot do where θ is not all that its toys know."""
        what = "with [[background]] or fit.luminosity"
        if self.belt.replicas == "drawn":
            yield f"belt.replicas: {what} the toys average over the replicas; take out replicas = 'drawn'"
        if self.belt.resample:
            yield f"belt.resample: {what} toys have the integration errors of the bank; take it out"
        constrained, pairs = {entry.parameter for entry in self.constraint}, zip(self.background, self.shares, strict=True)
        floating = [b.name for b, p in pairs if b.error is None and p.name not in constrained]
        if self.belt.nuisances == "drawn" and floating:
            key = "fraction_error" if self.fit.luminosity is None else "cross_section_error"
            yield (
                f"belt.nuisances = 'drawn': nothing is known of the background {', '.join(floating)} to draw from; give a "
                f"{key}, or take nuisances = 'profiled'"
            )

    def _wrong_nuisances(self) -> Iterator[str]:
        channel = self.channel.make()
        for entry in self.nuisance:
            yield from read_kind(entry, channel)[0]
        taken = {p.name for basis in channel.bases.values() for p in basis.parameters} | {p.name for p in channel.parameters}
        taken |= {STRENGTH.name, *INTERNAL, *(p.name for p in self.shares)}
        for name in taken & {entry.name for entry in self.nuisance}:
            yield f"[[nuisance]] {name}: another parameter has this name; choose one of its own"
        if self.belt.bank_events:
            yield "[[nuisance]]: the toys of a belt know none; take out belt.bank_events"
        if self.likelihood.fiducial == "learned":
            yield "[[nuisance]]: σ_fid is counted where there are any; take out likelihood.fiducial"

    def _wrong_truths(self) -> Iterator[str]:
        parameters = self.channel.make().parameters
        for sample in self.sample:
            place = array_entry("sample", 0, sample.name)
            own = {entry.name for entry in self.nuisance}
            yield from self._wrong_nuisance_truths(sample.truth, place)
            truth = {name: value for name, value in sample.truth.items() if name not in own}
            yield from wrong_truth(truth, parameters, f"{place}: ")
            missing = [p.name for p in parameters if p.name not in sample.truth]
            if missing and sample.file is None:
                yield f"{place}: a generated sample needs the true value of {', '.join(missing)}"
        for value in self.calibration.truths:
            yield from wrong_truth({self.first.name: value}, parameters, "calibration.truths: ")

    def _wrong_nuisance_truths(self, truth: Mapping[str, Any], place: str) -> Iterator[str]:
        kinds = kinds_of(self.channel.make())
        for entry in self.nuisance:
            value = truth.get(entry.name, 0.0)
            if entry.name in truth and not hasattr(kinds.get(entry.kind), "effect"):
                yield f"{place}: {entry.name}: a sample is simulated with the nominal theory; take it out"
            elif isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MOST_STANDARD_DEVIATIONS:
                yield f"{place}: {entry.name} = {value!r} must be a number within ±{MOST_STANDARD_DEVIATIONS:g}"

    def _wrong_networks(self) -> Iterator[str]:
        """Networks that do not read what the channel observes, if that is a set of objects."""
        channel = self.channel.make()
        target = getattr(channel.transfer, "target", None)
        if target is None:
            return
        from bmem.events.observation import Layout
        from bmem.likelihood.density import condition_layout

        hard = Layout(len(channel.proposal.circular))
        for name, rows, coordinates, kind in (
            ("transfer", target, channel.transfer, "transfermer"),
            ("proposal", hard, channel.proposal, "set_coupling"),
        ):
            try:
                getattr(self, name).network.make(rows, coordinates.circular, condition_layout(coordinates))
            except ConfigError as error:
                yield f"{name}.network: events are observed as sets of objects: {error}, as {{ kind = {kind!r} }}"

    def _unknown_names(self) -> Iterator[str]:
        """Stated densities and bases."""
        channel = self.channel.make()
        named = [("density", b.density, list(channel.backgrounds)) for b in self.background if b.density is not None]
        named += [("basis", basis, list(channel.bases)) for basis in self.fit.bases]
        for what, name, known in named:
            if name not in known:
                yield f"the channel {self.channel.name!r} has no {what} {name!r}{meant(name, known)}"

    def _wrong_constraints(self) -> Iterator[str]:
        if not self.constraint:
            return
        parameters = self.parameters
        shown = [EXTERNAL.get(parameter.name, parameter.name) for parameter in parameters]
        unknown = [entry.parameter for entry in self.constraint if entry.parameter not in shown]
        for name in unknown:
            yield (
                f"[[constraint]] on {name!r}, which is not free in this configuration: it fits {shown} "
                "(those of other bases with fit.bases, strength with fit.strength, with a [[background]] NAME f_NAME or, if "
                "there is a fit.luminosity, sigma_NAME)"
            )
        if self.belt.bank_events and any(constraint.parameter == self.first.name for constraint in self.constraint):
            yield (
                f"[[constraint]] on {self.first.name}: the toys of a belt know only events; take out the constraint or "
                "belt.bank_events"
            )
        if not unknown:
            yield from self._contradicting_constraints(parameters)

    def _contradicting_constraints(self, parameters: tuple[Parameter, ...]) -> Iterator[str]:
        from bmem.inference.constraints import agree

        for parameter in parameters:
            costs = [cost for cost in self.constraints if describe(cost) == [parameter.name]]
            try:
                agree(costs, parameters)
            except InputError:
                name, quantity = EXTERNAL.get(parameter.name, parameter.name), parameter.quantity
                values = ", ".join(f"{float(quantity.printed(cost.value[0])):g}{quantity.suffix}" for cost in costs)
                low, high = quantity.printed(parameter.bounds)
                yield (
                    f"[[constraint]] on {name}: {values} contradict each other or the range of {name}, {low:g} to "
                    f"{high:g}{quantity.suffix}; correct them, or give larger errors"
                )

    @property
    def first(self) -> Parameter:
        """The parameter that is scanned and calibrated: the channel's first."""
        return self.channel.make().parameters[0]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All that any fit of this configuration has free, with the names and units of the likelihood."""
        channel = self.channel.make()
        found = [*channel.parameters, *(p for name in self.fit.bases for p in channel.bases[name].parameters)]
        found += [STRENGTH] if self.fit.strength else []
        return (*found, *self.shares)  # not those of [[nuisance]], which state their own external measurements

    @property
    def shares(self) -> tuple[Parameter, ...]:
        """Fractions of the backgrounds, the ends of whose ranges share what a sample can hold, or their cross sections."""
        if self.fit.luminosity is not None:
            low, high = CROSS_SECTIONS
            return tuple(Parameter(f"sigma_{b.name}", (low * b.expected, high * b.expected)) for b in self.background)
        total = sum(background.expected for background in self.background)
        ends = [LARGEST_FRACTION * background.expected / total for background in self.background]
        return tuple(
            Parameter(f"f_{b.name}", (SMALLEST_FRACTION, end)) for b, end in zip(self.background, ends, strict=True)
        )

    @property
    def constraints(self) -> tuple[NormalConstraint, ...]:
        """All external measurements with the names and units of the likelihood, those of the backgrounds too."""
        known = [(p.name, b) for b, p in zip(self.background, self.shares, strict=True) if b.error is not None]
        shares = [NormalConstraint(name, b.expected, b.error) for name, b in known]
        return (*(self._cost(constraint) for constraint in self.constraint), *shares)

    def _cost(self, constraint: ConstraintSection) -> NormalConstraint:
        name = INTERNAL.get(constraint.parameter, constraint.parameter)
        quantity = next(p for p in self.parameters if p.name == name).quantity
        return NormalConstraint(name, float(quantity.stored(constraint.value)), float(quantity.stored(constraint.error)))

    @property
    def truths(self) -> tuple[float, ...]:
        """Truths of the first parameter at which toys of the bank are measured, printed; of an angle their magnitudes."""
        low, high = self.first.bounds
        start = low if self.first.period is None else max(low, 0.0)
        spread = self.first.quantity.printed(np.linspace(start, high, 13))
        return self.calibration.truths or tuple(float(value) for value in spread.round(9))

    @property
    def precisions(self) -> tuple[float, ...]:
        """Wanted errors of the first parameter, printed."""
        low, high = self.first.quantity.printed(self.first.bounds)
        return self.calibration.precisions or tuple(float(v) for v in ((high - low) / np.array([36, 72, 180])).round(9))

    def nuisances_of(self, sample: SampleSection) -> dict[str, float]:
        """The nuisance parameters at which a sample is simulated, where they are given: 0 where they are not."""
        return {entry.name: float(sample.truth[entry.name]) for entry in self.nuisance if entry.name in sample.truth}

    def theta(self, sample: SampleSection) -> tuple[float, ...] | None:
        """The true parameters of a sample [P], stored; None if the configuration does not give all of them."""
        parameters, truth = self.channel.make().parameters, sample.truth
        if any(p.name not in truth for p in parameters):
            return None
        return tuple(float(p.quantity.stored(truth[p.name])) for p in parameters)


def wrong_truth(truth: Mapping[str, Any], parameters: Sequence[Parameter], place: str) -> Iterator[str]:
    """What is wrong with the values of a truth, each of a parameter within its range; ``place`` comes before the names."""
    known = {p.name: p for p in parameters}
    for name, value in truth.items():
        if name not in known:
            keys = [*SampleSection.model_fields, *known]
            yield f"{place}{name}: is no key, nor a parameter of the channel{meant(name, keys)}"
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{place}{name} = {value!r} is not a number"
        else:
            quantity = known[name].quantity
            low, high = quantity.printed(known[name].bounds).round(9)
            if not low <= value <= high:
                yield f"{place}{name} = {value:g} lies outside of its range, {low:g} to {high:g}{quantity.suffix}"
