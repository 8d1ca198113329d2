"""All stages in one tiny run: a sample from an LHE file with a calibration, and an observed one without truth."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from bmem import artifacts
from bmem.config import Config, parse
from bmem.errors import ArtifactError, EventFileError
from bmem.events import parquet
from bmem.process import THJ
from bmem.rng import generator
from bmem.simulation.parametric import ParametricResponse
from bmem.stages import STAGES, Run
from bmem.stages.calibrate import SampleCalibration, calibrate_all, true_alpha

HERE = Path(__file__).parent
LHE = HERE.parent / "data" / "thj_alpha0_200.lhe.gz"
EARLY = [name for name in STAGES if name != "report"]


def settings(folder: Path, **changes: Mapping[str, Any]) -> Config:
    """The tiny configuration with the two samples; ``changes`` are merged into its sections."""
    content = tomllib.loads((HERE / "tiny.toml").read_text(encoding="utf-8"))
    content["sample"] = [
        {"name": "lhe", "file": str(LHE), "repeats": 3},
        {"name": "observed", "file": str(folder / "observed.parquet")},
    ]
    for section, values in changes.items():
        content[section] = {**content.get(section, {}), **values}
    return parse(content)


def quiet(config: Config, out: Path) -> Run:
    return Run(config, out, Console(file=io.StringIO(), soft_wrap=True))


def said(run: Run) -> str:
    assert isinstance(run.console.file, io.StringIO)
    return run.console.file.getvalue()


def write_observed(path: Path) -> None:
    """300 reconstructed events of α = 0 without their truth, before any selection."""
    hard = THJ().sample(300, torch.zeros(1, dtype=torch.float64), generator(5, "hard"))
    parquet.write_reco(path, ParametricResponse()(hard, generator(5, "response")))


@pytest.fixture(scope="module")
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


def test_every_artifact_is_there(finished: Run) -> None:
    run = finished
    paths = [run.events(n) for n in ("training", "validation", "lhe", "observed")]
    paths += [run.network(n) for n in ("transfer", "acceptance", "proposal")]
    paths += [run.fiducial, run.hard_coefficients("lhe"), run.calibration("lhe")]
    paths += [path for n in ("lhe", "observed") for path in (run.coefficients(n), run.fit(n))]
    assert [str(path) for path in paths if not artifacts.exists(path)] == []
    for path in paths:
        artifacts.verify(path, artifacts.read_header(path).kind)
    page = (run.out / "report.html").read_text(encoding="utf-8")
    assert "α̂ of lhe" in page
    assert "α̂ of observed" in page
    assert not list(run.cache("train").glob("*"))


def test_a_second_call_computes_nothing(finished: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*") if path.is_file()}
    again = quiet(finished.config, finished.out)
    for name in EARLY:
        STAGES[name](again)
    assert {path: path.stat().st_mtime_ns for path in finished.out.rglob("*") if path.is_file()} == before
    assert said(again).count("is there") == 4 + 3 + 1 + 2 + 2 + 1


@pytest.mark.parametrize(
    ("stage", "changes", "named"),
    [
        ("simulate", {"selection": {"jet_pt": 30.0}}, "selection"),
        ("simulate", {"simulation": {"events": 2400}}, r"training\.parquet.*events"),
        ("train", {"proposal": {"defensive": 0.1}}, r"proposal\.safetensors.*\(proposal\)"),
        ("integrate", {"integration": {"pilot": 32}}, r"\.nc.*\(integration\)"),
        ("integrate", {"likelihood": {"fiducial_events": 2100}}, r"fiducial\.npz.*\(events\)"),
        ("fit", {"fit": {"luminosity": 1.0}}, r"fit/lhe\.json.*\(fit\)"),
        ("calibrate", {"calibration": {"size": 16}}, r"calibration/lhe\.json.*\(calibration\)"),
    ],
)
def test_changed_settings_are_refused(stage: str, changes: dict[str, Any], named: str, finished: Run) -> None:
    run = quiet(settings(finished.out.parent, **changes), finished.out)
    with pytest.raises(ArtifactError, match=named):
        STAGES[stage](run)


def test_another_seed_is_refused(finished: Run) -> None:
    changed = finished.config.model_copy(update={"seed": 7})
    for name in ("simulate", "train", "integrate"):
        with pytest.raises(ArtifactError, match=r"other settings \(.*seed\)"):
            STAGES[name](quiet(changed, finished.out))


def test_alpha_is_that_of_the_lhe_header(finished: Run) -> None:
    assert finished.sample("lhe").alpha is None
    assert true_alpha(finished, "lhe") == 0.0
    result = SampleCalibration.load(finished.calibration("lhe"))
    assert result.fits.truth == 0.0
    assert result.fits.events.shape == (3, 15)
    assert np.isfinite(result.fits.estimates).all()


def test_lhe_events_are_repeated(finished: Run) -> None:
    assert len(parquet.read_pairs(finished.events("lhe"))) == 600


def test_observed_events_are_measured_but_not_calibrated(finished: Run) -> None:
    assert "observed: the truth is not known, no calibration" in said(finished)
    assert not finished.hard_coefficients("observed").exists()
    assert not finished.calibration("observed").exists()
    assert 20 < len(parquet.read_reco(finished.events("observed"))) < 300


def test_too_few_events_for_a_calibration_are_told(finished: Run, tmp_path: Path) -> None:
    """45 events are integrated; the run goes on without the calibration."""
    few = quiet(settings(finished.out.parent, calibration={"size": 16}), tmp_path)
    (tmp_path / "likelihood").symlink_to(finished.out / "likelihood")
    calibrate_all(few)
    assert "lhe: no calibration: 45 accepted events do not make 3 subsamples of 16" in said(few)
    assert not few.calibration("lhe").exists()


def test_another_file_under_the_same_name_is_noticed(finished: Run, tmp_path: Path) -> None:
    copy = tmp_path / LHE.name
    copy.write_bytes(LHE.read_bytes())
    same = settings(finished.out.parent).model_dump()
    same["sample"][0]["file"] = copy
    STAGES["simulate"](quiet(parse(same), finished.out))
    copy.write_bytes(LHE.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"lhe\.parquet: was made with other settings \(sample\)"):
        STAGES["simulate"](quiet(parse(same), finished.out))


def test_a_sample_file_that_is_gone_is_named(finished: Run, tmp_path: Path) -> None:
    content = settings(tmp_path).model_dump()
    with pytest.raises(EventFileError, match=r"observed\.parquet: there is no such file; correct 'file'.*'observed'"):
        STAGES["simulate"](quiet(parse(content), finished.out))
