"""Backgrounds, external constraints and a free strength in a tiny run: from the configuration to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import EARLY, HERE, quiet, said, settings

from bmem import artifacts
from bmem.calibration.sample import SampleCalibration
from bmem.channels.thj.response import ParametricResponse
from bmem.config import Config, parse
from bmem.errors import ArtifactError, ConfigError, EventFileError
from bmem.events import parquet
from bmem.inference import export
from bmem.measurement import Measurement
from bmem.process import THJ
from bmem.replicas import Replicas
from bmem.rng import generator
from bmem.stages import STAGES, Run
from bmem.stages.backgrounds import _role, held_out_events, log_densities, observed, stated_density
from bmem.stages.simulate import load_sample

DIPHOTON = {"name": "diphoton", "density": "diphoton", "fraction": 0.3}
SMALL = {
    "network": {"blocks": 2, "hidden": 8, "layers": 1, "bins": 4},
    "training": {"epochs": 1, "batch_size": 128},
}


def configured(folder: Path, **sections: Any) -> Config:
    """The tiny configuration with its first sample alone, lists of backgrounds or constraints, and changed sections."""
    lists = {name: sections.pop(name) for name in ("background", "constraint") if name in sections}
    content = json.loads(settings(folder, **sections).model_dump_json(exclude_unset=True))
    return parse(content | {"sample": content["sample"][:1]} | lists)


def continued(finished: Run, folder: Path, **sections: Any) -> Run:
    """The finished run without its fits and calibrations; with backgrounds also without integrals."""
    shutil.copytree(finished.out, folder / "out")
    for name in ("fit", "calibration"):
        shutil.rmtree(folder / "out" / name)
    if "background" in sections:
        for path in (folder / "out" / "likelihood").glob("lhe*"):
            path.unlink()
    return quiet(configured(finished.out.parent, **sections), folder / "out")


def completed(run: Run) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmem.plotting.style.FORMATS", ("png",))
        patch.setattr("bmem.channels.thj.channel.ThjChannel.shown", ("pt_H",))
        for stage in STAGES.values():
            stage(run)
    return run


@pytest.fixture(scope="module")
def contaminated(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return completed(continued(finished, tmp_path_factory.mktemp("contaminated"), background=[DIPHOTON]))


@pytest.fixture(scope="module")
def rated(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """α with a free strength and couplings, all with constraints."""
    constraints = [
        {"parameter": "alpha", "value": 20.0, "error": 15.0},
        {"parameter": "strength", "value": 1.2, "error": 0.01},
        {"parameter": "kappa_P", "value": 0.3, "error": 0.02},
    ]
    fit = {"strength": True, "bases": ["couplings"], "luminosity": 600.0}
    return completed(continued(finished, tmp_path_factory.mktemp("rated"), fit=fit, constraint=constraints))


def loaded(run: Run, name: str = "lhe") -> Measurement:
    return Measurement.load(run.fit(name))


def test_samples_are_given_background_at_random_places(contaminated: Run, finished: Run) -> None:
    """Binomial shares; a true share of 0.3 is refused with a probability of 2e-5. Observed samples stay as they are."""
    sample, reco = observed(contaminated, "lhe"), load_sample(contaminated, "lhe")[0]
    places = sample.signal[sample.signal >= 0]
    assert places.tolist() == list(range(len(reco)))
    background = int((sample.signal < 0).sum())
    assert abs(background - 0.3 * len(sample.x)) < 4.3 * np.sqrt(0.21 * len(sample.x))
    assert sample.x_hard is None
    assert torch.equal(sample.x, observed(quiet(contaminated.config, contaminated.out), "lhe").x)
    both = contaminated.config.model_copy(update={"sample": finished.config.sample})
    assert (observed(quiet(both, contaminated.out), "observed").signal >= 0).all()
    expected = stated_density(contaminated, contaminated.config.background[0]).log_density(sample.x[:7]).numpy()
    np.testing.assert_array_equal(log_densities(contaminated, "lhe", 7)["diphoton"], expected)


def test_fraction_is_fitted_with_its_budget(contaminated: Run) -> None:
    fit = loaded(contaminated)
    assert [p.name for p in fit.fit.parameters] == ["alpha", "f_diphoton"]
    fraction = fit.estimates[1]
    assert fraction.value == fit.fit.theta[1]
    ((low, high),) = fraction.intervals[0].intervals
    assert 1e-4 <= low <= fraction.value <= high < 0.99
    assert fit.budget.integration is not None
    assert fit.budget.network is not None
    assert len(fit.budget.integration.std) == len(fit.budget.network.std) == 2
    assert min(fit.curve.delta) > -1e-6
    assert fit.curve.resamples is not None
    assert fit.curve.resamples.min() == 0
    assert "fraction of diphoton" in said(contaminated)
    page = (contaminated.out / "report.html").read_text(encoding="utf-8")
    for text in ("fraction of diphoton, 68.3 %", "Fits with more parameters"):
        assert text in page


def test_posterior_has_the_fraction(contaminated: Run) -> None:
    data = export.load(contaminated.inference_data("lhe"))
    fraction = data.posterior["f_diphoton"].to_numpy()
    assert fraction.shape == data.posterior["alpha"].shape == (4, 500)
    assert 1e-4 <= fraction.min() < fraction.max() <= 0.99
    posterior = loaded(contaminated).posterior
    assert posterior is not None
    assert "flat in every parameter" in posterior.prior


def test_calibration_with_background_has_no_yardstick(contaminated: Run) -> None:
    result = SampleCalibration.load(contaminated.calibration("lhe"))
    assert result.yardstick_fits is None
    assert result.information_kept is None
    assert len(result.score.theta) == 2
    assert not contaminated.hard_coefficients("lhe").exists()


def test_another_fraction_is_another_sample(contaminated: Run, finished: Run) -> None:
    config = configured(finished.out.parent, background=[{**DIPHOTON, "fraction": 0.2}])
    with pytest.raises(ArtifactError, match=r"lhe\.nc.*background\.0\.fraction: 0\.3 there, 0\.2 here"):
        STAGES["integrate"](quiet(config, contaminated.out))


def test_a_known_fraction_is_another_fit(contaminated: Run, finished: Run) -> None:
    config = configured(finished.out.parent, background=[{**DIPHOTON, "fraction_error": 0.01}])
    run = quiet(config, contaminated.out)
    STAGES["integrate"](run)
    with pytest.raises(ArtifactError, match=r"fit/lhe\.json.*background\.0\.fraction_error: nothing there, 0\.01 here"):
        STAGES["fit"](run)


def test_a_second_call_computes_nothing(contaminated: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in contaminated.out.rglob("*") if path.is_file()}
    for name in EARLY:
        STAGES[name](quiet(contaminated.config, contaminated.out))
    assert {path: path.stat().st_mtime_ns for path in contaminated.out.rglob("*") if path.is_file()} == before


def test_strength_follows_its_constraint(rated: Run) -> None:
    """Twenty events know μ to 0.2 at best: the constraint of 0.01 decides, in every replica and resample."""
    strength = loaded(rated).further["strength"]
    assert [e.parameter.name for e in strength.estimates] == ["alpha", "mu"]
    assert strength.budget.estimate.theta[1] == pytest.approx(1.2, abs=0.02)
    assert strength.budget.statistical[1] == pytest.approx(0.01, rel=0.05)
    assert strength.budget.network is not None
    assert strength.budget.network.std[1] < 0.002
    ((low, high),) = strength.intervals[1][0].intervals
    assert (high - low) / 2 == pytest.approx(0.01, rel=0.1)
    assert {c.parameter for c in strength.constraints} == {"alpha", "mu"}


def test_couplings_follow_theirs(rated: Run) -> None:
    couplings = loaded(rated).further["couplings"]
    assert couplings.budget.estimate.theta[1] == pytest.approx(0.3, abs=0.03)
    assert couplings.budget.statistical[1] < 0.021
    assert [c.parameter for c in couplings.constraints] == ["kappa_P"]


def test_constraint_on_alpha_enters_everything(rated: Run, finished: Run) -> None:
    """Estimate, error, interval, posterior and influence; twenty events alone know α to 15 to 20°."""
    fit, free = loaded(rated), loaded(finished)
    (constraint,) = fit.constraints
    assert constraint.parameter == "alpha"
    np.testing.assert_allclose([constraint.value, constraint.error], np.radians([20, 15]))
    assert fit.budget.statistical[0] < np.radians(15)
    assert fit.posterior is not None
    assert free.posterior is not None
    assert fit.influence is not None
    assert "external constraint" in fit.posterior.prior
    assert fit.posterior.std < free.posterior.std
    assert fit.influence.error[0] == pytest.approx(fit.fit.error[0], rel=1e-6)
    page = (rated.out / "report.html").read_text(encoding="utf-8")
    for text in ("External constraints", "signal strength", "highest density, flat prior and constraints", "κ_P"):
        assert text in page


def test_constraints_are_part_of_a_fit(rated: Run, finished: Run) -> None:
    config = configured(finished.out.parent, fit={"strength": True, "bases": ["couplings"], "luminosity": 600.0})
    with pytest.raises(ArtifactError, match=r"fit/lhe\.json.*constraint"):
        STAGES["fit"](quiet(config, rated.out))


def test_a_background_is_learned_from_its_events(finished: Run, tmp_path: Path) -> None:
    """Events at 180° stand for a background; its replicas go through the fit like those of the other networks."""
    hard = THJ().sample(9000, torch.full((1,), np.pi, dtype=torch.float64), generator(7, "hard"))
    parquet.write_reco(tmp_path / "b.parquet", ParametricResponse()(hard, generator(7, "response")))
    learned = {"name": "b", "file": str(tmp_path / "b.parquet"), "fraction": 0.1, "fraction_error": 0.02, **SMALL}
    run = completed(continued(finished, tmp_path, background=[learned]))
    assert log_densities(run, "lhe", 5)["b"].shape == (2, 5)
    weights = Replicas.load(run.network("background_b"), _role(run, run.config.background[0]).build())
    assert len(weights) == 2
    fit = loaded(run)
    assert fit.budget.statistical[1] == pytest.approx(0.02, rel=0.3)
    sample = observed(run, "lhe")
    mixed_in = sample.x[torch.as_tensor(sample.signal < 0)]
    assert torch.equal(mixed_in, held_out_events(run, "b")[: len(mixed_in)])
    assert "Learned density of b" in (run.out / "report.html").read_text(encoding="utf-8")
    greedy = configured(finished.out.parent, background=[{**learned, "fraction": 0.89}])
    with pytest.raises(ConfigError, match=r"background.. b: .* are left for the sample 'lhe'"):
        observed(quiet(greedy, run.out), "lhe")


def test_files_of_backgrounds_that_do_not_do(finished: Run, tmp_path: Path) -> None:
    few = {"name": "b", "file": str(finished.out.parent / "observed.parquet"), "fraction": 0.1}
    for changes, named in (
        ({"file": str(tmp_path / "none.parquet")}, "no such file.*'b'"),
        ({"file": str(HERE.parent / "data" / "thj_alpha0_200.lhe.gz")}, "no observed events"),
        ({}, "1000 are needed"),
    ):
        run = quiet(configured(finished.out.parent, background=[{**few, **changes}]), tmp_path / "out")
        with pytest.raises(EventFileError, match=named):
            STAGES["simulate"](run)


def test_a_key_that_came_later_and_is_not_used_makes_no_difference(finished: Run, tmp_path: Path) -> None:
    """A fit made before there were strengths, backgrounds and constraints is still the fit of this configuration."""
    shutil.copytree(finished.out, tmp_path / "out")
    run = quiet(finished.config, tmp_path / "out")
    header = artifacts.sidecar(run.fit("lhe"))
    content = json.loads(header.read_text())
    for name in ("background", "constraint"):
        del content["settings"][name]
    del content["settings"]["fit"]["strength"]
    header.write_text(json.dumps(content))
    STAGES["fit"](run)
    assert "fit/lhe.json is there" in said(run)
