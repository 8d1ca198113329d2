"""The ranking of nuisance parameters: how far each moves the estimate, and what the fit says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bmem.inference.ranking import Impact
from bmem.plotting.style import LEARNED, QUIET, REFERENCE
from bmem.quantity import Quantity

_LOOKS: dict[str, dict[str, Any]] = {
    "after": {"color": LEARNED, "alpha": 0.7, "lw": 0},
    "before": {"fill": False, "ec": QUIET},
}
_LABELS = {"after": "fitted error", "before": "external error"}


def draw_ranking(axes: Axes, found: Sequence[Impact], quantity: Quantity, count: int = 20) -> dict[str, Any]:
    """Draw the ``count`` largest impacts on an estimate of ``quantity``, the first on top, with pulls on the upper axis.

    Filled bars are the shifts with ν held a fitted error away, empty ones with the external error; points are the fitted ν
    with their errors in units of the external ones. Returns the artists "after", "before" and "pull".
    """
    shown = found[:count]
    y = np.arange(len(shown))
    artists: dict[str, Any] = {"after": [], "before": []}
    for side in (0, 1):
        for name, look in _LOOKS.items():
            shifts = np.array([getattr(impact, name)[side] for impact in shown]) * quantity.scale
            label = _LABELS[name] if side else None
            artists[name].append(axes.barh(y, np.nan_to_num(shifts), 0.7, label=label, **look))
    upper = axes.twiny()
    pulls, errors = [i.pull for i in shown], [i.constraint for i in shown]
    artists["pull"] = upper.errorbar(pulls, y, xerr=errors, fmt="o", ms=3, lw=0.9, color=REFERENCE)
    for line in (-1, 1):
        upper.axvline(line, color=QUIET, lw=0.6, ls=":")
    width = max(2.0, *(abs(pull) + error + 0.2 for pull, error in zip(pulls, errors, strict=True)))
    upper.set(xlim=(-width, width), xlabel=r"$(\hat\nu - \nu_0)/\sigma_0$")
    reach = 1.15 * max(np.abs([*(i.before + i.after for i in shown)]).max() * quantity.scale, 1e-12)
    axes.set(xlim=(-reach, reach), ylim=(len(shown) - 0.4, -0.6))
    axes.set_yticks(y, [impact.parameter.quantity.shown for impact in shown])
    for one in (axes, upper):
        one.tick_params(axis="y", which="both", length=0)
        one.yaxis.minorticks_off()
    axes.set_xlabel(rf"shift of $\hat{{{quantity.symbol}}}${quantity.bracket}")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.16), ncols=2, borderaxespad=0.2)  # above the upper axis
    return artists
