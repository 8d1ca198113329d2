"""Ticks of an axis: of angles at 15, 30, 45, ... degrees, of logarithmic axes at 1, 10, 100 or closer where that is few."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bmem.quantity import Quantity

_ROUND = (1, 2, 5, 10)
_OF_A_TURN = (1, 1.5, 3, 4.5, 6, 9, 10)
_QUARTER = 90.0
"""Over more than these degrees an axis has ticks at parts of a turn, over less at round numbers."""
_FEWEST = 3
"""Numbers that a logarithmic axis has at least."""
_PLAIN = (1e-4, 1e6)
"""Numbers between these are written without a power of ten."""


class DegreeTicks(MaxNLocator):
    """At 15, 30, 45, ... over a large part of a turn, at 1, 2, 5, 10, ... over a small one."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        self.set_params(steps=_OF_A_TURN if abs(vmax - vmin) > _QUARTER else _ROUND)
        return super().tick_values(vmin, vmax)


class LogTicks(LogLocator):
    """At powers of ten; at 2 and 5, too, or at any round numbers, where there would be fewer than three."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        low, high = min(vmin, vmax), max(vmin, vmax)
        for subs in ((1.0,), (1.0, 2.0, 5.0)):
            self.set_params(subs=subs)
            ticks = super().tick_values(vmin, vmax)
            if sum(low <= tick <= high for tick in ticks) >= _FEWEST:
                return ticks
        return [tick for tick in MaxNLocator(nbins=5, steps=_ROUND).tick_values(low, high) if tick > 0]


def set_ticks(axis: Axis, quantity: Quantity, most: int = 8) -> None:
    """Ticks of ``axis`` for printed values of ``quantity``, ``most`` intervals of them."""
    if quantity.unit == "deg":
        axis.set_major_locator(DegreeTicks(nbins=most))


def plain_number(value: float) -> str:
    """A number of an axis without needless digits; the very large and small ones are powers of ten."""
    low, high = _PLAIN
    if value == 0 or low <= abs(value) < high:
        return f"{value:g}".replace("-", "\u2212")
    mantissa, _, exponent = f"{value:e}".partition("e")
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g} \times "
    return f"${factor}10^{{{int(exponent)}}}$"


def percent_number(value: float) -> str:
    """A share in per cent."""
    return f"{plain_number(100 * value)} %"


def set_log_ticks(axes: Axes, shown: Callable[[float], str] = plain_number) -> None:
    """Ticks with numbers, as ``shown``, on the logarithmic ones of both axes."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            number_log_axis(axis, shown)


def number_log_axis(axis: Axis, shown: Callable[[float], str] = plain_number) -> None:
    """The same for one logarithmic axis."""
    axis.set_major_locator(LogTicks())
    axis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
    axis.set_minor_formatter(NullFormatter())
