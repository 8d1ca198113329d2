"""How nuisance parameters are shown: the ranking as a table and a figure, and what speaks against the fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bmem.inference.ranking import Impact
from bmem.measurement import Measurement
from bmem.plotting.ranking import draw_ranking
from bmem.quantity import Quantity
from bmem.reports.album import Album
from bmem.reports.page import Picture, Table

_FAR = 2.0
"""Pulls beyond this are told."""
_COARSE = 0.2
"""Relative error of an interpolated density that is told."""


def ranking_table(found: Mapping[str, Measurement]) -> Table | None:
    """Pull, constraint and impact of every nuisance parameter, the largest impact first; None where there are none."""
    rows = [_row(name, impact, one.estimate.quantity) for name, one in found.items() for impact in one.impacts]
    if not rows:
        return None
    columns = ("sample", "ν", "pull", "error / external", "impact, external error", "impact, fitted error")
    note = (
        "Impact: the shifts of the estimate with ν held an error below and above its fitted value and all else fitted "
        "again. An error well below the external one says that the events themselves constrain ν."
    )
    return Table("Nuisance parameters", columns, tuple(rows), note)


def _row(name: str, impact: Impact, quantity: Quantity) -> tuple[str, ...]:
    before, after = (_shifts(shifts, quantity) for shifts in (impact.before, impact.after))
    shown = impact.parameter.quantity.shown
    return name, shown, f"{impact.pull:+.2f}", f"{impact.constraint:.2f}", before, after


def _shifts(shifts: tuple[float, float], quantity: Quantity) -> str:
    down, up = quantity.printed(shifts)
    places = quantity.digits(float(np.max(np.abs(shifts))))
    return f"{down:+.{places}f}, {up:+.{places}f}{quantity.suffix}"


def ranking_figures(album: Album, name: str, found: Measurement) -> list[Picture]:
    """The ranking of a measurement."""
    if not found.impacts:
        return []
    caption = f"{name}: what the nuisance parameters do to the estimate, and what the fit says of them."
    height = 1.4 + 0.25 * min(len(found.impacts), 20)
    quantity = found.estimate.quantity
    return [album.panel(f"ranking_{name}", caption, lambda axes: draw_ranking(axes, found.impacts, quantity), height)]


def nuisance_warnings(name: str, found: Measurement, interpolation: np.ndarray | None) -> list[str]:
    """Nuisance parameters that are pulled far, and densities of events that their polynomials do not describe.

    ``interpolation`` [N] is the relative error 1.5 standard deviations away, where it is known.
    """
    sentences = [
        f"{name}: {impact.parameter.name} is pulled by {impact.pull:+.1f} of its external errors: the events contradict "
        "what is known of it, or something else is taken for it."
        for impact in found.impacts
        if abs(impact.pull) > _FAR
    ]
    coarse = 0 if interpolation is None else int((interpolation[: found.events] > _COARSE).sum())
    if coarse:
        sentences.append(
            f"{name}: the density of {coarse} of {found.events} events is off by more than {_COARSE:.0%} 1.5 standard "
            "deviations of the nuisance parameters away, where it is interpolated: do not trust pulls as large as that."
        )
    return sentences
