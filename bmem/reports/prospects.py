"""How the expected precision is shown: along the truth, and the events that take one further."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bmem.calibration.prospects import Prospects
from bmem.inference.rounding import number
from bmem.plotting.power import draw_expected_intervals, draw_expected_lengths, draw_kept, draw_power
from bmem.plotting.style import Panels, legend_above
from bmem.quantity import Quantity
from bmem.reports.album import Album
from bmem.reports.page import Picture, Table
from bmem.reports.words import percent, value_with_error, with_unit

TEXT = (
    "What measurements will tell, from the bank: the Fisher information of this likelihood along the truth, and the region "
    "that the average sample leaves. Where the likelihood is even, as an angle's at zero and half a turn, σ diverges; the "
    "regions do not."
)
_MOST = 1e6


def power_table(found: Prospects, events: int, wanted: Sequence[float], quantity: Quantity) -> Table:
    """Precision at every second truth, and what it takes to reach those ``wanted`` (printed units)."""
    power = found.power
    needed = [power.events_needed(float(quantity.stored(sigma))) for sigma in wanted]
    if wanted:
        needed.append(power.luminosity_needed(float(quantity.stored(wanted[0]))) / 1000)
    own, error = power.sigma(events), power.sigma_error(events)
    others = (power.sigma(events, hard=True), power.sigma(events, rate=True))
    largest = np.ptp(found.truths) / 2
    rows = tuple(
        (
            round(float(quantity.printed(power.truths[a])), 3),
            value_with_error(*quantity.printed([own[a], error[a]])) if own[a] < largest else "–",
            *(number(float(quantity.printed(other[a])), 2) if other[a] < largest else "–" for other in others),
            value_with_error(power.kept[a], power.kept_error[a]),
            *(_count(n[a]) for n in needed),
        )
        for a in range(0, len(power.truths), 2)
    )
    names = (quantity.shown, "σ", "hard event known", "with rate")
    columns = (*(with_unit(name, quantity) for name in names), "information kept")
    goals = [f"{sigma:g}{quantity.suffix}" for sigma in wanted]
    columns += tuple(f"events for {goal}" for goal in goals) + tuple(f"fb⁻¹ for {goal}" for goal in goals[:1])
    note = (
        f"σ of {events} events after the selection, from their shape; with rate: σ_fid and the luminosity are trusted. "
        "Needed are accepted events, and luminosity times branching ratios."
    )
    return Table("Expected precision", columns, rows, note)


def _count(value: float) -> str:
    """Two significant digits; a dash for more than a million."""
    return "–" if not value < _MOST else f"{float(f'{value:.2g}'):,g}".replace(",", "\u202f")


def prospects_figures(album: Album, found: Prospects, events: int, quantity: Quantity) -> list[Picture]:
    """Expected precision and regions along the truth and against the number of events."""

    def precision(panels: Panels) -> None:
        draw_power(panels[0], found.power, events, quantity, rate=True)
        draw_kept(panels[1], found.power, quantity)
        panels[0].set_xlabel("")

    def intervals(axes: Axes) -> None:
        draw_expected_intervals(axes, found.truths, found.regions, quantity)
        legend_above(axes, columns=2)

    caption = (
        f"Expected σ of {events} events, and the share of the information that the reconstruction keeps, from one bank."
    )
    shown = [album.panels("expected_sigma", caption, precision)]
    if found.regions:
        caption = f"Expected regions of {percent(found.level)} at every true value."
        shown.append(album.panel("expected_intervals", caption, intervals, 3.2))
    if np.isfinite(found.lengths).any():
        caption = f"Total length of the expected region of {percent(found.level)}, all its pieces together."
        truths = found.length_truths.tolist()
        shown.append(
            album.panel(
                "expected_lengths",
                caption,
                lambda axes: draw_expected_lengths(axes, found.events, found.lengths, truths, quantity),
            )
        )
    return shown
