"""A finished run gives its measurements with what was fitted, to other programs and to Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import quiet, settings

import bmem
from bmem import cli
from bmem.errors import ArtifactError
from bmem.inference.minima import fit
from bmem.stages import Run
from bmem.stages.exports import finished_measurements


def test_measurements_come_with_what_was_fitted(finished: Run) -> None:
    found = finished_measurements(finished)
    assert set(found) == {"lhe", "observed"}
    for measured in found.values():
        np.testing.assert_allclose(fit(measured.objective).theta, measured.fit.theta, atol=1e-6)


def test_the_command_writes_all_formats(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run of the other tests has no ``config.json``: a folder beside it that has one leads to its files."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in finished.out.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "config.json").write_text(finished.config.model_dump_json(), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["bmem", "export", str(folder), "--to", str(tmp_path / "given")])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    written = [Path(line) for line in capsys.readouterr().out.split()]
    assert all(path.is_file() for path in written)
    workspace = json.loads((tmp_path / "given" / "observed.workspace.json").read_text(encoding="utf-8"))
    result = bmem.load(finished.fit("observed"))
    assert workspace["result"]["theta"] == list(result.fit.theta)
    assert np.shape(workspace["integrals"]) == (result.replicas, result.used, 6)


def test_a_run_without_a_measurement_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no sample is measured yet; run 'bmem run CONFIG\.toml"):
        finished_measurements(quiet(settings(tmp_path), tmp_path / "out"))
