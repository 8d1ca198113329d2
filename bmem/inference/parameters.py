"""Parameters that a likelihood may have beside those of the process: the signal strength, fractions of backgrounds."""

from __future__ import annotations

from bmem.quantity import Parameter

STRENGTH = Parameter("mu", (0.01, 10.0), symbol=r"\mu", text="signal strength")
"""Signal strength: the cross section in units of the process's own."""
SMALLEST_FRACTION = 1e-4
"""Default lower bound of a fraction: above 0, so that one event that cannot be signal is no contradiction."""
LARGEST_FRACTION = 0.99
"""Fractions are fitted below this in all: a sample of background alone has no θ."""
CROSS_SECTIONS = (1e-3, 10.0)
"""Range of the cross section of a background, in units of the expected one; the lower end for the same reason above 0."""
