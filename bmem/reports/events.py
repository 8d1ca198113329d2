"""How the events of a measurement are shown: which drive it, how one looks, whether all are as expected; integrals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmem.calibration.goodness import STATISTICS
from bmem.channels.contract import DisplayObject
from bmem.inference.rounding import number
from bmem.integration.diagnostics import Flag
from bmem.measurement import Measurement
from bmem.plotting.event_display import draw_event, event_figure
from bmem.plotting.goodness import draw_goodness
from bmem.plotting.influence import draw_influence
from bmem.plotting.integration import draw_effective_fraction, draw_pareto_k, draw_relative_error, worst_events
from bmem.plotting.style import style
from bmem.reports.album import Album
from bmem.reports.measurement import Measurements
from bmem.reports.page import Picture, Table
from bmem.reports.words import hat, value_with_error, with_unit

TEXT = (
    "How far the estimate moves when an event is left out, to first order, and whether the densities of the events are "
    "those expected at the estimate: held against toys from the bank, fitted in the same way."
)
Diagnostics = Mapping[str, NDArray[Any]]
_SHOWN = 5
_NAMES = {
    "points": "points",
    "effective_fraction": "effective fraction of the points",
    "effective_points": "effective points",
    "relative_error": "relative error",
    "pareto_k": "Pareto k",
    "max_weight_fraction": "share of the largest weight",
    "outside": "outside of the training events",
}
_DOUBTS = {
    "low ess": "few points count",
    "high pareto k": "a few points dominate",
    "unknown pareto k": "too few points differ",
    "non positive": "not positive",
    "non finite": "not finite",
}
_FAULTS = {
    Flag.LOW_ESS: "few of the integration points count",
    Flag.HIGH_PARETO_K: "a few integration points dominate: the integral and its error may be wrong (Pareto k above 0.7)",
    Flag.UNKNOWN_PARETO_K: "too few integration points differ to judge the integral",
    Flag.NON_POSITIVE: "the density is not positive",
    Flag.INACCURATE: "the integral is less accurate than asked for, which is part of the integration error",
    Flag.NON_FINITE: "the integral is not finite",
}


def goodness_table(found: Measurements) -> Table:
    """Is a sample compatible with any value of the parameter?"""
    rows: list[tuple[str, ...]] = []
    for name, one in found.items():
        if one.goodness is None:
            rows.append((name, "not evaluated: " + one.refused.get("goodness", "no bank"), "", "", _likeness(one)))
            continue
        goodness = one.goodness
        p_values = map(value_with_error, goodness.p_values, goodness.p_errors)
        rows.append((name, *p_values, value_with_error(*goodness.p_value), _likeness(one)))
    columns = ("sample", *(f"p of the {statistic}" for statistic in STATISTICS), "p of both", "p of the observables")
    note = "Of the density at the estimate; of all observables, as simulated events at the estimate have them."
    return Table("Goodness of fit", columns, tuple(rows), note)


def _likeness(found: Measurement) -> str:
    """The p-value of the two-sample test."""
    if found.likeness is None:
        return "not evaluated: " + found.refused.get("likeness", "no bank")
    return value_with_error(found.likeness.p_value, found.likeness.p_error)


def drivers_table(name: str, found: Measurement) -> Table:
    """The events that the estimate hangs on."""
    quantity, drivers = found.estimate.quantity, found.influence.drivers(_SHOWN) if found.influence else ()
    shifts = -quantity.printed([driver.shift[0] for driver in drivers])
    rows = tuple(
        (driver.event, number(float(shift), 2), number(driver.relative, 2), _in_words(driver.doubts))
        for driver, shift in zip(drivers, shifts, strict=True)
    )
    columns = ("event", with_unit(f"shift of {hat(quantity)}", quantity), "in σ", "doubts")
    note = "What an event does to the estimate: the estimate less that without the event, to first order."
    return Table(f"Most influential events of {name}", columns, rows, note)


def _in_words(doubts: Sequence[str]) -> str:
    return ", ".join(_DOUBTS.get(doubt, doubt) for doubt in doubts)


def influence_figures(album: Album, name: str, found: Measurement) -> list[Picture]:
    """The events that move the estimate most, and the goodness of fit where there is one."""
    shown, influence, goodness = [], found.influence, found.goodness
    if influence is not None:
        caption = f"{name}: the events that move the estimate most; an event's shift is what it does to the estimate."
        shown.append(album.panel(f"influence_{name}", caption, lambda axes: draw_influence(axes, influence), 3.2))
    if goodness is not None:
        caption = f"{name}: mean log density against toys at the estimate."
        shown.append(album.panel(f"goodness_{name}", caption, lambda axes: draw_goodness(axes, goodness)))
    return shown


def event_picture(album: Album, name: str, objects: Sequence[DisplayObject], event: int) -> Picture:
    """One event of a sample."""
    with style():
        figure, panels = event_figure()
        draw_event(panels, objects, f"{name}, event {event}")
    return album.add(figure, f"event_{name}", f"{name}: the most influential event; lengths are pT in GeV.")


def integral_warnings(name: str, found: Measurement, diagnostics: Diagnostics) -> list[str]:
    """What is doubtful about the events that were fitted, and what it can do to the estimate."""
    flags = diagnostics["flags"][: found.events]
    masks = {fault: (flags & flag) > 0 for flag, fault in _FAULTS.items()}
    outside = "an observable lies outside of the training events, where the networks extrapolate"
    masks[outside] = np.asarray(diagnostics["outside"][: found.events], bool)
    return [
        f"{name}: in {mask.sum()} of the {found.events} fitted events {fault}{_consequence(found, mask)}."
        for fault, mask in masks.items()
        if mask.any()
    ]


def _consequence(found: Measurement, mask: NDArray[np.bool_]) -> str:
    """How far the estimate moves at most without one of the events of ``mask`` [N]."""
    if found.influence is None:
        return ""
    concerned = found.influence.relative[mask[found.influence.events]]
    if not len(concerned):
        return ""
    return f"; without one of them the estimate moves by at most {concerned.max():.2f} σ"


def worst_table(name: str, diagnostics: Diagnostics) -> Table:
    """The events with the largest error of their integral."""
    known = {key: values for key, values in diagnostics.items() if key != "flags"}
    columns = ("event", *(_NAMES.get(key, key.replace("_", " ")) for key in known))
    return Table(f"Worst integrals of {name}", columns, tuple(worst_events(known)))


def integral_figures(album: Album, name: str, diagnostics: Diagnostics) -> list[Picture]:
    """Effective sample, relative error and Pareto k of the events."""
    draw: dict[str, Any] = {
        "effective_fraction": draw_effective_fraction,
        "relative_error": draw_relative_error,
        "pareto_k": draw_pareto_k,
    }
    return [
        album.panel(
            f"{key}_{name}", f"{name}: {_NAMES[key]} of the events' integrals.", _drawing(function, diagnostics[key])
        )
        for key, function in draw.items()
    ]


def _drawing(function: Any, values: NDArray[Any]) -> Any:
    return lambda axes: function(axes, values)
