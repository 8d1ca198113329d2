"""All stages in one tiny run: a sample from an LHE file with a calibration, and an observed one without truth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import EARLY, LHE, quiet, said, settings, write_observed

from bmem import artifacts
from bmem.calibration.sample import SampleCalibration
from bmem.config import parse
from bmem.errors import ArtifactError
from bmem.events import parquet
from bmem.inference import export
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.measurement import Measurement
from bmem.replicas import Replicas
from bmem.stages import STAGES, Run
from bmem.stages.calibrate import true_value
from bmem.stages.train import build, load_history, trainings


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
    assert said(again).count("is there") == 4 + 3 + 1 + 4 + 2 + 1


@pytest.mark.parametrize(
    ("stage", "changes", "named"),
    [
        ("simulate", {"channel": {"selection": {"jet_pt": 30.0}}}, r"selection\.jet_pt: 25\.0 there, 30\.0 here"),
        (
            "simulate",
            {"channel": {"parametric": {"detector": {"jet_angle": 0.1}}}},
            r"detector\.jet_angle: 0\.03 there, 0\.1 here",
        ),
        ("simulate", {"channel": {"response": "pythia"}}, r"pythia: nothing there, \{.* here"),
        ("simulate", {"simulation": {"events": 2400}}, r"training\.parquet.*events: 2500 there, 2400 here"),
        (
            "train",
            {"proposal": {"defensive": 0.1}},
            r"proposal\.safetensors.*proposal\.defensive: 0\.02 there",
        ),
        ("train", {"transfer": {"training": {"epochs": 3}}}, r"transfer\.safetensors.*transfer\.training\.epochs: 2 there"),
        ("integrate", {"integration": {"pilot": 32}}, r"\.nc.*\(integration\.pilot: 16 there, 32 here\)"),
        ("integrate", {"likelihood": {"fiducial": "learned"}}, r"fiducial\.npz.*\(events: nothing there, 200000 here\)"),
        ("fit", {"fit": {"luminosity": 1.0}}, r"fit/lhe\.json.*\(fit\.luminosity: nothing there, 1\.0 here\)"),
        ("calibrate", {"calibration": {"size": 16}}, r"calibration/lhe\.json.*\(calibration\.size: 15 there, 16 here\)"),
    ],
)
def test_changed_settings_are_refused(stage: str, changes: dict[str, Any], named: str, finished: Run) -> None:
    run = quiet(settings(finished.out.parent, **changes), finished.out)
    with pytest.raises(ArtifactError, match=named):
        STAGES[stage](run)


def test_another_seed_is_refused(finished: Run) -> None:
    changed = finished.config.model_copy(update={"seed": 7})
    for name in ("simulate", "train", "integrate"):
        with pytest.raises(ArtifactError, match=r"other settings \(.*seed: 1 there, 7 here"):
            STAGES[name](quiet(changed, finished.out))


def test_alpha_is_that_of_the_lhe_header(finished: Run) -> None:
    assert finished.sample("lhe").truth == {}
    assert true_value(finished, "lhe") == 0.0
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
    for folder in ("events", "likelihood"):
        (tmp_path / folder).symlink_to(finished.out / folder)
    STAGES["calibrate"](few)
    assert "lhe: no calibration: 45 accepted events do not make 3 subsamples of 16" in said(few)
    assert not few.calibration("lhe").exists()


def test_another_file_under_the_same_name_is_noticed(finished: Run, tmp_path: Path) -> None:
    copy = tmp_path / LHE.name
    copy.write_bytes(LHE.read_bytes())
    same = settings(finished.out.parent).model_dump()
    same["sample"][0]["file"] = copy
    STAGES["simulate"](quiet(parse(same), finished.out))
    copy.write_bytes(LHE.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"lhe\.parquet: was made with other settings \(sample\.file\.sha256: "):
        STAGES["simulate"](quiet(parse(same), finished.out))


def test_a_sample_file_is_no_longer_needed_once_it_was_read(finished: Run, tmp_path: Path) -> None:
    gone = settings(tmp_path)
    assert gone.sample[1].file is not None
    assert not gone.sample[1].file.exists()
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*") if path.is_file()}
    STAGES["simulate"](quiet(gone, finished.out))
    assert {path: path.stat().st_mtime_ns for path in finished.out.rglob("*") if path.is_file()} == before


def test_the_truth_of_the_header_is_in_the_report(finished: Run) -> None:
    """It used to be shown only where the configuration gave it."""
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert page.count("generated at α = 0°") == 1


def test_nothing_unfinished_is_left(finished: Run) -> None:
    assert not [path for path in finished.cache().rglob("*") if path.is_file()]


def test_memory_settings_may_change(finished: Run) -> None:
    """They do not change results, and whoever ran out of memory must be able to go on."""
    run = quiet(settings(finished.out.parent, integration={"points_per_chunk": 64, "block": 10}), finished.out)
    STAGES["integrate"](run)
    assert said(run).count("is there") == 5


@pytest.mark.parametrize(
    ("name", "stage", "victim"), [("acceptance", "integrate", "fiducial"), ("transfer", "train", "proposal")]
)
def test_artifacts_made_from_others_are_refused(finished: Run, tmp_path: Path, name: str, stage: str, victim: str) -> None:
    """A network is replaced by another: what was made with the first one is not taken."""
    shutil.copytree(finished.out, tmp_path / "out")
    run = replace(finished, out=tmp_path / "out", console=quiet(finished.config, tmp_path).console)
    weights = Replicas.load(run.network(name), build(run, name))
    header = artifacts.read_header(run.network(name))
    other = Replicas(weights.module, {name: value + 0 for name, value in weights.weights.items()})
    next(iter(other.weights.values())).add_(1.0)
    other.save(run.network(name), header.settings, {"training": run.events("training")})
    with pytest.raises(ArtifactError, match=rf"{victim}.*: was made from other artifacts \({name}\).*delete this file"):
        STAGES[stage](run)


def test_checking_compares_and_computes_nothing(finished: Run, tmp_path: Path) -> None:
    nothing = replace(quiet(finished.config, tmp_path / "out"), checking=True)
    for name in EARLY:
        STAGES[name](nothing)
    assert not (tmp_path / "out").exists()
    changed = replace(quiet(settings(finished.out.parent, fit={"events": 19}), finished.out), checking=True)
    with pytest.raises(ArtifactError, match=r"fit/lhe\.json.*fit\.events: 20 there, 19 here"):
        STAGES["fit"](changed)


def test_luminosity_adds_the_poisson_term_of_the_rate(finished: Run, tmp_path: Path) -> None:
    """-2 log L with the rate less that without is 2 (L f σ_fid - n log f σ_fid)(α) up to a constant; f is that of H → γγ."""
    luminosity = 5000.0
    fits: list[Any] = []
    for section in ({"luminosity": luminosity}, {}):
        run = quiet(settings(finished.out.parent, fit=section), tmp_path / f"out{len(fits)}")
        for name in ("lhe", "observed"):
            Coefficients.load(finished.coefficients(name)).replica(0).save(run.coefficients(name))
        STAGES["fit"](run)
        fits.append(Measurement.load(run.fit("lhe")))
    extended, shape = fits
    np.testing.assert_array_equal(extended.curve.theta, shape.curve.theta)
    theta = torch.from_numpy(shape.curve.theta)[:, None]
    sigma = run.process.basis(theta).numpy() @ FiducialCrossSection.load(finished.fiducial).values[0]
    sigma = sigma * run.channel.rate["process"].value(shape.curve.theta[:, None])
    expected = 2 * (luminosity * sigma - shape.events * np.log(sigma))
    difference = extended.curve.delta - shape.curve.delta - expected
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-8)
    assert np.ptp(expected) > 1


def test_the_bias_is_measured_and_stands_in_the_report(finished: Run) -> None:
    """By as many validation events as there are; from a folder without them a fit says that it is not evaluated."""
    fit = Measurement.load(finished.fit("lhe"))
    validation = Coefficients.load(finished.coefficients("validation"))
    assert validation.n_replicas == 1
    assert (fit.budget.bias is None) == (validation.n_events < 100)
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "method bias" in page


def test_replicas_go_through_the_chain(finished: Run) -> None:
    """Transfer and acceptance have replicas that differ, the integrals have their axis, and the budget a network error."""
    count = finished.config.posterior.replicas
    coefficients = Coefficients.load(finished.coefficients("lhe"))
    assert coefficients.n_replicas == len(coefficients.fiducial) == count
    assert (coefficients.values.std(axis=0)[:, [0, 1, 3]] > 0).all()
    assert (coefficients.fiducial.std(axis=0)[[0, 1, 3]] > 0).all()
    network = Measurement.load(finished.fit("lhe")).budget.network
    assert network is not None
    assert network.n == count
    assert network.std[0] > 0
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "Uncertainty by source" in page


def test_doubts_about_a_posterior_are_kept_with_the_network(tmp_path: Path) -> None:
    run = quiet(settings(tmp_path, posterior={"method": "mean_field", "epochs": 2}), tmp_path / "out")
    write_observed(tmp_path / "observed.parquet")
    for name in ("simulate", "train"):
        STAGES[name](run)
    suspicions = artifacts.read_header(run.network("transfer")).settings["suspicions"]
    assert any("too few to tell whether the ELBO is flat" in suspicion for suspicion in suspicions)
    assert suspicions[0] in said(run)


def test_couplings_are_fitted_where_they_are_asked_for(finished: Run, tmp_path: Path) -> None:
    assert not Measurement.load(finished.fit("lhe")).further
    run = quiet(settings(finished.out.parent, fit={"bases": ["couplings"]}), tmp_path)
    shutil.copytree(finished.out / "likelihood", tmp_path / "likelihood")
    STAGES["fit"](run)
    found = Measurement.load(run.fit("lhe")).further["couplings"]
    assert [p.name for p in found.contours.parameters] == ["kappa_S", "kappa_P"]
    assert found.contours.minima[0][:2] == pytest.approx(found.budget.estimate.theta)


def test_a_fit_has_the_bayesian_answer_and_the_events_that_drive_it(finished: Run) -> None:
    fit = Measurement.load(finished.fit("lhe"))
    assert fit.posterior is not None
    assert fit.posterior.prior.startswith("flat")
    widths = [region.length for region in fit.posterior.intervals]
    assert 0 < widths[0] < widths[1] <= 2 * np.pi
    assert fit.influence is not None
    assert fit.influence.drivers(1)[0].event < fit.events
    assert fit.goodness is None
    draws = export.load(finished.inference_data("lhe"))
    assert draws.posterior["alpha"].dims == ("chain", "draw")
    assert draws.posterior["alpha_by_replica"].sizes["replica"] == finished.config.posterior.replicas
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "highest density" in page
    assert "Most influential events of lhe" in page


def test_a_point_estimate_is_one_replica_without_a_network_error(tmp_path: Path) -> None:
    run = quiet(settings(tmp_path, posterior={"method": "point"}), tmp_path / "out")
    write_observed(tmp_path / "observed.parquet")
    for name in EARLY:
        STAGES[name](run)
    assert Coefficients.load(run.coefficients("lhe")).n_replicas == 1
    assert Measurement.load(run.fit("lhe")).budget.network is None


def test_an_ensemble_trains_its_members_and_no_point_estimate(tmp_path: Path) -> None:
    run = quiet(settings(tmp_path, posterior={"method": "ensemble", "replicas": 3}), tmp_path / "out")
    write_observed(tmp_path / "observed.parquet")
    for name in ("simulate", "train"):
        STAGES[name](run)
    assert trainings(run) == ["transfer.posterior", "acceptance.posterior", "proposal"]
    members = Replicas.load(run.network("transfer"), build(run, "transfer"))
    assert len(members) == 3
    assert not run.cache("train", "transfer").exists()


def test_the_proposal_follows_from_the_transfer(finished: Run) -> None:
    assert artifacts.read_header(finished.network("proposal")).parents.keys() == {"training", "transfer"}
    assert trainings(finished)[-1] == "proposal"
    assert len(load_history(finished, "proposal").train_loss) == 2
