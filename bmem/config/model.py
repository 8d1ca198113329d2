"""A configuration as a whole: what its sections must not say together, and what follows from them.

Parameters have their printed units here and in everything that is printed (degrees for an angle).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from pydantic import Field, model_validator

from bmem.channels import meant
from bmem.channels.section import ChannelSection
from bmem.config.sections import (
    EXTERNAL,
    INTERNAL,
    MOST_BACKGROUNDS,
    AcceptanceSection,
    BackgroundSection,
    BeltSection,
    CalibrationSection,
    ConstraintSection,
    DensitySection,
    FitSection,
    LikelihoodSection,
    ProposalSection,
    SampleSection,
    Section,
    SimulationSection,
)
from bmem.errors import ConfigError
from bmem.inference.parameters import LARGEST_FRACTION, SMALLEST_FRACTION, STRENGTH
from bmem.integration.settings import IntegrationSettings
from bmem.quantity import Parameter
from bmem.replicas.settings import PosteriorSettings


class Config(Section):
    """Everything that determines a result."""

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
    constraint: tuple[ConstraintSection, ...] = Field((), description="external measurements: one [[constraint]] each")
    transfer: DensitySection = DensitySection()
    acceptance: AcceptanceSection = AcceptanceSection()
    posterior: PosteriorSettings = PosteriorSettings()
    proposal: ProposalSection = ProposalSection()
    integration: IntegrationSettings = IntegrationSettings()
    likelihood: LikelihoodSection = LikelihoodSection()
    fit: FitSection = FitSection()
    belt: BeltSection = BeltSection()
    calibration: CalibrationSection = CalibrationSection()

    @model_validator(mode="after")
    def _names_differ(self) -> Config:
        for section in ("sample", "background"):
            names = [entry.name for entry in getattr(self, section)]
            if len(set(names)) < len(names):
                raise ValueError(f"[[{section}]] names must differ, got {names}")
        return self

    @model_validator(mode="after")
    def _belt_fits_the_likelihood(self) -> Config:
        if self.belt.bank_events and self.fit.luminosity is not None:
            raise ValueError(
                "a belt is of the shape alone, for a fixed number of events: take out fit.luminosity or belt.bank_events"
            )
        if self.belt.resample and not self.integration.resamples:
            raise ValueError("belt.resample needs resamples of the integrals: set integration.resamples, to 20 say")
        return self

    @model_validator(mode="after")
    def _strength_is_seen(self) -> Config:
        if self.fit.strength and self.fit.luminosity is None:
            raise ValueError("fit.strength: only the number of events sees the signal strength; give fit.luminosity")
        return self

    @model_validator(mode="after")
    def _backgrounds_fit_the_rest(self) -> Config:
        if not self.background:
            return self
        if self.fit.luminosity is not None:
            raise ValueError(
                "[[background]] has fractions of the sample, which are of the shape alone: take out fit.luminosity "
                "(cross sections of backgrounds are fitted from Python, see bmem.inference.mixture)"
            )
        if self.belt.bank_events:
            raise ValueError("[[background]]: the bank holds signal alone, so there is no belt; take out belt.bank_events")
        total = sum(background.fraction for background in self.background)
        if total >= LARGEST_FRACTION:
            raise ValueError(f"the fractions of the backgrounds add up to {total:g}; no signal is left to measure")
        return self

    @model_validator(mode="after")
    def _truths_are_of_the_channel(self) -> Config:
        truths = [(f"sample.{i}", sample.truth) for i, sample in enumerate(self.sample)]
        truths += [("calibration", {self.first.name: value}) for value in self.calibration.truths]
        for place, truth in truths:
            check_truth(truth, self.channel.make().parameters, place)
        for i, sample in enumerate(self.sample):
            missing = [p.name for p in self.channel.make().parameters if p.name not in sample.truth]
            if missing and sample.file is None:
                raise ValueError(f"sample.{i}: a generated sample needs the true value of {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _channel_has_what_is_named(self) -> Config:
        """Stated densities and bases."""
        for background in self.background:
            if background.density is not None:
                self._check_named("density", background.density, self.channel.make().backgrounds)
        for basis in self.fit.bases:
            self._check_named("basis", basis, self.channel.make().bases)
        return self

    def _check_named(self, what: str, name: str, known: Iterable[str]) -> None:
        if name not in known:
            raise ValueError(f"the channel {self.channel.name!r} has no {what} {name!r}{meant(name, known)}")

    @model_validator(mode="after")
    def _constraints_hold(self) -> Config:
        if not self.constraint:
            return self
        parameters = self.parameters
        shown = [EXTERNAL.get(parameter.name, parameter.name) for parameter in parameters]
        for constraint in self.constraint:
            if constraint.parameter not in shown:
                raise ValueError(
                    f"[[constraint]] on {constraint.parameter!r}, which is not free in this configuration: it fits {shown} "
                    "(those of other bases with fit.bases, strength with fit.strength, f_NAME with a [[background]] NAME)"
                )
        if self.belt.bank_events and any(constraint.parameter == self.first.name for constraint in self.constraint):
            raise ValueError(
                f"[[constraint]] on {self.first.name}: the toys of a belt know only events; take out the constraint or "
                "belt.bank_events"
            )
        from bmem.inference.constraints import agree

        for parameter in parameters:
            agree([cost for cost in self.constraints if cost._parameters.keys() == {parameter.name}], parameters)
        return self

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
        return (*found, *self.fractions)

    @property
    def fractions(self) -> tuple[Parameter, ...]:
        """Those of the backgrounds; the ends of their ranges share what a sample can hold."""
        total = sum(background.fraction for background in self.background)
        ends = [LARGEST_FRACTION * background.fraction / total for background in self.background]
        return tuple(
            Parameter(f"f_{b.name}", (SMALLEST_FRACTION, end)) for b, end in zip(self.background, ends, strict=True)
        )

    @property
    def constraints(self) -> tuple[NormalConstraint, ...]:
        """All external measurements with the names and units of the likelihood, those of the fractions too."""
        known = [b for b in self.background if b.fraction_error is not None]
        fractions = [NormalConstraint(f"f_{b.name}", b.fraction, b.fraction_error) for b in known]
        return (*(self._cost(constraint) for constraint in self.constraint), *fractions)

    def _cost(self, constraint: ConstraintSection) -> NormalConstraint:
        name = INTERNAL.get(constraint.parameter, constraint.parameter)
        quantity = next(p for p in self.parameters if p.name == name).quantity
        return NormalConstraint(name, float(quantity.stored(constraint.value)), float(quantity.stored(constraint.error)))

    @property
    def truths(self) -> tuple[float, ...]:
        """Truths of the first parameter at which toys of the bank are measured, printed."""
        low, high = self.first.bounds
        half = self.first.quantity.printed(np.linspace(max(low, 0.0), high, 13))
        return self.calibration.truths or tuple(float(value) for value in half.round(9))

    @property
    def precisions(self) -> tuple[float, ...]:
        """Wanted errors of the first parameter, printed."""
        low, high = self.first.quantity.printed(self.first.bounds)
        return self.calibration.precisions or tuple(float(v) for v in ((high - low) / np.array([36, 72, 180])).round(9))

    def theta(self, sample: SampleSection) -> tuple[float, ...] | None:
        """The true parameters of a sample [P], stored; None if the configuration does not give all of them."""
        parameters, truth = self.channel.make().parameters, sample.truth
        if any(p.name not in truth for p in parameters):
            return None
        return tuple(float(p.quantity.stored(truth[p.name])) for p in parameters)


def check_truth(truth: Mapping[str, Any], parameters: Sequence[Parameter], place: str) -> None:
    """Whether every value of a truth is one of a parameter within its range; ``place`` is named in errors.

    Raises:
        ConfigError: a name is no parameter's, a value is no number or outside of the range.
    """
    known = {p.name: p for p in parameters}
    for name, value in truth.items():
        if name not in known:
            keys = [*SampleSection.model_fields, *known]
            raise ConfigError(f"{place}.{name}: is no key, nor a parameter of the channel{meant(name, keys)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{place}.{name} = {value!r} is not a number")
        quantity = known[name].quantity
        low, high = quantity.printed(known[name].bounds).round(9)
        if not low <= value <= high:
            raise ConfigError(f"{place}.{name} = {value:g} lies outside of its range, {low:g} to {high:g}{quantity.suffix}")
