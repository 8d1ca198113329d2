"""Measurements: the fit of a sample with everything that belongs to its result."""

from bmem.measurement.measure import measure_hypothesis
from bmem.measurement.record import Measurement

__all__ = ["Measurement", "measure_hypothesis"]
