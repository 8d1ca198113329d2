"""Numbers are rounded after their errors as in the Review of Particle Physics."""

import numpy as np
import pytest

from bmem.inference.intervals import IntervalSet
from bmem.inference.rounding import decimals, errors, interval_text, number
from bmem.process.contract import Parameter

ANGLE = Parameter("phi", (-np.pi, np.pi), 2 * np.pi, r"\phi", "deg", 180 / np.pi, "φ")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(0.827, 0.119, "0.83"), (0.827, 0.367, "0.8"), (12.345, 0.0967, "12.35"), (1234.0, 38.0, "1230"), (1234, 354, "1230")],
)
def test_values_are_rounded_as_the_review_says(value: float, error: float, text: str) -> None:
    """The first two are the examples of its section 5.3 (errors 0.119 and 0.367)."""
    assert number(value, decimals(error)) == text


@pytest.mark.parametrize(
    ("error", "text"), [(3.54, "3.5"), (3.55, "4"), (9.49, "9"), (9.5, "10"), (0.095, "0.10"), (46, "50")]
)
def test_digits_of_an_error_change_at_355_and_950(error: float, text: str) -> None:
    assert number(error, decimals(error)) == text


def test_signs() -> None:
    assert number(-0.04, 1) == "0.0"
    assert number(-1.25, 1) == "\u22121.2"
    assert number(float("nan")) == "–"
    assert errors(4.9, 4.94, 1) == "± 4.9"
    assert errors(5.1, 4.9, 1) == "+4.9 \u22125.1"


def test_regions_are_printed_in_the_unit_of_the_quantity() -> None:
    region = IntervalSet(ANGLE, 0.683, ((-0.8, -0.7), (0.7, 0.8)))
    assert interval_text(region, ANGLE.quantity, 1) == "[\u221245.8°, \u221240.1°] ∪ [40.1°, 45.8°]"
    assert interval_text(IntervalSet(ANGLE, 0.683, ((-np.pi, np.pi),)), ANGLE.quantity, 1) == "everything"
