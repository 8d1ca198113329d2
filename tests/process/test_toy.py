"""The closed forms of the toy against numerical integration and against its own samples."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import dblquad

from bmem.errors import InputError
from bmem.process.contract import Process
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

FALSE_ALARM = 2e-5
THETA = torch.tensor([0.7], dtype=torch.float64)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def grid(half_width: float = 9.0, n: int = 361) -> tuple[torch.Tensor, float]:
    """Points of a square [n², 2] and the area of a cell; the trapezoidal rule is exact to rounding for Gaussians."""
    axis = torch.linspace(-half_width, half_width, n, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    return points, float((axis[1] - axis[0]) ** 2)


def test_satisfies_the_contract():
    assert isinstance(LinearGaussian(), Process)


def test_components_integrate_to_their_strengths():
    process = LinearGaussian()
    points, cell = grid()
    torch.testing.assert_close(process.components(points).sum(0) * cell, process.fiducial(), rtol=1e-9, atol=0)


def test_integrals_are_the_convolution():
    process = LinearGaussian()
    points, cell = grid()
    for x_reco in (tensor(0.3, -1.1), tensor(2.0, 2.5)):
        transfer = process.transfer_log_prob(x_reco, points).exp()
        numerical = (process.components(points) * transfer[:, None]).sum(0) * cell
        torch.testing.assert_close(process.integrals(x_reco), numerical, rtol=1e-9, atol=0)


def test_an_integral_by_quadrature_of_textbook_densities():
    """The same by scipy alone, so that no code is shared with the class."""
    process, x_reco = LinearGaussian(), np.array([0.5, 0.2])
    a = np.array([[1.0, 0.2], [-0.1, 0.9]])
    noise = stats.multivariate_normal([0, 0], [[0.25, 0.05], [0.05, 0.16]])
    hard = stats.multivariate_normal([1.5, 0.5], [[0.6, -0.2], [-0.2, 1.0]])

    def integrand(y: float, x: float) -> float:
        point = np.array([x, y])
        return 0.8 * hard.pdf(point) * noise.pdf(x_reco - a @ point)

    value, _ = dblquad(integrand, -4, 5, -4, 5, epsabs=1e-9)
    assert float(process.integrals(torch.from_numpy(x_reco))[1]) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("angle", [-2.0, 0.0, 0.7])
def test_densities_are_normalised(angle):
    process, theta = LinearGaussian(), tensor(angle)
    points, cell = grid()
    assert float(process.log_density(points, theta).exp().sum() * cell) == pytest.approx(1, rel=1e-9)
    transfer = process.transfer_log_prob(points, tensor(0.4, 0.1))
    assert float(transfer.exp().sum() * cell) == pytest.approx(1, rel=1e-9)


def test_density_is_positive_everywhere():
    process = LinearGaussian()
    theta = torch.linspace(-math.pi, math.pi, 1001, dtype=torch.float64)[:, None]
    assert (process.basis(theta) >= 0).all()


def test_samples_follow_the_density():
    """Means of x_hard, x_reco and their |x|² over 200 000 events against integrals of the density; six two-sided
    Gaussian tests, false-alarm rate 2e-5 each."""
    process, rng, n = LinearGaussian(), generator(1, "toy"), 200_000
    hard = process.sample(n, THETA, rng)
    reco = process.response(hard.x, rng)
    assert hard.x.shape == (n, 2)
    assert hard.theta.shape == (n, 1)
    points, cell = grid(12.0, 481)
    density = (process.basis(THETA) * process.components(points)).sum(-1)
    density /= density.sum() * cell
    for sample, truth in ((hard.x, density), (reco, process.log_density(points, THETA).exp())):
        for function in (lambda x: x[:, 0], lambda x: x[:, 1], lambda x: (x**2).sum(-1)):
            values = function(sample)
            expected = (function(points) * truth).sum() * cell
            pull = float((values.mean() - expected) / (values.std() / math.sqrt(n)))
            assert 2 * stats.norm.sf(abs(pull)) > FALSE_ALARM


def test_each_event_may_have_its_own_theta():
    """Share of points nearest to the first mean: at θ = 0 its component is suppressed (b = 0.1), at π enhanced (1.9)."""
    process = LinearGaussian(means=((-20.0, 0.0), (0.0, 0.0), (20.0, 0.0)))
    theta = torch.tensor([0.0, math.pi], dtype=torch.float64).repeat_interleave(2000)[:, None]
    hard = process.sample(4000, theta, generator(2, "toy"))
    torch.testing.assert_close(hard.theta, theta)
    first = (hard.x[:, 0] < -10).double().reshape(2, -1).mean(-1)
    for share, value in zip(first, (0.0, math.pi), strict=True):
        b = process.basis(tensor(value)) * process.fiducial()
        expected = float(b[0] / b.sum())
        assert abs(float(share) - expected) < stats.norm.isf(FALSE_ALARM / 2) * math.sqrt(expected * (1 - expected) / 2000)


def test_posterior_is_the_normalised_integrand():
    process = LinearGaussian()
    x_reco = torch.randn(3, 5, 2, generator=generator(3, "toy"), dtype=torch.float64)
    x, log_density = process.sample_posterior(x_reco, THETA, generator(4, "toy"))
    assert x.shape == (3, 5, 2)
    integrand = (process.basis(THETA) * process.components(x)).sum(-1) * process.transfer_log_prob(x_reco, x).exp()
    evidence = (process.basis(THETA) * process.integrals(x_reco)).sum(-1)
    torch.testing.assert_close(log_density, torch.log(integrand / evidence))


def test_a_density_that_could_be_negative_is_refused():
    with pytest.raises(InputError, match="modulation"):
        LinearGaussian(modulation=(1.1, 0.5, 0.5))
    with pytest.raises(InputError, match="strengths"):
        LinearGaussian(strengths=(1.0, -0.5, 0.5))
