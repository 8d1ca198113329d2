"""Products and sums of bases against their definitions, and what a rate sees of the signal strength."""

import numpy as np
import pytest
from derivatives import assert_exact
from likelihood_examples import PLANE, RESOLVED, toy_sample

from bmem.errors import FitError, InputError
from bmem.inference.intervals import profile_intervals
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.inference.scale import (
    ProductBasis,
    SumBasis,
    with_cross_sections,
    with_fractions,
    with_strength,
)
from bmem.likelihood.basis import MorphingBasis
from bmem.process.contract import Parameter

BASIS = MorphingBasis.of(RESOLVED)
FIDUCIAL = RESOLVED.fiducial().numpy()
FRACTIONS = [Parameter("f_a", (0.0, 0.5)), Parameter("f_b", (0.0, 0.5))]
RATES = [Parameter("sigma_a", (0.0, 5.0))]


@pytest.mark.parametrize(
    ("basis", "theta"),
    [
        (ProductBasis(BASIS, PLANE), [0.4, 0.2, 0.1]),
        (SumBasis(BASIS, PLANE), [0.4, 0.2, 0.1]),
        (with_strength(BASIS), [-1.0, 1.7]),
        (with_fractions(BASIS, FRACTIONS), [2.0, 0.3, 0.2]),
        (with_cross_sections(BASIS, RATES), [2.0, 3.0]),
    ],
    ids=["product", "sum", "strength", "fractions", "cross sections"],
)
def test_derivatives(basis, theta):
    assert_exact(basis, theta, "hessian")
    assert basis.value(np.tile(theta, (4, 5, 1))).shape == (4, 5, len(basis.value(theta)))


def test_values_by_hand():
    b = BASIS.value([0.4])
    np.testing.assert_allclose(with_strength(BASIS).value([0.4, 1.5]), 1.5 * b)
    mixed = with_fractions(BASIS, FRACTIONS).value([0.4, 0.3, 0.2])
    np.testing.assert_allclose(mixed, np.concatenate([0.5 * b, 0.3 * b, 0.2 * b]))
    np.testing.assert_allclose(with_cross_sections(BASIS, RATES).value([0.4, 3.0]), [*b, 3.0])


def test_the_rate_measures_the_strength():
    """With μ free the rate tells nothing about θ: θ̂ is that of the shape, and μ̂ = N / (L σ(θ̂))."""
    events, luminosity = toy_sample(RESOLVED, 300, 0.8, seed=5), 60.0
    shape = fit(NegativeTwoLogLikelihood(events, FIDUCIAL, BASIS))
    objective = NegativeTwoLogLikelihood(events, FIDUCIAL, with_strength(BASIS), luminosity)
    both = fit(objective)
    assert both.theta[0] == pytest.approx(shape.theta[0], abs=1e-3 * shape.error[0])
    mu = 300 / (luminosity * BASIS.value(shape.theta) @ FIDUCIAL)
    assert both.theta[1] == pytest.approx(mu, rel=1e-4)
    assert both.error[0] == pytest.approx(shape.error[0], rel=1e-3)
    (interval,) = profile_intervals(objective, both, (0.683,), index=1)
    assert interval.contains(mu)


def test_the_shape_alone_does_not_see_the_strength():
    events = toy_sample(RESOLVED, 50, 0.8, seed=5)
    with pytest.raises(FitError, match=r"does not depend on \['mu'\].*luminosity"):
        fit(NegativeTwoLogLikelihood(events, FIDUCIAL, with_strength(BASIS)))


def test_bad_input():
    with pytest.raises(InputError, match="share a parameter"):
        ProductBasis(BASIS, BASIS)
    with pytest.raises(InputError, match="at least one"):
        with_fractions(BASIS, [])
    with pytest.raises(InputError, match=r"add up to 1\.4"):
        with_fractions(BASIS, [Parameter("f", (0.0, 0.7)), Parameter("g", (0.0, 0.7))])
    with pytest.raises(InputError, match=r"as low as -0\.1"):
        with_fractions(BASIS, [Parameter("f", (-0.1, 0.7))])
