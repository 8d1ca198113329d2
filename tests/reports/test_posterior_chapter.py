"""Sentences of the report on the posterior's predictions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bmem.quantity import Quantity
from bmem.reports.posterior import predictive_warnings


def predictions(*p_values: float) -> Any:
    return {f"x{i}": SimpleNamespace(p_value=p) for i, p in enumerate(p_values)}


@pytest.mark.parametrize(("p_value", "blamed"), [(0.0009 / 7, True), (0.0011 / 7, False), (0.005, False)])
def test_more_observables_ask_for_a_smaller_p_value(p_value: float, blamed: bool) -> None:
    """It used to be the other way round: with seven observables p = 0.005 was blamed, which one sample in 30 has."""
    found = predictive_warnings("data", predictions(p_value, *[0.4] * 6), {})
    assert bool(found) == blamed
    if blamed:
        assert found == ["data: x0: not distributed as the posterior predicts."]


def test_a_single_observable_is_blamed_below_one_in_a_thousand() -> None:
    assert predictive_warnings("data", predictions(0.0009), {})
    assert not predictive_warnings("data", predictions(0.0011), {})


def test_an_observable_is_called_by_its_symbol() -> None:
    """The warning used to have the name of a column, ``pt_H``; on a terminal the symbol has no dollars."""
    quantities = {"x0": Quantity("x0", r"p_{T}^{\gamma\gamma}", "GeV")}
    assert predictive_warnings("data", predictions(1e-6), quantities) == [
        "data: p_T^γγ: not distributed as the posterior predicts."
    ]
