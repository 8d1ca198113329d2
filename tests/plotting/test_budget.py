"""The budget figure shows the numbers of the budgets."""

import numpy as np
import pytest
from quantities import ALPHA

from bmem.inference.combine import Budget, Spread
from bmem.inference.minima import FitResult, Minimum
from bmem.plotting.budget import BudgetScan, draw_budget
from bmem.process.contract import Parameter

ANGLE = Parameter("alpha", (-np.pi, np.pi), 2 * np.pi)
FIT = FitResult((ANGLE,), (Minimum((0.8,), 0.0, 0.0, (0.1,), True, False),), 100)


def of(statistical: float, integration: float, network: float | None) -> Budget:
    replicas = None if network is None else Spread(9, (0.0,), (network,), 0.0)
    spread = Spread(51, (0.0,), (integration,), 0.0)
    return Budget(FIT, (statistical,), (integration,), spread, replicas, (0.0,), None, 1.0)


def test_every_source_is_drawn_in_degrees_with_its_own_error(axes, error_bars, legend_hides_nothing):
    scan = BudgetScan.of([100, 1000], [of(0.1, 0.01, 0.02), of(0.03, 0.003, 0.02)])
    artists = draw_budget(axes, scan, "events", ALPHA)
    assert set(artists) == {"statistical", "integration", "network"}
    x, y, low, high = error_bars(artists["network"])
    np.testing.assert_allclose(x, [100, 1000])
    np.testing.assert_allclose(y, np.degrees([0.02, 0.02]))
    np.testing.assert_allclose((high - low) / 2 / y, 0.25)
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_ylabel() == r"$\sigma(\hat{\alpha})$ [°]"
    legend_hides_nothing(axes)


def test_a_source_that_was_not_evaluated_is_not_drawn(axes):
    artists = draw_budget(axes, BudgetScan.of([1, 2], [of(0.1, 0.1, None)] * 2), "points", ALPHA)
    assert set(artists) == {"statistical", "integration"}
    assert BudgetScan.of([1], [of(0.1, 0.2, None)]).sources["integration"] == pytest.approx([0.2])
