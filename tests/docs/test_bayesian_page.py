"""The example of the posterior runs as it stands and gives sound numbers."""

import arviz as az
import numpy as np
import pytest
from test_tutorial import DOCS, execute


def test_bayesian_page(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth lies in the region of 99.99 % (false alarm 1e-4 under the flat prior; seeded), and arviz has it."""
    monkeypatch.chdir(tmp_path)
    names = execute(DOCS / "guide" / "bayesian.md")
    result, data = names["result"], names["data"]
    assert result.interval(0.9999).contains(0.9)
    assert names["posterior"](names["objective"], names["positive"]).below(0.0) < 1e-3
    draws = data.posterior["theta"].to_numpy().ravel()
    assert result.interval(0.683).contains(draws).mean() == pytest.approx(0.683, abs=4.1 * np.sqrt(0.683 * 0.317 / 2000))
    found = az.loo(data)
    assert np.isfinite(float(found.elpd_loo if hasattr(found, "elpd_loo") else found.elpd))  # arviz 0.x, and 1.x
