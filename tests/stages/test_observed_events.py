"""Observed events are all measured, unless fewer are asked for: that is said. They used to be cut to 100 without a word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import quiet, said, settings, write_observed

from bmem import artifacts
from bmem.config import parse
from bmem.errors import ArtifactError
from bmem.events import parquet
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement
from bmem.stages import STAGES, Run
from bmem.stages.simulate import is_observed, measured_events


@pytest.fixture(scope="module")
def by_default(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run with its integrals and fits made anew, without ``fit.events``."""
    out = tmp_path_factory.mktemp("default") / "out"
    shutil.copytree(finished.out, out)
    for folder in ("fit", "calibration"):
        shutil.rmtree(out / folder)
    for path in (out / "likelihood").glob("*.nc*"):
        path.unlink()
    run = quiet(settings(finished.out.parent, fit={"events": None}), out)
    for stage in ("integrate", "fit"):
        STAGES[stage](run)
    return run


def test_all_observed_events_are_measured_by_default(by_default: Run) -> None:
    """And of a simulated sample the first hundred, or as many as there are."""
    there = len(parquet.read_reco(by_default.events("observed")))
    result = Measurement.load(by_default.fit("observed"))
    assert there > 20
    assert (result.events, result.available, result.observed, result.unread) == (there, there, True, 0)
    assert f"{there} of {there} events" in result.line
    assert Coefficients.load(by_default.coefficients("observed")).n_events == there
    assert "that were observed are measured" not in said(by_default)
    assert result.left_out == []
    accepted = int(parquet.read_pairs(by_default.events("lhe")).accepted.sum())
    assert Measurement.load(by_default.fit("lhe")).events == min(accepted, 100)


def test_a_second_call_computes_nothing(by_default: Run) -> None:
    again = quiet(by_default.config, by_default.out)
    for stage in ("integrate", "fit"):
        STAGES[stage](again)
    assert said(again).count("is there") == 5 + 2  # two samples, x_hard known of one, σ_fid, validation; two fits


def test_fewer_than_there_are_is_said_everywhere(finished: Run) -> None:
    there = len(parquet.read_reco(finished.events("observed")))
    result = Measurement.load(finished.fit("observed"))
    assert (result.events, result.available) == (20, there)
    remark = f"only 20 of {there} events that were observed are measured, as fit.events asks; leave it out for all"
    assert f"observed: {remark}" in said(finished)
    assert f"20 of {there} events" in said(finished)
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert f"observed: {remark}." in page
    assert f"20 of {there} events" in page


def test_of_a_simulated_sample_the_number_is_told_without_a_warning(finished: Run) -> None:
    result = Measurement.load(finished.fit("lhe"))
    assert result.available == int(parquet.read_pairs(finished.events("lhe")).accepted.sum()) > result.events == 20
    assert result.left_out == []


def test_events_of_the_file_that_are_not_read_are_said(finished: Run, tmp_path: Path) -> None:
    write_observed(tmp_path / "observed.parquet")
    content = settings(tmp_path).model_dump(mode="json")
    content["sample"] = [content["sample"][1] | {"events": 200}]
    run = quiet(parse(content), tmp_path / "out")
    shutil.copytree(finished.out / "networks", run.out / "networks")
    shutil.copytree(finished.out / "events", run.out / "events")
    for name in ("observed.parquet", "observed.parquet.json"):
        (run.out / "events" / name).unlink()
    for stage in ("simulate", "integrate", "fit"):
        STAGES[stage](run)
    result = Measurement.load(run.fit("observed"))
    assert result.unread == 100
    assert "100 observed events of the file are not read, as 'events' of the sample asks" in said(run)


def test_the_kind_is_told_by_the_events_or_else_by_the_file(finished: Run, tmp_path: Path) -> None:
    assert is_observed(finished, "observed")
    assert not is_observed(finished, "lhe")
    without = quiet(finished.config, tmp_path)
    assert is_observed(without, "observed")
    assert not is_observed(without, "lhe")
    assert measured_events(without, "observed") == 20


def test_what_the_former_default_measured_is_refused_for_observed_events_only(by_default: Run, tmp_path: Path) -> None:
    """It was 100 for all samples, which is still that of simulated ones."""
    out = tmp_path / "out"
    shutil.copytree(by_default.out, out)
    beside = artifacts.sidecar(by_default.coefficients("observed")).name
    header = json.loads((out / "likelihood" / beside).read_text(encoding="utf-8"))
    header["settings"]["events"] = 100
    (out / "likelihood" / beside).write_text(json.dumps(header), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"observed\.nc.*other settings \(events: 100 there, nothing here\)"):
        STAGES["integrate"](quiet(by_default.config, out))
    assert artifacts.read_header(by_default.fit("lhe")).settings["fit"]["events"] == 100
