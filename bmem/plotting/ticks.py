"""Ticks of an axis: of angles at 15, 30, 45, ... degrees, of logarithmic axes at 1, 2, 5, 10, ..."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bmem.quantity import Quantity

_DEGREE_STEPS = (1, 1.5, 3, 4.5, 6, 9, 10)
_SUBDIVIDED = 100.0
"""A logarithmic axis over less than this factor has ticks at 2 and 5, too."""


def set_ticks(axis: Axis, quantity: Quantity) -> None:
    """Ticks of ``axis`` for printed values of ``quantity``."""
    if quantity.unit == "deg":
        axis.set_major_locator(MaxNLocator(nbins=8, steps=_DEGREE_STEPS))


def set_log_ticks(axes: Axes, shown: Callable[[float], str] = "{:g}".format) -> None:
    """Ticks with numbers, as ``shown``, on the logarithmic ones of both axes; set their limits first."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1.0,) if high > _SUBDIVIDED * low else (1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
            axis.set_minor_formatter(NullFormatter())
