"""The example of expected precision, goodness of fit and influence runs as it stands and gives sound numbers."""

import math

import numpy as np
import pytest
from test_tutorial import DOCS, execute


def test_power_page(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = execute(DOCS / "guide" / "power.md")
    found, goodness = result["found"], result["goodness"]
    assert (found.reco < found.hard).all()
    assert math.radians(5) == pytest.approx(1 / math.sqrt(found.events_needed(math.radians(5))[2] * found.reco[2]))
    assert 1e-3 < goodness.p_value[0] <= 1
    assert result["expectation"].interval(100, 0.683).contains(math.radians(45))
    np.testing.assert_allclose(result["result"].absolute(), 0.7, atol=4 * found.sigma(100)[2])
