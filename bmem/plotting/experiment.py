"""Fonts and label of an experiment on the figures, by mplhep, which the extra ``hep`` brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from bmem.errors import InputError, MissingExtraError

EXPERIMENTS = ("ALICE", "ATLAS", "CMS", "DUNE", "LHCb")
_TAKEN = ("font.family", "font.sans-serif", "font.serif", "mathtext.", "xaxis.labellocation", "yaxis.labellocation")
"""What is the experiment's; sizes stay those of a column, as the experiments' own are for figures three times as wide."""
_SIZE = 9.0
_ROOM = 13.0
"""Points that a label takes above its panel."""


@dataclass(frozen=True)
class Experiment:
    """One of ``EXPERIMENTS``; the ``label`` follows its name ("Preliminary", "Simulation", ...).

    Raises:
        InputError: mplhep has no style of that name.
        MissingExtraError: mplhep is not installed.
    """

    name: str
    label: str = ""

    def __post_init__(self) -> None:
        if self.name not in EXPERIMENTS:
            raise InputError(f"no style of an experiment {self.name!r}; there are {', '.join(EXPERIMENTS)}")
        _mplhep()

    @property
    def look(self) -> dict[str, Any]:
        """Settings of matplotlib beyond those of bmem."""
        own = getattr(_mplhep().style, self.name)
        return {key: value for key, value in own.items() if key.startswith(_TAKEN)}

    def mark(self, axes: Axes) -> None:
        """Put the label above a panel, and the legend that is there above the label."""
        module = getattr(_mplhep(), self.name.lower())
        # data: the label says no more than it was given
        module.label(self.label, ax=axes, data=True, loc=0, rlabel="", fontsize=_SIZE)
        if (legend := axes.get_legend()) is not None and axes.figure is not None:
            higher = axes.transAxes + ScaledTranslation(0, _ROOM / 72, axes.figure.dpi_scale_trans)
            legend.set_bbox_to_anchor((0.0, 1.0), transform=higher)


def _mplhep() -> Any:
    try:
        import mplhep
    except ImportError as error:
        raise MissingExtraError("mplhep", "hep") from error
    return mplhep
