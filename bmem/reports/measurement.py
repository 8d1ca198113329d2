"""How a measurement is shown: the headline, uncertainties by source, further parameters, the likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bmem.calibration.neyman import Belt
from bmem.inference.bias import Bias
from bmem.inference.combine import Budget, estimates_needed
from bmem.inference.intervals import IntervalSet
from bmem.measurement import Measurement
from bmem.measurement.estimate import Estimate
from bmem.measurement.parts import Constraint, FurtherFit
from bmem.plotting.belt import draw_belt
from bmem.plotting.contours import draw_contours
from bmem.process.contract import Parameter
from bmem.reports.album import Album
from bmem.reports.page import Headline, Picture, Table
from bmem.reports.words import percent, printed, value_with_error

Measurements = Mapping[str, Measurement]
"""By the name of the sample."""
_UNLIKELY = 0.01
"""Of samples without fault one in a hundred at most is said to be unlike the simulation."""
_PRINTED = ("statistical", "integration", "simulation statistics", "weights", "method bias")


def headline(name: str, found: Measurement, truth: float | None) -> Headline:
    """The result in large print; ``truth`` is that of a simulated sample."""
    main = found.estimate
    shown = _regions(main, main.intervals, "")
    if found.belt is not None:
        shown += _regions(main, found.belt.intervals, ", Feldman-Cousins")
    if found.posterior is not None:
        prior = "flat prior" + " and constraints" * bool(found.constraints)
        shown += _regions(main, found.posterior.intervals, f", highest density, {prior}")
    for other in (one for one in found.estimates[1:] if not one.parameter.nuisance):
        shown.append(
            (f"{other.name}, {percent(other.intervals[0].level)}", f"{other} in {other.region(other.intervals[0])}")
        )
    budget = [(source, main.source(source)) for source in main.sources]
    budget += [("simulation statistics and weights", "not evaluated")] * (found.budget.network is None)
    budget += [("method bias", "not evaluated")] * (found.budget.bias is None)
    remark = found.events_line
    if truth is not None:
        remark += f", generated at {main.quantity.shown} = {printed(main.quantity, truth)}"
    return Headline(f"{main.name} of {name}", str(main), tuple(shown), tuple(budget), remark)


def _regions(main: Estimate, regions: Sequence[IntervalSet], what: str) -> list[tuple[str, str]]:
    return [(percent(region.level) + what, main.region(region)) for region in regions]


def measurement_warnings(name: str, found: Measurement) -> list[str]:
    """What is missing, and why."""
    sentences = [f"{name}: {remark}." for remark in found.left_out]
    if "belt" in found.refused:
        sentences.append(f"{name}: no Feldman-Cousins interval: {found.refused['belt']}.")
    if found.likeness is not None and found.likeness.p_value < _UNLIKELY:
        sentences.append(
            f"{name}: the events do not look like simulated ones at the estimate (p = {found.likeness.p_value:.3f}): what "
            "the simulation does not have is in no error."
        )
    if found.excluded:
        which = ", ".join(map(str, found.excluded))
        sentences.append(f"{name}: events without a usable density were left out of the fit, which biases it: {which}.")
    return sentences


def budget_table(found: Measurements) -> Table:
    """The uncertainty by source, and how well each is known from so many estimates."""
    rows = [row for name, one in found.items() for row in _sources(name, one.estimate, one.budget)]
    note = (
        f"An error bar known to 20 % takes {estimates_needed(0.2)} replicas or resamples, to 10 % {estimates_needed(0.1)}. "
        "Switched: estimates whose best minimum is another than that of the measurement, whose minimum the spread follows."
    )
    return Table("Uncertainty by source", ("sample", "source", "σ", "from", "known to", "switched"), tuple(rows), note)


def _sources(name: str, main: Estimate, budget: Budget) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(name, "statistical", main.source("statistical"), "curvature of −2 log L", "", "")]
    if budget.nuisances is not None:
        rows.append((name, "nuisances", main.source("nuisances"), "what freeing them adds to the curvature error", "", ""))
    if budget.integration is not None:
        spread = budget.integration
        known, switched = percent(spread.relative_error, 0), percent(spread.switched, 0)
        rows.append((name, "integration", main.source("integration"), f"{spread.n} resamples", known, switched))
    if budget.network is not None:
        known, switched = percent(budget.network.relative_error, 0), percent(budget.network.switched, 0)
        for source, what in _replicas(budget).items():
            rows.append((name, source, main.source(source), f"{budget.network.n} replicas, {what}", known, switched))
        for what, parts in _by_way(budget):
            rows.append((name, what, printed(main.quantity, parts[0], 2), "the other of the two as in the mean", "", ""))
        count = f"{budget.effective_replicas:.1f} of {budget.network.n}"
        rows.append((name, "effective replicas", count, "shares in the average likelihood at the estimate", "", ""))
    return [*rows, _bias(name, main, budget.bias)]


def _bias(name: str, main: Estimate, bias: Bias | None) -> tuple[str, ...]:
    if bias is None:
        return name, "method bias", "not evaluated", "", "", ""
    shift = value_with_error(*main.quantity.printed([bias.shift[0], bias.error[0]]))
    source = f"a shift of {shift}{main.quantity.suffix}, by the scores of {bias.events} validation events"
    return name, "method bias", main.source("method bias"), source, "", ""


def _replicas(budget: Budget) -> dict[str, str]:
    """What the replicas tell, by source: from what."""
    if budget.weights is not None:
        return {"simulation statistics": "the counting of σ_k", "weights": "one σ_k for all"}
    return {"simulation statistics": "resamples of the simulation through networks and σ_k"}


def _by_way(budget: Budget) -> list[tuple[str, tuple[float, ...]]]:
    """The ways in which a resample of the simulation moves an estimate, which are correlated."""
    if budget.weights is not None or budget.by_counting is None or budget.by_networks is None:
        return []
    return [("– through σ_k alone", budget.by_counting), ("– through the networks alone", budget.by_networks)]


def parameter_tables(found: Measurements) -> tuple[Table, ...]:
    """All fits with more than one parameter, and the external constraints; none for a fit of one parameter."""
    tables = []
    rows = [row for name, one in found.items() for row in _parameters(name, one)]
    if rows:
        columns = ("sample", "fit", "parameter", "estimate", *_PRINTED, "68.3 %", "95.4 %")
        note = "Errors from the curvature, resamples and replicas; intervals by the profile likelihood."
        tables.append(Table("Fits with more parameters", columns, tuple(rows), note))
    known = dict.fromkeys(row for one in found.values() for row in _constraints(one))
    if known:
        note = "Gaussian factors of the likelihood in every fit that has it, but in no calibration if of the first one."
        tables.append(Table("External constraints", ("parameter", "value", "error"), tuple(known), note))
    return tuple(tables)


def _parameters(name: str, found: Measurement) -> list[tuple[str, ...]]:
    fits = {"fractions": found.estimates} if len(found.estimates) > 1 + len(found.impacts) else {}
    fits |= {what: fit.estimates for what, fit in found.further.items()}
    return [
        (name, what, one.name, str(one), *map(one.source, _PRINTED), *_texts(one))
        for what, estimates in fits.items()
        for one in estimates
        if not one.parameter.nuisance
    ]


def _texts(one: Estimate) -> list[str]:
    return [one.region(region) for region in one.intervals] or ["see the contours", ""]


def _constraints(found: Measurement) -> list[tuple[str, str, str]]:
    rows = [_constraint(c, found.fit.parameters) for c in found.constraints]
    for fit in found.further.values():
        rows += [_constraint(c, fit.budget.estimate.parameters) for c in fit.constraints]
    return rows


def _constraint(one: Constraint, parameters: Sequence[Parameter]) -> tuple[str, str, str]:
    quantity = next(p.quantity for p in parameters if p.name == one.parameter)
    return quantity.shown, printed(quantity, one.value), printed(quantity, one.error, 3)


def likelihood_figure(album: Album, name: str, found: Measurement, truth: float | None, conditions: str = "") -> Picture:
    """-2 Δ log L with its bands and intervals, and the ``conditions`` of the events in TeX."""
    turns = ", the replicas taking turns" * (found.replicas > 1)
    bands = f"; the bands are resamples of the integration points{turns}, correlated along the curve"
    bands *= found.curve.resamples is not None
    caption = f"{name}: −2 Δ log L of {found.used} events{bands}."
    return album.panel(f"likelihood_{name}", caption, lambda axes: found.plot(axes, truth, conditions))


def further_figures(album: Album, name: str, found: Measurement) -> list[Picture]:
    """Contours of two parameters, where there are further fits."""
    return [_contours(album, name, what, fit) for what, fit in found.further.items()]


def _contours(album: Album, name: str, what: str, fit: FurtherFit) -> Picture:
    first, second = (p.quantity.shown for p in fit.contours.parameters)
    caption = f"{name}: {first} and {second}, fitted freely; joint regions."
    return album.panel(f"{what}_{name}", caption, lambda axes: draw_contours(axes, fit.contours), 3.2)


def belt_figure(album: Album, name: str, found: Measurement, belt: Belt) -> Picture:
    """A belt and the curve that was measured with it."""
    quantity, curve = found.estimate.quantity, found.likelihood_curve()
    caption = (
        f"Belt for {belt.events} events, and {name}: the interval is where the curve lies below $t_c$. Its points "
        "share the bank."
    )
    return album.panel(f"belt_{belt.events}", caption, lambda axes: draw_belt(axes, belt, quantity, curve))
