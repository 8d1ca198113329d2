"""Derived electroweak parameters against MadGraph's."""

import pytest

from bmem.process import ElectroweakInputs

MADGRAPH = {
    "mw": 80.41900244575616,
    "sw2": 0.22224648578577766,
    "ee": 0.3079537672443688,
    "gw": 0.6532329303475799,
    "vev": 246.21845810181637,
    "yt": 0.9907942783415524,
}


@pytest.mark.parametrize(("name", "value"), MADGRAPH.items())
def test_derived_parameters_are_those_of_madgraph(name: str, value: float) -> None:
    assert getattr(ElectroweakInputs(), name) == pytest.approx(value, rel=1e-14)
