"""The likelihood itself as JSON: what a reader needs to compute it anew with numpy alone (``workspace.schema.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from iminuit.cost import NormalConstraint
from iminuit.util import describe

from bmem import __version__
from bmem.artifacts import atomic_path
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.measurement.exports.rows import Results
from bmem.measurement.exports.series import Series
from bmem.measurement.record import Measurement

FORMAT, VERSION = "bmem workspace", 1
SCHEMA = "workspace.schema.json"


def write(results: Results, folder: Path) -> list[Path]:
    """``NAME.workspace.json`` of every sample, and the schema of these files.

    Raises:
        InputError: a measurement was read from a file, which has no events; or its basis is no finite sum.
    """
    written = [_text(folder / SCHEMA, schema())]
    for name, found in results.items():
        text = json.dumps(as_workspace(found), ensure_ascii=False, allow_nan=False)
        written.append(_text(folder / f"{name}.workspace.json", text + "\n"))
    return written


def schema() -> str:
    """The JSON schema of a workspace."""
    return resources.files(__package__).joinpath(SCHEMA).read_text(encoding="utf-8")


def as_workspace(found: Measurement) -> dict[str, Any]:
    """The likelihood of every replica, what is known from elsewhere, and the result; all in stored units.

    Raises:
        InputError: as ``write``.
    """
    hypothesis = found.fitted
    likelihood = hypothesis.likelihood()
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"bmem {__version__}",
        "parameters": [asdict(p) for p in likelihood.parameters],
        **_basis(likelihood.replicas[0]),
        "events": likelihood.n_events,
        "excluded": likelihood.excluded.tolist(),
        "luminosity": hypothesis.luminosity,
        "integrals": [replica.integrals.tolist() for replica in likelihood.replicas],
        "fiducial": [replica.fiducial.tolist() for replica in likelihood.replicas],
        "log_evidence": likelihood.log_evidence.tolist(),
        "constraints": [_constraint(c) for c in hypothesis.constraints],
        "result": {
            "theta": found.fit.theta.tolist(),
            "curve": {"theta": found.curve.theta.tolist(), "delta": found.curve.delta.tolist()},
            "estimate": {e.parameter.name: e.to_dict() for e in found.estimates},
        },
    }


def _basis(likelihood: NegativeTwoLogLikelihood) -> Mapping[str, Any]:
    series = Series.of(likelihood.basis)
    terms = [
        {"factors": [asdict(factor) for factor in factors], "weights": weights}
        for factors, weights in zip(series.terms, series.weights.tolist(), strict=True)
    ]
    return {"basis": terms}


def _constraint(constraint: NormalConstraint) -> dict[str, Any]:
    covariance = np.array(constraint.covariance)
    full = np.diag(covariance) if covariance.ndim == 1 else covariance  # iminuit keeps variances alone where it can
    return {"parameters": list(describe(constraint)), "values": constraint.value.tolist(), "covariance": full.tolist()}


def _text(path: Path, text: str) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
