"""How the events of a measurement are shown: which drive it, how one looks, whether all are as expected; integrals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bmem.calibration.goodness import STATISTICS
from bmem.channels.contract import DisplayObject
from bmem.inference.rounding import number
from bmem.integration.diagnostics import Flag
from bmem.integration.settings import IntegrationSettings
from bmem.measurement import Measurement
from bmem.plotting.event_display import draw_event, event_figure
from bmem.plotting.goodness import draw_goodness
from bmem.plotting.influence import draw_influence
from bmem.plotting.integration import draw_effective_points, draw_pareto_k, draw_relative_error, worst_events
from bmem.plotting.style import house_style
from bmem.reports.album import Album
from bmem.reports.measurement import Measurements
from bmem.reports.page import Picture, Table
from bmem.reports.words import hat, value_with_error, with_unit

_INFLUENCE = "How far the estimate moves when an event is left out, to first order"
_GOODNESS = (
    ", and whether the densities of the events are those expected at the estimate: held against toys from the bank, fitted "
    "in the same way."
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


def text(found: Measurements) -> str:
    """What the chapter is about, and of which samples there is no goodness of fit."""
    if all(one.goodness is not None for one in found.values()):
        return _INFLUENCE + _GOODNESS
    begin = _INFLUENCE + (_GOODNESS if any(one.goodness is not None for one in found.values()) else ".")
    missing = [f"{name} ({_no_goodness(one)})" for name, one in found.items() if one.goodness is None]
    return f"{begin} The goodness of fit was not evaluated of {', '.join(missing)}."


def _no_goodness(found: Measurement) -> str:
    return found.refused.get("goodness", "there is no bank, see bank_events of [belt]")


def goodness_tables(found: Measurements) -> tuple[Table, ...]:
    """Is a sample compatible with any value of the parameter? Nothing where it was evaluated of none."""
    rows: list[tuple[str, ...]] = []
    for name, one in found.items():
        if one.goodness is None and one.likeness is None and not one.refused.keys() & {"goodness", "likeness"}:
            continue  # there is no bank, and nothing was asked for
        p_values = ["not evaluated: " + one.refused.get("goodness", "no bank"), "", ""]
        if (goodness := one.goodness) is not None:
            each = map(value_with_error, goodness.p_values, goodness.p_errors)
            p_values = [*each, value_with_error(*goodness.p_value)]
        rows.append((name, *p_values, _likeness(one)))
    columns = ("sample", *(f"p of the {statistic}" for statistic in STATISTICS), "p of both", "p of the observables")
    note = (
        "The first are of the density at the estimate: the two statistics are of the same events, so that their p-values "
        "are correlated; that of both knows it. The last is of all observables, as events simulated at the estimate have "
        "them."
    )
    return (Table("Goodness of fit", columns, tuple(rows), note),) if rows else ()


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
    with house_style(album.look):
        figure, panels = event_figure()
        draw_event(panels, objects, f"{name}, event {event}")
    return album.add(figure, f"event_{name}", f"{name}: the most influential event; lengths are $p_T$ in GeV.", wide=True)


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


def worst_table(name: str, found: Measurement, diagnostics: Diagnostics) -> Table:
    """The events with the largest error of their integral, of all that were integrated."""
    known = {key: values for key, values in diagnostics.items() if key != "flags"}
    spare = len(diagnostics["flags"]) > found.events
    note = f"Events from {found.events} on are not in the measurement, they serve the calibration." if spare else ""
    columns = ("event", *(_NAMES.get(key, key.replace("_", " ")) for key in known))
    rows = tuple(worst_events(known))
    return Table(f"Worst integrals of {name}", columns, rows, note, digits=dict.fromkeys(columns[1:], 3))


def integral_figures(album: Album, name: str, diagnostics: Diagnostics, limits: IntegrationSettings) -> list[Picture]:
    """Effective sample, relative error and Pareto k of the events, with the limits beyond which they are flagged."""
    points, error, k = _effective_points(diagnostics), diagnostics["relative_error"], diagnostics["pareto_k"]
    draw: dict[str, Callable[[Axes], object]] = {
        "effective_points": lambda axes: draw_effective_points(axes, points, limits.min_effective_points),
        "relative_error": lambda axes: draw_relative_error(axes, error, limits.relative_error),
        "pareto_k": lambda axes: draw_pareto_k(axes, k),
    }
    return [album.panel(f"{key}_{name}", f"{name}: {_NAMES[key]} of the events' integrals.", draw[key]) for key in draw]


def _effective_points(diagnostics: Diagnostics) -> NDArray[np.float64]:
    return np.asarray(diagnostics["effective_fraction"] * diagnostics["points"])
