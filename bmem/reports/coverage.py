"""How coverage where the parameter is not alone is shown: backgrounds, rates."""

from __future__ import annotations

from bmem.calibration.population_coverage import METHODS, RECOMMENDED, PopulationCoverage
from bmem.inference.rounding import number
from bmem.quantity import Quantity
from bmem.reports.page import Table
from bmem.reports.words import percent, printed, with_unit

TEXT = (
    "Toys drawn from the bank and the events of the backgrounds, with fractions or numbers as the configuration expects, "
    "fitted in all parameters. The belts are made from one half of the events and tested with the other one."
)


def coverage_table(found: PopulationCoverage, quantity: Quantity) -> Table:
    """Coverage of both intervals at both levels along the truth."""
    shares = {method: 100 * found.coverage(method) for method in METHODS}
    rows = tuple(
        (
            round(float(quantity.printed(point.truth)), 3),
            *(number(float(shares[method][a, i]), 1) for i in range(len(found.levels)) for method in METHODS),
            number(float(quantity.printed(point.bias.mean())), 2),
            number(float(quantity.printed(point.spread.mean())), 2),
        )
        for a, point in enumerate(found.points)
    )
    columns = (f"{method}, {percent(level)}" for level in found.levels for method in METHODS)
    heads = (with_unit(quantity.shown, quantity), *columns, with_unit("bias", quantity), with_unit("σ", quantity))
    errors = ", ".join(f"{100 * error:.1f}" for error in found.error(RECOMMENDED).max(axis=0))
    note = f"In %, known to {errors}; {2 * found.points[0].toys} toys at each value."
    return Table("Coverage with all parameters free", heads, rows, note)


def coverage_warnings(found: PopulationCoverage, quantity: Quantity) -> list[str]:
    """A sentence if the recommended interval undercovers significantly."""
    low = found.undercovers(RECOMMENDED)
    if not low:
        return []
    places = ", ".join(f"{printed(quantity, truth, 3)} ({percent(level)})" for truth, level in low)
    return [f"{found}; significantly too low at {quantity.shown} = {places}."]
