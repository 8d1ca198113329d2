"""From hard events to reconstructed pairs: `simulate` runs a `Response`, `ParametricResponse` (fast) or `PythiaResponse`."""

from bmem.simulation.contract import FailedEventsWarning, Response
from bmem.simulation.detector import DetectorSettings
from bmem.simulation.parametric import ParametricResponse, ParametricSettings
from bmem.simulation.pythia import PythiaResponse, PythiaSettings
from bmem.simulation.simulate import Schedule, simulate

__all__ = [
    "DetectorSettings",
    "FailedEventsWarning",
    "ParametricResponse",
    "ParametricSettings",
    "PythiaResponse",
    "PythiaSettings",
    "Response",
    "Schedule",
    "simulate",
]
