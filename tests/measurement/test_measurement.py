"""A measurement says what was fitted: it survives a file, prints in common rounding, draws and joins other likelihoods."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from iminuit.cost import NormalConstraint

from bmem.errors import ArtifactError, InputError
from bmem.inference.constraints import joint
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.minima import fit
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement, measure_hypothesis
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

mpl.use("Agg")
PHASE = Parameter("phase", (-np.pi, np.pi), 2 * np.pi, r"\varphi", "deg", 180 / np.pi, "φ")
V1 = Path(__file__).parents[1] / "data" / "artifacts_v1" / "fit" / "alpha45.json"


@pytest.fixture(scope="module")
def measured() -> Measurement:
    """200 of 1000 events of the toy at 40°, with exact integrals: without replicas, the resamples have no width."""
    toy = LinearGaussian(phases=(0.0, 2.1, -2.1))
    hard = toy.sample(200, torch.deg2rad(torch.tensor([40.0], dtype=torch.float64)), generator(3, "events"))
    values = toy.integrals(toy.response(hard.x, generator(3, "response"))).numpy()[None]
    fiducial = toy.fiducial().numpy()[None]
    k = values.shape[-1]
    coefficients = Coefficients(
        values=values,
        covariance=np.zeros((1, 200, k, k)),
        fiducial=fiducial,
        fiducial_covariance=np.zeros((1, k, k)),
        bootstrap=values[:, None].repeat(2, 1),
        fiducial_bootstrap=fiducial[:, None].repeat(2, 1),
    )
    basis = MorphingBasis((PHASE,), toy.basis)
    return measure_hypothesis(Hypothesis.of(coefficients, basis), available=1000)


def test_it_survives_a_file(measured: Measurement, tmp_path: Path) -> None:
    measured.save(tmp_path / "m.json", {"seed": 1})
    back = Measurement.load(tmp_path / "m.json")
    assert back.to_dict() == measured.to_dict()
    assert back.fit == measured.fit
    assert back.intervals == measured.intervals
    assert str(back) == str(measured)
    with pytest.raises(InputError, match="measure again from the coefficients"):
        back.objective  # noqa: B018
    with pytest.raises(ArtifactError, match="unknown: bogus"):
        Measurement.from_dict(measured.to_dict() | {"bogus": 1})


def test_the_file_starts_with_the_result_in_printed_units(measured: Measurement) -> None:
    content = json.loads(json.dumps(measured.to_dict()))
    assert next(iter(content)) == "estimate"
    head = content["estimate"]["phase"]
    assert head["unit"] == "deg"
    assert head["value"] == pytest.approx(np.degrees(measured.fit.theta[0]))
    assert head["errors"]["statistical"] == pytest.approx(np.degrees(measured.fit.error[0]))
    np.testing.assert_allclose(head["intervals"]["68.3 %"], np.degrees(measured.intervals[0][0].intervals))


def test_it_prints_value_sides_and_events(measured: Measurement) -> None:
    """The sides are those of the 68.3 % interval, in degrees."""
    ((low, high),) = measured.intervals[0][0].intervals
    sides = measured.estimate.sides
    assert sides is not None
    np.testing.assert_allclose(sides, np.degrees([measured.fit.theta[0] - low, high - measured.fit.theta[0]]))
    text = str(measured)
    assert text.startswith("φ\u0302 = ")
    assert "200 of 1000 events" in text
    assert "°" in measured.line
    page = measured._repr_html_()
    assert str(measured.estimate) in page
    assert page.count("<tr>") == 2


def test_it_draws_itself(measured: Measurement) -> None:
    axes = measured.plot(truth=np.radians(40.0))
    assert axes.get_xlabel() == r"$\varphi$ [°]"
    drawn = max(axes.get_lines(), key=lambda line: len(line.get_xdata()))
    whole = np.degrees(measured.curve.theta)
    turned = (np.asarray(drawn.get_xdata()) - whole[0]) % 360 + whole[0]  # it starts where the interval is far
    np.testing.assert_allclose(np.sort(turned), np.sort(whole), atol=1e-9)
    mpl.pyplot.close(axes.figure)


def test_it_joins_other_likelihoods(measured: Measurement) -> None:
    """A constraint as wide as the fit's own error, two of them away: the joint minimum lies about half way."""
    (centre,), (error,) = measured.fit.theta, measured.fit.error
    both = fit(joint(measured.objective + NormalConstraint("phase", centre + 2 * error, error)))
    assert centre + 0.7 * error < both.theta[0] < centre + 1.3 * error


def test_it_goes_to_arviz_in_one_call(measured: Measurement) -> None:
    """The mean of 2000 draws is that of the posterior within 5 of its standard errors (false alarm 6e-7)."""
    data = measured.to_arviz(np.random.default_rng(1))
    assert measured.posterior is not None
    draws = data.posterior["phase"].to_numpy()
    assert draws.shape == (4, 500)
    assert abs(draws.mean() - measured.posterior.mean) < 5 * measured.posterior.std / np.sqrt(2000)


def test_measurements_of_old_are_read() -> None:
    """Written before there were records and units: angles were printed in degrees."""
    found = Measurement.load(V1)
    content = json.loads(V1.read_text(encoding="utf-8"))
    assert found.fit.theta[0] == content["budget"]["estimate"]["minima"][0]["theta"][0]
    assert [region.level for region in found.intervals[0]] == [0.683, 0.954]
    np.testing.assert_array_equal(found.curve.delta, content["delta"])
    assert found.curve.resamples is not None
    assert (found.posterior, found.belt, found.goodness, dict(found.further)) == (None, None, None, {})
    assert found.estimate.region(found.intervals[0][0]) == "[\u221238.1°, 43.3°]"
