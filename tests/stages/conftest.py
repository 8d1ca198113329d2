"""One finished tiny run for all tests of the stages; they must leave its folder as it is."""

from __future__ import annotations

import pytest
from tiny_runs import quiet, settings, write_observed

from bmem.stages import STAGES, Run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run through all stages; figures only in the format that the page shows, to save time."""
    folder = tmp_path_factory.mktemp("run")
    write_observed(folder / "observed.parquet")
    run = quiet(settings(folder), folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmem.plotting.style.FORMATS", ("png",))
        for stage in STAGES.values():
            stage(run)
    return run
