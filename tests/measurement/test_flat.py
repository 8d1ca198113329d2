"""Events whose integrals do not depend on the parameter: a sentence, no estimate."""

import numpy as np
import pytest

from bmem.inference.hypothesis import Hypothesis
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import measure_hypothesis
from bmem.process import THJ


@pytest.mark.parametrize("resamples", [0, 20])
def test_a_flat_likelihood_is_said(resamples: int) -> None:
    basis, rng, events = MorphingBasis.of(THJ()), np.random.default_rng(0), 30
    angles = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    values = np.linalg.lstsq(basis.value(angles[:, None]), np.ones(720), rcond=None)[0]
    integrals = np.tile(values, (2, events, 1))
    noise = 1 + 1e-3 * rng.standard_normal((2, resamples, events, len(values)))
    coefficients = Coefficients(
        values=integrals,
        covariance=np.tile(np.diag((1e-3 * values) ** 2), (2, events, 1, 1)),
        fiducial=np.tile(values, (2, 1)),
        fiducial_covariance=np.zeros((2, len(values), len(values))),
        diagnostics={},
        bootstrap=integrals[:, None] * noise if resamples else None,
        fiducial_bootstrap=np.tile(values, (2, resamples, 1)) if resamples else None,
    )
    result = measure_hypothesis(Hypothesis.of(coefficients, basis))
    assert result.line.startswith("α is not measured: its likelihood is too flat to exclude any value at 68.3 %")
    assert result.line.endswith("30 events")
    told = result.to_dict()["estimate"]["alpha"]
    assert (told["value"], told["text"]) == (None, "α is not measured")
