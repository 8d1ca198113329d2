"""From hard events to reconstructed pairs: `simulate` runs a `Response`, `ParametricResponse` (fast) or `PythiaResponse`."""

from bmem.simulation.contract import FailedEventsWarning, Response
from bmem.simulation.parametric import ParametricResponse, ParametricSettings
from bmem.simulation.simulate import Schedule, simulate

__all__ = ["FailedEventsWarning", "ParametricResponse", "ParametricSettings", "Response", "Schedule", "simulate"]
