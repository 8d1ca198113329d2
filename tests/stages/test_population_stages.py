"""Belts with a background, by fractions and by rate, in a tiny run: from the bank to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import EARLY, quiet, said, settings

from bmem import artifacts
from bmem.config import parse
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement
from bmem.stages import STAGES, Run
from bmem.stages.backgrounds import observed
from bmem.stages.population import belt_product, coverage_product, load_population

BELT = {"bank_events": 6000, "toys": 300, "points": 5, "background_events": 300}
CALIBRATION = {"toys": 200, "truths": [90.0], "size": 20, "subsamples": 3}
DIPHOTON = {"name": "diphoton", "density": "diphoton"}


def continued(finished: Run, folder: Path, background: dict[str, Any], **sections: Any) -> Run:
    """The finished run with a bank and a background to come: without integrals of its sample, fits and calibrations."""
    shutil.copytree(finished.out, folder / "out")
    for name in ("fit", "calibration"):
        shutil.rmtree(folder / "out" / name)
    for path in (folder / "out" / "likelihood").glob("lhe*"):
        path.unlink()
    config = settings(finished.out.parent, belt=BELT, calibration=CALIBRATION, **sections)
    content = json.loads(config.model_dump_json(exclude_unset=True))
    sample = {**content["sample"][0], "alpha": 0.0}
    return quiet(parse(content | {"sample": [sample], "background": [{**DIPHOTON, **background}]}), folder / "out")


def completed(run: Run) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmem.plotting.style.FORMATS", ("png",))
        patch.setattr("bmem.channels.thj.channel.ThjChannel.shown", ("pt_H",))
        patch.setattr("bmem.calibration.population_belt._PILOT", 40)
        patch.setattr("bmem.calibration.neyman.BeltSettings.halvings", 0)
        for stage in STAGES.values():
            stage(run)
    return run


@pytest.fixture(scope="module")
def by_fractions(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return completed(continued(finished, tmp_path_factory.mktemp("mixed"), {"fraction": 0.3, "fraction_error": 0.05}))


@pytest.fixture(scope="module")
def by_rate(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    background = {"cross_section": 0.1, "cross_section_error": 0.02}
    return completed(continued(finished, tmp_path_factory.mktemp("rate"), background, fit={"luminosity": 60.0}))


def test_background_events_join_the_bank(by_fractions: Run) -> None:
    found = Coefficients.load(by_fractions.coefficients("bank.diphoton"))
    assert found.n_events == 300
    assert observed(by_fractions, "bank.diphoton").x.shape[0] == 300
    population = load_population(by_fractions, 20)
    assert [p.name for p in population.parameters] == ["alpha", "f_diphoton"]
    assert len(population.sources[1].rows) + len(population.sources[0].rows) == len(population.integrals)
    np.testing.assert_array_equal(population.nominal, [0.3])


def test_fit_has_the_interval_of_its_belt(by_fractions: Run) -> None:
    fit = Measurement.load(by_fractions.fit("lhe"))
    assert fit.belt is not None, fit.refused
    belt = by_fractions.engine.made(belt_product(by_fractions, fit.used))
    assert (belt.events, belt.names, belt.others) == (fit.used, ("f_diphoton",), "profiled")
    assert fit.belt.effective_events == belt.effective.min()
    assert fit.likeness is not None
    assert fit.likeness.events == fit.events
    assert fit.goodness is None
    page = (by_fractions.out / "report.html").read_text(encoding="utf-8")
    for text in ("68.3 %, Feldman-Cousins", "Calibration over the range", "Coverage with all parameters free"):
        assert text in page


def test_coverage_is_that_of_halves(by_fractions: Run) -> None:
    found = coverage_product(by_fractions).load()
    np.testing.assert_allclose(np.degrees(found.truths), [90.0])
    assert 0.5 < found.coverage("Feldman-Cousins")[0, 0] < 0.85
    assert "Feldman-Cousins: 68.3 % covers" in said(by_fractions)
    assert not by_fractions.cache("calibrate", "coverage").exists()


def test_a_second_call_computes_nothing(by_fractions: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in by_fractions.out.rglob("*") if path.is_file()}
    for name in EARLY:
        STAGES[name](quiet(by_fractions.config, by_fractions.out))
    assert {path: path.stat().st_mtime_ns for path in by_fractions.out.rglob("*") if path.is_file()} == before


def test_numbers_of_events_count(by_rate: Run) -> None:
    """The belt is of the luminosity; the fit has the cross section of the background with its constraint."""
    fit = Measurement.load(by_rate.fit("lhe"))
    assert [e.parameter.name for e in fit.estimates] == ["alpha", "sigma_diphoton"]
    assert [c.parameter for c in fit.constraints] == ["sigma_diphoton"]
    assert fit.belt is not None, fit.refused
    belt = belt_product(by_rate, fit.used).load()
    assert (belt.events, belt.luminosity) == (None, 60.0)
    assert artifacts.exists(by_rate.out / "fit" / "belts" / "luminosity.json")
    assert "subsamples of a fixed size say nothing of cross sections" in said(by_rate)


def test_share_of_background_in_a_sample_is_that_of_the_rates(by_rate: Run) -> None:
    """Binomial within 4.3 standard deviations (2e-5)."""
    population = load_population(by_rate, 20)
    signal, other = population.composition.expected(population.full(0.0, population.nominal))
    share = other / (signal + other)
    found = observed(by_rate, "lhe").signal < 0
    assert abs(found.mean() - share) < 4.3 * np.sqrt(share * (1 - share) / len(found))
