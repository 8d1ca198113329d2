"""The result of a fit to events: it prints, draws and stores itself, and joins other likelihoods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from bmem import artifacts
from bmem.calibration.goodness import Goodness
from bmem.calibration.record import JsonRecord, plain
from bmem.calibration.two_sample import TwoSampleTest
from bmem.errors import InputError
from bmem.inference import export
from bmem.inference.combine import Budget
from bmem.inference.event_influence import Influence
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.intervals import IntervalSet
from bmem.inference.minima import FitResult
from bmem.inference.objective import Objective
from bmem.inference.ranking import Impact
from bmem.measurement.estimate import Estimate
from bmem.measurement.format1 import upgraded
from bmem.measurement.parts import BeltIntervals, Constraint, FurtherFit, PosteriorSummary, ProfileCurve, marginalised
from bmem.plotting.likelihood import LikelihoodCurve, draw_likelihood
from bmem.plotting.style import house_style, new_figure

KIND = "fit"
_TOPS = (12.0, 25.0)
"""A drawing of -2Δ log L ends between these, above all minima if it can."""


@dataclass(frozen=True)
class Measurement(JsonRecord):
    """A measurement of P parameters, that of interest first, from ``events`` of the ``available`` ones.

    ``budget`` has the fit with all its minima and the uncertainties by source; ``intervals`` [P][L] are those of the profile
    likelihood at 68.3 and 95.4 %; ``impacts`` are those of the nuisance parameters, the largest first; ``belt``,
    ``goodness`` and ``likeness`` need a bank, ``further`` fits go by the names of their bases. Events in ``excluded`` have
    no usable density; ``observed`` events were not simulated, and of their file ``unread`` ones were not asked for.
    ``refused`` tells why something that was asked for is not there.
    ``source`` is what was fitted; a measurement that was read from a file has none.
    """

    budget: Budget
    intervals: tuple[tuple[IntervalSet, ...], ...]
    curve: ProfileCurve
    constraints: tuple[Constraint, ...]
    events: int
    available: int | None
    replicas: int
    excluded: tuple[int, ...]
    impacts: tuple[Impact, ...] = ()
    posterior: PosteriorSummary | None = None
    influence: Influence | None = None
    belt: BeltIntervals | None = None
    goodness: Goodness | None = None
    likeness: TwoSampleTest | None = None
    further: Mapping[str, FurtherFit] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    observed: bool = False
    unread: int = 0
    source: Hypothesis | None = field(default=None, compare=False, repr=False)

    @property
    def estimate(self) -> Estimate:
        """That of the parameter of interest."""
        return self.estimates[0]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """One for each parameter; the fractions of backgrounds follow."""
        return tuple(Estimate.of(self.budget, i, regions) for i, regions in enumerate(self.intervals))

    @property
    def fit(self) -> FitResult:
        """All minima."""
        return self.budget.estimate

    @property
    def used(self) -> int:
        """Events with a usable density."""
        return self.events - len(self.excluded)

    @property
    def objective(self) -> Objective:
        """-2 log L with the external constraints: an iminuit cost, to be added to others.

        Raises:
            InputError: the measurement was read from a file.
        """
        hypothesis = self.fitted
        return hypothesis.constrained(hypothesis.likelihood())

    def to_arviz(self, rng: np.random.Generator) -> Any:
        """Posterior draws, the likelihood of every event and diagnostics, as ``arviz.InferenceData``.

        Raises:
            InputError: the measurement was read from a file.
        """
        hypothesis = self.fitted
        likelihood, diagnostics = hypothesis.likelihood(), hypothesis.coefficients.diagnostics
        if len(likelihood.parameters) == 1:
            return export.inference_data(likelihood, rng, hypothesis.prior(), diagnostics=diagnostics)
        size = export.DrawSettings()
        marginal = marginalised(hypothesis.constrained(likelihood))
        chains = marginal.draws(size.chains, size.draws, rng, hypothesis.joint_prior)
        return export.inference_data_of_chains(likelihood, chains, rng, diagnostics)

    def export(self, folder: Path | str, name: str = "sample", formats: Sequence[str] | None = None) -> list[Path]:
        """Write it for other programs, see ``bmem.measurement.exports.export``; returns the files.

        Raises:
            InputError: as there.
            MissingExtraError: as there.
        """
        from bmem.measurement.exports import FORMATS, export

        return export({name: self}, folder, FORMATS if formats is None else formats)

    @property
    def fitted(self) -> Hypothesis:
        """What was fitted.

        Raises:
            InputError: the measurement was read from a file.
        """
        if self.source is None:
            raise InputError(
                "this measurement was read from a file, which has no events; measure again from the coefficients of the "
                "sample, let 'bmem export DIR' do so, or read the posterior draws beside it with bmem.inference.export.load"
            )
        return self.source

    def likelihood_curve(self, truth: float | None = None) -> LikelihoodCurve:
        """What is drawn of it."""
        return LikelihoodCurve(
            theta=self.curve.theta,
            delta=self.curve.delta,
            curves=self.curve.resamples,
            minima=np.array([minimum.theta[0] for minimum in self.fit.minima]),
            minimum_values=np.array([minimum.delta for minimum in self.fit.minima]),
            intervals={region.level: region.intervals for region in self.intervals[0]},
            truth=truth,
            period=self.estimate.parameter.period,
        )

    def plot(self, axes: Any = None, truth: float | None = None, conditions: str = "") -> Any:
        """Draw -2Δ log L with its bands and intervals, on ``axes`` or a new figure; returns the axes.

        Above are the estimate, the number of events and the ``conditions`` under which they were taken (TeX in dollars).
        """
        top = float(np.clip(1.3 * max(minimum.delta for minimum in self.fit.minima), *_TOPS))
        with house_style() if axes is None else nullcontext():  # somebody's own axes have a style
            axes = new_figure()[1] if axes is None else axes
            title = ", ".join(filter(None, [self._in_tex, f"{self.used} events", conditions]))
            draw_likelihood(axes, self.likelihood_curve(truth), self.estimate.quantity, top, title)
        return axes

    @property
    def _in_tex(self) -> str:
        """The estimate as figures say it."""
        one = self.estimate
        return rf"${one.quantity.symbol}$ not measured" if one.is_flat else rf"$\hat{{{one.quantity.symbol}}}$ = {one}"

    def __str__(self) -> str:
        shown = [e for e in self.estimates if not e.parameter.nuisance]
        lines = [_flat(e) if e.is_flat else f"{e.name} = {e}  (68.3 %: {e.region(e.intervals[0])})" for e in shown]
        if self.belt is not None:
            lines.append(f"Feldman-Cousins, 68.3 %: {self.estimate.region(self.belt.intervals[0])}")
        errors = ", ".join(f"{name} {self.estimate.source(name)}" for name in self.estimate.sources)
        told = [] if self.estimate.is_flat else [f"errors: {errors}"]
        return "\n".join([*lines, *told, self.events_line])

    @property
    def events_line(self) -> str:
        """How many events were used, of how many."""
        lost = f", {len(self.excluded)} of them without a usable density" if self.excluded else ""
        return f"{self.events}" + (f" of {self.available}" if self.available else "") + f" events{lost}"

    @property
    def left_out(self) -> list[str]:
        """What to say of observed events that are not measured, for it was asked."""
        found = []
        if self.unread:
            found.append(f"{self.unread} observed events of the file are not read, as 'events' of the sample asks")
        if self.observed and self.available and self.events < self.available:
            found.append(
                f"only {self.events} of {self.available} events that were observed are measured, as fit.events asks; leave "
                "it out for all"
            )
        return found

    @property
    def line(self) -> str:
        """All in one line."""
        return "; ".join(str(self).splitlines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(e.name)}</td><td>{escape(str(e))}</td>"
            + "".join(f"<td>{escape(e.region(region))}</td>" for region in e.intervals)
            + "</tr>"
            for e in self.estimates
        )
        levels = "".join(f"<th>{100 * region.level:.1f} %</th>" for region in self.intervals[0])
        head = f"<tr><th></th><th>estimate</th>{levels}</tr>"
        return f"<table>{head}{rows}</table><p>{escape(self.events_line)}</p>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the result in printed units first, then everything in stored ones."""
        names = [f.name for f in fields(self) if f.name != "source"]
        head = {"estimate": {e.parameter.name: e.to_dict() for e in self.estimates}}
        return head | {name: plain(getattr(self, name)) for name in names}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Measurement:
        """The inverse of ``to_dict``, also of what bmem wrote before there was this record.

        Raises:
            ArtifactError: keys are missing or unknown.
        """
        content = dict(content) if "estimate" in content else upgraded(content)
        content.pop("estimate", None)
        return super().from_dict({"impacts": [], "likeness": None, **content, "source": None})

    def save(self, path: Path, settings: Mapping[str, Any], parents: Mapping[str, Path] | None = None) -> None:
        """Write it as an artifact."""
        artifacts.JsonFile(KIND, self.to_dict()).save(path, settings, parents or {})

    @classmethod
    def load(cls, path: Path) -> Measurement:
        """Read a measurement.

        Raises:
            ArtifactError: it is missing, foreign, damaged or of a newer format.
        """
        return cls.from_dict(artifacts.read_json(path, KIND))


def _flat(estimate: Estimate) -> str:
    name = estimate.quantity.shown
    return (
        f"{name} is not measured: its likelihood is too flat to exclude any value at 68.3 %; it takes more events, or some "
        f"that depend on {name}"
    )
