"""Exact derivatives against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np

STEP = 1e-5


def assert_exact(function: Any, theta: list[float], second: str = "curvature") -> None:
    """``gradient`` and ``second`` of ``function`` at ``theta``: differences of steps of 1e-5 are right to about 1e-8."""
    steps = STEP * np.eye(len(theta))
    for i, step in enumerate(steps):
        slope = (function.value(np.add(theta, step)) - function.value(np.subtract(theta, step))) / (2 * STEP)
        bend = (function.gradient(np.add(theta, step)) - function.gradient(np.subtract(theta, step))) / (2 * STEP)
        scale = 1 + np.abs(function.value(theta)).max()
        np.testing.assert_allclose(function.gradient(theta)[i], slope, rtol=1e-6, atol=1e-7 * scale)
        np.testing.assert_allclose(getattr(function, second)(theta)[i], bend, rtol=1e-6, atol=1e-7 * scale)
