"""A rate that depends on θ beyond σ_fid: exact derivatives, no change of the shape, and no bias of a measurement."""

from functools import cache

import numpy as np
import pytest
import torch
from likelihood_examples import RESOLVED, toy_sample
from scipy.optimize import minimize_scalar

from bmem.channels.thj.channel import ThjChannel
from bmem.errors import InputError
from bmem.inference.objective import Array, Basis, NegativeTwoLogLikelihood
from bmem.inference.rate import RateFactor, with_rate
from bmem.inference.scale import with_cross_sections, with_strength
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.cross_section import mixture_coefficients, mixture_grid
from bmem.process.contract import Parameter
from bmem.rng import generator

CHANNEL = ThjChannel()
EVENTS = 20_000
EXPECTED = 100
BIAS = {15: 0.3, 30: 1.9, 45: 4.5, 60: 8.0, 75: 13.2, 90: 21.5, 120: 57.6}
"""Shift of α̂ in degrees if the branching ratio is taken for constant, from 400 000 hard events."""


@cache
def hard_events() -> tuple[Array, Array]:
    """s_k over the density of hard events that are made uniform in α [N, K], and σ_k as their mean."""
    process, thetas = CHANNEL.process, mixture_grid(CHANNEL.process)
    hard = process.sample(EVENTS, thetas[torch.arange(EVENTS) % len(thetas)], generator(1, "rate factor"))
    s = process.components(hard.x)
    rows = (s / (s @ mixture_coefficients(process))[:, None] * (hard.weight / hard.weight.mean())[:, None]).numpy()
    return rows, rows.mean(axis=0)


def asimov_estimate(truth: float, basis: Basis, near: tuple[float, float]) -> float:
    """α̂ of the average extended likelihood with the rate of ``basis``, for EXPECTED events made with the factor."""
    rows, sigma = hard_events()
    true = with_rate(MorphingBasis.of(CHANNEL.process), CHANNEL.rate["process"])
    b = true.value([truth])
    weights = rows @ b / (rows @ b).sum()
    luminosity = EXPECTED / (b @ sigma)

    def value(alpha: float) -> float:
        b = basis.value([alpha])
        mean = luminosity * (b @ sigma)
        return float(EXPECTED * (np.log(b @ sigma) - weights @ np.log(rows @ b)) + mean - EXPECTED * np.log(mean))

    return float(minimize_scalar(value, bounds=near, method="bounded", options={"xatol": 1e-12}).x)


@pytest.mark.parametrize("degrees", BIAS)
def test_the_factor_leaves_no_bias(degrees: int) -> None:
    """σ(α̂) of 100 events is 2.6 to 6.3°; the minimum of a parabola is found to √rounding, 2e-6 of it. Without the factor the
    bias is that of ``BIAS``, to 3 % for so many events: 1.5 σ at 45°."""
    truth, plain = np.radians(degrees), MorphingBasis.of(CHANNEL.process)
    rated = with_rate(plain, CHANNEL.rate["process"])
    assert np.degrees(asimov_estimate(truth, rated, (truth - 0.2, truth + 0.2)) - truth) == pytest.approx(0, abs=1e-5)
    biased = np.degrees(asimov_estimate(truth, plain, (0.02, 3.1)) - truth)
    assert biased == pytest.approx(BIAS[degrees], abs=0.1 + 0.03 * BIAS[degrees])


@pytest.mark.parametrize("name", ["process", "couplings"])
def test_derivatives_are_those_of_differences(name: str) -> None:
    plain: Basis = MorphingBasis.of(CHANNEL.process) if name == "process" else CHANNEL.bases[name]
    basis = with_strength(with_rate(plain, CHANNEL.rate[name]))
    theta, step = np.array([0.7, 0.4, 1.3])[-len(basis.parameters) :], 1e-5
    for i, unit in enumerate(step * np.eye(len(theta))):
        up, down = basis.value(theta + unit), basis.value(theta - unit)
        np.testing.assert_allclose(basis.gradient(theta)[i], (up - down) / (2 * step), atol=1e-9)
        up, down = basis.gradient(theta + unit), basis.gradient(theta - unit)
        np.testing.assert_allclose(basis.hessian(theta)[i], (up - down) / (2 * step), atol=1e-9)


def test_both_bases_of_the_channel_say_the_same() -> None:
    alpha = np.array([0.3, 1.2, -2.0])
    couplings = np.stack([np.cos(alpha), 2 / 3 * np.sin(alpha)], -1)
    np.testing.assert_allclose(
        CHANNEL.rate["process"].value(alpha[:, None]), CHANNEL.rate["couplings"].value(couplings), rtol=1e-13
    )


def toy_factor() -> RateFactor:
    """1.5 - cos θ / 2."""
    basis = MorphingBasis(RESOLVED.parameters, lambda t: torch.cat([torch.ones_like(t), torch.cos(t)], -1))
    return RateFactor(basis, (1.5, -0.5))


def test_only_the_rate_sees_it() -> None:
    """The shape is unchanged; with a luminosity -2 log L is that of the definition, with a background beside it too."""
    events, sigma, plain = toy_sample(RESOLVED, 50, 0.8, seed=1), RESOLVED.fiducial().numpy(), MorphingBasis.of(RESOLVED)
    factor, theta = toy_factor(), np.linspace(-3, 3, 11)[:, None]
    rated = with_rate(plain, factor)
    shape = NegativeTwoLogLikelihood(events, sigma, plain).value(theta)
    np.testing.assert_allclose(NegativeTwoLogLikelihood(events, sigma, rated).value(theta), shape, rtol=1e-13)
    extended, constant = (NegativeTwoLogLikelihood(events, sigma, b, luminosity=20.0).value(theta) for b in (rated, plain))
    mean = 20.0 * plain.value(theta) @ sigma
    expected = constant + 2 * (mean * (factor.value(theta) - 1) - 50 * np.log(factor.value(theta)))
    np.testing.assert_allclose(extended, expected, rtol=1e-12)
    mixed = with_cross_sections(rated, [Parameter("sigma_b", (0.0, 1.0))]).value([0.8, 0.3])
    np.testing.assert_allclose(mixed, [*factor.value([0.8]) * plain.value([0.8]), 0.3])


def test_a_factor_of_other_parameters_is_refused() -> None:
    assert with_rate(MorphingBasis.of(RESOLVED), None).parameters == RESOLVED.parameters
    with pytest.raises(InputError, match="a rate factor of"):
        with_rate(CHANNEL.bases["couplings"], CHANNEL.rate["process"])
