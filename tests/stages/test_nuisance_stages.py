"""Nuisance parameters through all stages, and the same from Python."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

import bmem
from bmem.config import Config, parse
from bmem.events import parquet
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement
from bmem.stages import STAGES, Run

SMALL = {"blocks": 2, "hidden": 16, "layers": 1, "bins": 4}
NUISANCE = [{"name": "shift", "kind": "shift", "size": 0.3, "error": 0.5}]
CONTENT = {
    "seed": 3,
    "channel": {"name": "toy", "efficiency": 0.8},
    "simulation": {"events": 2000, "validation_events": 300},
    "sample": [{"name": "moved", "theta": 2.0, "shift": 1.0, "events": 100}],
    "nuisance": NUISANCE,
    "transfer": {"network": SMALL, "training": {"epochs": 2, "batch_size": 64}},
    "acceptance": {"network": {"hidden": 16, "layers": 1}, "training": {"epochs": 2, "batch_size": 256}},
    "posterior": {"replicas": 2},
    "proposal": {"network": SMALL, "training": {"epochs": 2, "batch_size": 64}, "pairs": 200},
    "integration": {"pilot": 16, "min_points": 16, "max_points": 64, "resamples": 5, "block": 20},
    "fit": {"events": 50},
    "calibration": {"subsamples": 3, "size": 15},
}


@pytest.fixture(scope="module")
def config() -> Config:
    return parse(CONTENT)


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(config, tmp_path_factory.mktemp("run"), Console(file=io.StringIO()))
    for stage in STAGES.values():
        stage(run)
    return run


def test_everything_is_there(finished: Run) -> None:
    found = Measurement.load(finished.fit("moved"))
    (impact,) = found.impacts
    assert impact.parameter.name == "shift"
    assert impact.external == (0.0, 0.5)
    assert 0 < impact.constraint < 1.2
    assert "nuisances" in found.estimate.sources
    coefficients = Coefficients.load(finished.coefficients("moved"))
    assert coefficients.values.shape[-1] == 3 * 5  # five monomials of one ν with four nodes
    assert "interpolation" in coefficients.diagnostics
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "Nuisance parameters" in page
    assert (finished.out / "figures" / "ranking_moved.pdf").is_file()
    content = json.loads(finished.fit("moved").read_text(encoding="utf-8"))
    assert content["impacts"][0]["parameter"]["nuisance"] is True


def test_events_have_their_nuisance_parameters(finished: Run) -> None:
    drawn = parquet.read_pairs(finished.events("training")).hard.nuisance("shift")
    assert drawn.abs().max() < 2.5
    assert drawn.std() > 1
    assert bool((parquet.read_pairs(finished.events("moved")).hard.nuisance("shift") == 1).all())


def test_python_does_the_same(config: Config, finished: Run) -> None:
    chain = bmem.Chain.of(config)
    sample = chain.simulate(100, name="moved", theta=2.0, shift=1.0)
    networks = chain.train(chain.simulate(2000))
    found = chain.integrate(sample, networks, name="moved")
    kept = Coefficients.load(finished.coefficients("moved"))
    np.testing.assert_allclose(found.values[:, :45], kept.values[:, :45], rtol=1e-6)
    theirs = Measurement.load(finished.fit("moved"))
    ours = bmem.measure(found.select(slice(50)), chain.channel, nuisances=NUISANCE)
    np.testing.assert_allclose(ours.fit.theta, theirs.fit.theta, atol=1e-4)


def test_another_effect_is_another_simulation(config: Config, finished: Run) -> None:
    """What was simulated with another size is made again; another external error only fits again."""
    for change, again in (({"size": 0.4}, True), ({"error": 0.7}, False)):
        other = parse(CONTENT | {"nuisance": [NUISANCE[0] | change]})
        told = io.StringIO()
        run = Run(other, finished.out, Console(file=told, width=200), checking=True)
        if again:
            with pytest.raises(bmem.errors.ArtifactError):
                STAGES["simulate"](run)
        else:
            STAGES["integrate"](run)
