"""What is written for other programs is read back by them: the same numbers, and the same estimate from a workspace."""

from __future__ import annotations

import csv
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import hepdata_validator.full_submission_validator as hepdata
import jsonschema
import numpy as np
import pytest
import torch
from iminuit.cost import NormalConstraint

import bmem
from bmem.errors import InputError
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.intervals import profile
from bmem.inference.rate import RateFactor
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.measurement import Measurement, measure_hypothesis
from bmem.measurement.exports import FORMATS
from bmem.measurement.exports.series import Series
from bmem.measurement.exports.workspace import schema
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "export.md"
PHASE = Parameter("phase", (-np.pi, np.pi), 2 * np.pi, r"\varphi", "deg", 180 / np.pi, "φ")
SIX = tuple(Parameter(f"n{i}", (-5.0, 5.0)) for i in range(6))
QUADRATIC = tuple(powers for powers in product(range(3), repeat=6) if sum(powers) <= 2)
MASS = Parameter("m", (0.5, 2.5), symbol="m", unit="GeV")


N = 60
SHARE = 15
"""Of the events, uniform ones between -5 and 5 in both coordinates."""


def of_toy(**asked: Any) -> Measurement:
    """Events of the toy at 40°, with uniform ones, in two replicas whose integrals differ by some per cent."""
    toy, rng = LinearGaussian(phases=(0.0, 2.1, -2.1)), generator(3, "events")
    hard = toy.sample(N - SHARE, torch.deg2rad(torch.tensor([40.0], dtype=torch.float64)), rng)
    uniform = 10 * torch.rand(SHARE, 2, generator=rng, dtype=torch.float64) - 5
    values = 0.01 * toy.integrals(torch.cat([toy.response(hard.x, rng), uniform])).numpy()
    fiducial = 0.01 * toy.fiducial().numpy()
    apart = np.array([1.0, 1.03])[:, None]
    shift = np.stack([values, values @ np.diag(np.linspace(1.0, 1.04, values.shape[1]))])
    coefficients, basis = Coefficients.exact(shift, apart * fiducial), MorphingBasis((PHASE,), toy.basis)
    return measure_hypothesis(Hypothesis.of(coefficients, basis, **asked))


def rate() -> RateFactor:
    """1 + 0.3 cos φ in the basis of the toy's own functions."""
    harmonics = MorphingBasis((PHASE,), lambda theta: torch.cat([torch.ones_like(theta), theta.cos()], dim=-1))
    return RateFactor(harmonics, (1.0, 0.3))


CASES: dict[str, dict[str, Any]] = {
    "shape": {},
    "constrained": {"constraints": [NormalConstraint("phase", np.radians(410.0), 0.2)]},
    "rate": {"luminosity": 9000.0, "rate": rate()},
    "strength": {"luminosity": 9000.0, "strength": True, "constraints": [NormalConstraint("mu", 1.0, 0.1)]},
    "background": {"backgrounds": {"flat": np.full(N, np.log(0.01))}, "bounds": {"flat": (0.0, 0.9)}},
}


@pytest.fixture(scope="module", params=CASES)
def measured(request: pytest.FixtureRequest) -> Measurement:
    return of_toy(**CASES[request.param])


def read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The reader of the page, as it stands there."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    assert not any(module in PAGE.read_text(encoding="utf-8") for module in ("import bmem", "from bmem"))
    return names


def test_a_workspace_gives_the_same_estimate(
    measured: Measurement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a line of bmem. Minuit stops at an expected distance of 2e-7 in -2 log L, 4e-4 of a standard deviation, to
    which its numerical gradient adds; curves agree to rounding.
    """
    measured.export(tmp_path / "export", "alpha45", ["workspace"])
    reader = read(tmp_path, monkeypatch)
    jsonschema.validate(reader["workspace"], json.loads(schema()))
    assert reader["minuit"].valid
    np.testing.assert_allclose((np.array(reader["minuit"].values) - measured.fit.theta) / measured.fit.error, 0, atol=1e-3)
    total = measured.objective
    low, high = np.array([p.bounds for p in total.parameters]).T
    points = np.random.default_rng(1).uniform(low, high, (20, len(total.parameters)))
    for name, exact in (("averaged", total), ("estimator", total.estimator)):
        found = [reader[name](*point) for point in points]
        np.testing.assert_allclose(found, exact.value(points), rtol=1e-9, err_msg=name)


def test_the_curve_of_a_workspace_is_that_of_the_likelihood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = of_toy()
    measured.export(tmp_path / "export", "alpha45", ["workspace"])
    reader = read(tmp_path, monkeypatch)
    curve = reader["workspace"]["result"]["curve"]
    values = np.array([reader["averaged"](x) for x in curve["theta"]])
    np.testing.assert_allclose(values - measured.fit.floor, curve["delta"], atol=1e-6)


@pytest.mark.parametrize(
    ("basis", "terms"),
    [
        (MorphingBasis((PHASE,), lambda t: torch.cat([torch.ones_like(t), t.cos() ** 2, (3 * t).sin()], -1)), 4),
        (PolynomialBasis((MASS,), ((0,), (1,), (5,))), 3),
        (PolynomialBasis((MASS, Parameter("c", (-3.0, 3.0))), ((0, 0), (1, 2), (2, 0))), 3),
        (PolynomialBasis(SIX, QUADRATIC), len(QUADRATIC)),
    ],
    ids=["angle", "polynomial", "two", "six of degree two"],
)
def test_a_basis_is_found_as_a_sum(basis: Any, terms: int) -> None:
    """1, cos², sin 3x: a constant, cos 2x and sin 3x, and what rounding leaves is dropped."""
    series = Series.of(basis)
    assert len(series.terms) <= terms
    grid = np.random.default_rng(3).uniform(0.6, 2.4, (50, len(basis.parameters)))
    names = [p.name for p in basis.parameters]

    def value(point: Any) -> Any:
        total = np.zeros(series.weights.shape[1])
        for factors, weights in zip(series.terms, series.weights, strict=True):
            term = 1.0
            for f in factors:
                x = point[names.index(f.parameter)]
                term *= x**f.order if f.kind == "power" else getattr(np, f.kind)(f.order * x)
            total += term * weights
        return total

    np.testing.assert_allclose([value(point) for point in grid], basis.value(grid), rtol=1e-9, atol=1e-11)


def test_a_basis_that_is_no_sum_is_refused() -> None:
    basis = MorphingBasis((MASS,), lambda t: torch.cat([torch.ones_like(t), (5 * t).exp()], dim=-1))
    with pytest.raises(InputError, match=r"no finite sum .* of m up to order 12; export the curve instead"):
        Series.of(basis)


def test_csv_has_every_number(tmp_path: Path) -> None:
    measured = of_toy()
    bmem.export({"one": measured, "two": measured}, tmp_path, ["csv"])
    with (tmp_path / "estimates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == ["one", "two"]
    assert float(rows[0]["value"]) == measured.estimate.value
    assert float(rows[0]["error_statistical"]) == measured.estimate.sources["statistical"]
    assert (rows[0]["unit"], rows[0]["events"]) == ("deg", str(N))
    with (tmp_path / "intervals.csv").open(encoding="utf-8") as file:
        pieces = [row for row in csv.DictReader(file) if (row["sample"], row["level"]) == ("one", "0.683")]
    expected = np.degrees(measured.intervals[0][0].intervals)
    found = [[float(row["lower"]), float(row["upper"])] for row in pieces if row["method"] == "profile likelihood"]
    np.testing.assert_allclose(found, expected)
    curve = np.loadtxt(tmp_path / "two.likelihood.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(curve[:, 1], measured.curve.delta)
    np.testing.assert_allclose(curve[:, 0], np.degrees(measured.curve.theta))


def test_hepdata_accepts_the_submission(measured: Measurement, tmp_path: Path) -> None:
    """By the validator of HEPData itself."""
    bmem.export({"sample": measured}, tmp_path, ["hepdata"])
    validator = hepdata.FullSubmissionValidator(schema_version="1.1.0")
    valid = validator.validate(directory=str(tmp_path / "hepdata"))
    assert valid, validator.get_messages()
    assert sorted(path.name for path in (tmp_path / "hepdata").iterdir()) == [
        "estimates.yaml",
        "intervals.yaml",
        "likelihood_sample.yaml",
        "submission.yaml",
    ]


def test_latex_says_what_the_terminal_says(measured: Measurement, tmp_path: Path) -> None:
    (path,) = bmem.export({"a_b": measured}, tmp_path, ["latex"])
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert text.count("$") % 2 == 0
    assert text.count("{") == text.count("}")
    assert rf"a\_b & {N} & $\hat{{\varphi}} = " in text
    columns = [line.count("&") for line in text.splitlines() if line.endswith(r"\\")]
    assert len(set(columns)) <= 2


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    measured = of_toy()
    with pytest.raises(InputError, match="no format 'root'; there are csv, latex, hepdata, workspace"):
        measured.export(tmp_path, formats=["root"])
    with pytest.raises(InputError, match="there is no measurement"):
        bmem.export({}, tmp_path)
    with pytest.raises(InputError, match="'a/b' cannot be part of a file name"):
        measured.export(tmp_path, "a/b")
    assert list(tmp_path.iterdir()) == []
    read_back = Measurement.from_dict(measured.to_dict())
    with pytest.raises(InputError, match="was read from a file"):
        read_back.export(tmp_path, formats=["workspace"])
    read_back.export(tmp_path, formats=[name for name in FORMATS if name != "workspace"])


def test_the_constraint_is_that_of_the_profile() -> None:
    """The constrained curve goes through the constraint the short way round: 410° is 50°."""
    measured = of_toy(**CASES["constrained"])
    assert np.degrees(measured.fit.theta[0]) == pytest.approx(50, abs=12)
    curve = profile(measured.objective, 0)(measured.curve.theta) - measured.fit.floor
    np.testing.assert_allclose(curve, measured.curve.delta)
