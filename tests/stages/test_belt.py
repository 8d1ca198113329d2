"""The bank, the belt and the calibration over the period in a tiny run; what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import EARLY, quiet, said, settings

from bmem import artifacts
from bmem.calibration.neyman import Belt
from bmem.calibration.power import Expectation, power_at
from bmem.channels.contract import shown_observables
from bmem.channels.thj.reconstruction import Reconstruction
from bmem.config import parse
from bmem.errors import ArtifactError, ConfigError, InputError
from bmem.inference.objective import MarginalLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement
from bmem.stages import STAGES, Run
from bmem.stages.belt import belt_of, load_bank
from bmem.stages.period import product as period_product
from bmem.stages.prospects import FromBank
from bmem.stages.simulate import load_sample

BELT = {"bank_events": 6000, "toys": 1000, "points": 5}
PERIOD: dict[str, Any] = {"toys": 200, "truths": [0.0, 90.0, 180.0], "simulations": 120}


def copied(finished: Run, folder: Path, **changes: Mapping[str, Any]) -> Run:
    """The finished run with a bank to come: without its fits and calibrations."""
    shutil.copytree(finished.out, folder / "out")
    for stage in ("fit", "calibration"):
        shutil.rmtree(folder / "out" / stage)
    belt = {**BELT, **changes.pop("belt", {})}
    return quiet(settings(finished.out.parent, belt=belt, calibration=PERIOD, **changes), folder / "out")


@pytest.fixture(scope="module")
def banked(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = copied(finished, tmp_path_factory.mktemp("banked"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmem.plotting.style.FORMATS", ("png",))
        for stage in STAGES.values():
            stage(run)
    return run


def test_bank_is_integrated_without_repeats(banked: Run) -> None:
    bank = load_bank(banked)
    assert bank.n_events + bank.excluded == Coefficients.load(banked.coefficients("bank")).n_events
    assert 500 < bank.n_events < 1500
    mean, error = bank.normalisation([0.5])
    assert abs(mean - 1) < 5 * error


def test_fit_reports_the_belts_interval(banked: Run) -> None:
    for name in ("lhe", "observed"):
        fit = Measurement.load(banked.fit(name))
        assert fit.belt is not None
        belt = Belt.load(banked.belt(fit.used))
        coefficients = Coefficients.load(banked.coefficients(name)).select(slice(0, fit.events))
        basis = MorphingBasis.of(banked.process)
        objective = MarginalLikelihood.of(coefficients, basis, exclude=np.array(fit.excluded, int))
        for level, region in zip((0.683, 0.954), fit.belt.intervals, strict=True):
            np.testing.assert_allclose(belt.interval(objective, level).intervals, region.intervals, atol=1e-6)
    page = (banked.out / "report.html").read_text(encoding="utf-8")
    for text in ("68.3 %, Feldman-Cousins", "Calibration over the period", "Verdict", "Belt for 20 events"):
        assert text in page


def test_belt_is_used_again_for_new_data(banked: Run) -> None:
    before = banked.belt(20).stat().st_mtime_ns
    assert belt_of(quiet(banked.config, banked.out), 20).events == 20
    assert banked.belt(20).stat().st_mtime_ns == before


def test_a_second_call_computes_nothing(banked: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in banked.out.rglob("*") if path.is_file()}
    for name in EARLY:
        STAGES[name](quiet(banked.config, banked.out))
    assert {path: path.stat().st_mtime_ns for path in banked.out.rglob("*") if path.is_file()} == before


def test_period_has_all_truths(banked: Run) -> None:
    result = period_product(banked).load()
    np.testing.assert_allclose(np.degrees(result.truths), PERIOD["truths"])
    assert {point.toys for point in result.points} == {200}
    assert "Feldman-Cousins: 68.3 % covers" in said(banked)
    assert not banked.cache("calibrate", "period").exists()


def test_prospects_are_those_of_the_bank(banked: Run) -> None:
    """Expected precision and intervals for the fit's 20 events, by the χ² quantile and by its belt."""
    found, bank = FromBank(banked).prospects.load(), load_bank(banked)
    own = power_at(bank, found.power.truths)
    np.testing.assert_allclose(found.power.sigma(20), own.sigma(20))
    assert set(found.regions) == {"20 events, Feldman-Cousins", "20 events"}, "the bank does not do for 80 at every α"
    place = int(np.abs(found.truths - np.pi / 3).argmin())
    expected = Expectation.of(bank, float(found.truths[place])).interval(20, 0.683)
    np.testing.assert_allclose(found.regions["20 events"][place].intervals, expected.intervals)
    known = np.isfinite(found.lengths)
    assert known[:, found.events == 20].all()
    assert not known[:, -1].any(), "a bank of some 900 events says nothing of 5000"
    page = (banked.out / "report.html").read_text(encoding="utf-8")
    for text in ("Expected precision", "events for 10°", "Calibration of the posterior", "Predictive p-values"):
        assert text in page


def test_posterior_is_calibrated_with_the_samples_of_the_configuration(banked: Run) -> None:
    found = FromBank(banked).posterior.load()
    assert (len(found.truths), found.events) == (PERIOD["simulations"], 20)
    assert len(np.unique(found.truths)) == len(found.truths)
    assert not banked.cache("calibrate", "sbc").exists()


def test_observables_are_predicted_for_the_events_of_the_fit(banked: Run) -> None:
    for name in ("lhe", "observed"):
        fit, found = Measurement.load(banked.fit(name)), FromBank(banked).predictions(name).load()
        assert set(found) == {quantity.name for _, quantity in shown_observables(banked.channel)}
        x = Reconstruction()(load_sample(banked, name)[0])[: fit.events].numpy()
        kept = np.delete(x, fit.excluded, axis=0)
        histogram = found["pt_H"]
        np.testing.assert_array_equal(histogram.observed, np.histogram(kept[:, 0], histogram.edges)[0])
        assert histogram.by_replica.shape == (2, 12)


def test_period_goes_on_where_it_was_killed(banked: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at the second of three truths: the belts and the first truth are kept, the result is the same."""
    shutil.copytree(banked.out, tmp_path / "out")
    (tmp_path / "out" / "calibration" / "period.json").unlink()
    run, calls = quiet(banked.config, tmp_path / "out"), []

    def dies(scan: Any, truth: float) -> Any:
        calls.append(truth)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(scan, truth)

    from bmem.calibration.period import PeriodScan

    original = PeriodScan.at
    monkeypatch.setattr(PeriodScan, "at", dies)
    with pytest.raises(KeyboardInterrupt):
        STAGES["calibrate"](run)
    kept = sorted(
        path.name for path in run.cache("calibrate", "period").glob("*.json") if not path.name.endswith(".json.json")
    )
    assert kept == ["alpha_0.json", "belt_0.json", "belt_1.json"]
    STAGES["calibrate"](run)
    assert len(calls) == 4
    assert run.calibration("period").read_bytes() == banked.calibration("period").read_bytes()


@pytest.mark.parametrize(
    ("stage", "changes", "named"),
    [
        ("simulate", {"belt": {**BELT, "bank_events": 5000}}, r"bank\.parquet.*events: 6000 there, 5000 here"),
        ("fit", {"belt": {**BELT, "toys": 2000}}, r"fit/lhe\.json.*belt\.toys: 1000 there, 2000 here"),
        ("calibrate", {"calibration": {**PERIOD, "toys": 400}}, r"period\.json.*calibration\.toys: 200 there, 400 here"),
    ],
)
def test_changed_settings_are_refused(stage: str, changes: dict[str, Any], named: str, banked: Run, finished: Run) -> None:
    run = quiet(settings(finished.out.parent, **{"belt": BELT, "calibration": PERIOD, **changes}), banked.out)
    with pytest.raises(ArtifactError, match=named):
        STAGES[stage](run)


def test_a_belt_of_other_settings_is_refused(banked: Run) -> None:
    path = artifacts.sidecar(banked.belt(20))
    header = json.loads(path.read_text())
    header["settings"]["belt"]["toys"] = 77
    kept = path.read_text()
    path.write_text(json.dumps(header))
    with pytest.raises(ArtifactError, match=r"belt\.toys: 77 there, 1000 here"):
        belt_of(quiet(banked.config, banked.out), 20)
    path.write_text(kept)


def test_a_small_bank_gives_no_belt_but_a_fit(finished: Run, tmp_path: Path) -> None:
    """Some 150 events: fewer than ten times the 20 of the fit; said in the report, not hidden, and no error."""
    run = copied(finished, tmp_path, belt={"bank_events": 900})
    for name in EARLY:
        STAGES[name](run)
    fit = Measurement.load(run.fit("lhe"))
    assert "are needed" in fit.refused["belt"]
    assert fit.belt is None
    assert "no Feldman-Cousins interval" in said(run)
    assert "no calibration over the period" in said(run)
    assert artifacts.exists(run.calibration("lhe"))


def test_a_bank_whose_events_are_all_unusable_is_refused(banked: Run, tmp_path: Path) -> None:
    shutil.copytree(banked.out, tmp_path / "out")
    run = quiet(banked.config, tmp_path / "out")
    for path in (run.belt(20), run.fit("lhe")):
        path.unlink()
    bank = Coefficients.load(run.coefficients("bank"))
    bank.values[:] = np.nan
    header = artifacts.read_header(run.coefficients("bank"))
    parents = {"events": run.events("bank"), "fiducial": run.fiducial}
    bank.save(run.coefficients("bank"), header.settings, parents)
    with pytest.raises(InputError, match="no event has a positive density"):
        STAGES["fit"](run)


def test_contradictions_in_the_configuration() -> None:
    sample = {"name": "a", "alpha": 0.0, "events": 10}
    for content, named in (
        ({"belt": {"resample": True}}, "resamples"),
        ({"belt": {"replicas": "mean"}}, "marginal"),
        ({"calibration": {"truths": [190.0]}}, "180"),
        ({"sample": [{**sample, "name": "bank"}]}, "'bank'"),
        ({"sample": [{**sample, "name": "period"}]}, "'period'"),
    ):
        with pytest.raises(ConfigError, match=named):
            parse(content)
