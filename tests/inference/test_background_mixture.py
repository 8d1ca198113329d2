"""Mixtures of the linear-Gaussian toy with a Gaussian background: the definition, recovered fractions, pulls.

The statistical tests are seeded; each number is rejected beyond ``LIMIT`` standard errors, with a probability of
``FALSE_ALARM``.
"""

import numpy as np
import pytest
import torch
from iminuit import Minuit
from iminuit.cost import NormalConstraint
from likelihood_examples import FALSE_ALARM, RESOLVED
from scipy import stats
from torch.distributions import MultivariateNormal

from bmem.calibration.pulls import moments
from bmem.errors import InputError
from bmem.inference.combine import budget
from bmem.inference.constraints import joint
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.minima import curvature_errors, fit
from bmem.inference.mixture import mixture_by_cross_sections, mixture_by_fractions, process_log_densities
from bmem.inference.objective import Basis, MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.inference.rate import RateFactor
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.rng import generator

LIMIT = stats.norm.isf(FALSE_ALARM / 2)
BASIS = MorphingBasis.of(RESOLVED)
FIDUCIAL = RESOLVED.fiducial().numpy()
BACKGROUND = MultivariateNormal(torch.tensor([1.0, -0.5], dtype=torch.float64), 1.8 * torch.eye(2, dtype=torch.float64))
TRUTH, SHARE = 0.8, 0.3


def events(signal: int, background: int, seed: int, theta: float = TRUTH) -> torch.Tensor:
    rng = generator(seed, "mixture")
    hard = RESOLVED.sample(signal, torch.tensor([theta], dtype=torch.float64), rng)
    noise = torch.randn(background, 2, generator=rng, dtype=torch.float64)
    return torch.cat([RESOLVED.response(hard.x, rng), BACKGROUND.loc + noise @ BACKGROUND.scale_tril.T])


def exact(x: torch.Tensor, replicas: int = 1) -> Coefficients:
    """Exact integrals; further replicas have the same events and other, made-up cross sections."""
    values = RESOLVED.integrals(x).numpy()
    sigma = FIDUCIAL * np.linspace(1, 1.3, replicas)[:, None] ** np.arange(3)
    return Coefficients(
        values=np.tile(values, (replicas, 1, 1)),
        covariance=np.zeros((replicas, len(x), 3, 3)),
        fiducial=sigma,
        fiducial_covariance=np.tile(0.01 * np.diag(FIDUCIAL**2), (replicas, 1, 1)),
        bootstrap=np.tile(values, (replicas, 4, 1, 1)),
        fiducial_bootstrap=sigma[:, None] * np.linspace(0.9, 1.1, 4)[:, None] * np.ones((1, 1, 3)),
    )


def log_background(x: torch.Tensor) -> np.ndarray:
    return BACKGROUND.log_prob(x).numpy()


def signal_density(c: Coefficients, theta: float, r: int = 0) -> np.ndarray:
    b = BASIS.value([theta])
    return c.values[r] @ b / (c.fiducial[r] @ b)


def test_fractions_are_the_definition_in_every_replica() -> None:
    x = events(30, 20, seed=1)
    c = exact(x, replicas=3)
    other = log_background(x) + np.array([[0.0], [0.1], [0.2]])
    mixed, basis = mixture_by_fractions(c, BASIS, {"a": log_background(x), "b": other}, {"a": (0.0, 0.4)})
    assert [p.name for p in basis.parameters] == ["theta", "f_a", "f_b"]
    for r in range(3):
        density = 0.5 * signal_density(c, 0.4, r) + 0.2 * np.exp(log_background(x)) + 0.3 * np.exp(other[r])
        objective = NegativeTwoLogLikelihood.of(mixed, basis, r)
        assert objective.value([0.4, 0.2, 0.3]) == pytest.approx(-2 * np.log(density).sum(), rel=1e-12)
    resampled = mixed.resample(2)
    again, _ = mixture_by_fractions(c.resample(2), BASIS, {"a": log_background(x), "b": other}, {"a": (0.0, 0.4)})
    np.testing.assert_array_equal(resampled.values, again.values)
    np.testing.assert_array_equal(resampled.fiducial, again.fiducial)


def test_cross_sections_are_the_definition() -> None:
    x = events(30, 20, seed=1)
    c = exact(x)
    mixed, basis = mixture_by_cross_sections(c, BASIS, {"a": log_background(x)}, {"a": (0.0, 5.0)})
    sigma = FIDUCIAL @ BASIS.value([0.4])
    density = sigma * signal_density(c, 0.4) + 1.5 * np.exp(log_background(x))
    expected = -2 * (np.log(density / (sigma + 1.5)).sum() + stats.poisson.logpmf(50, 12.0 * (sigma + 1.5)))
    assert NegativeTwoLogLikelihood.of(mixed, basis, luminosity=12.0).value([0.4, 1.5]) == pytest.approx(expected, rel=1e-12)


def test_gradient_and_curvature_are_exact() -> None:
    x = events(30, 20, seed=1)
    mixed, basis = mixture_by_fractions(exact(x, replicas=3), BASIS, {"a": log_background(x)})
    objective = MarginalLikelihood.of(mixed, basis)
    theta, step = np.array([0.4, 0.2]), 1e-5
    shifts = step * np.eye(2)
    slope = [(objective.value(theta + s) - objective.value(theta - s)) / (2 * step) for s in shifts]
    second = [(objective.gradient(theta + s) - objective.gradient(theta - s)) / (2 * step) for s in shifts]
    np.testing.assert_allclose(objective.gradient(theta), slope, rtol=1e-6)
    np.testing.assert_allclose(objective.curvature(theta), second, rtol=1e-6)


def test_a_common_factor_of_the_cross_sections_changes_no_fraction() -> None:
    """The resamples here only scale all σ_k and leave I_k: p_s is scaled, and a fit sees that as another fraction; with I_k
    scaled too nothing changes. So the budget of a mixture propagates both together."""
    x = events(60, 30, seed=3)
    c = exact(x)
    scaled = np.linspace(0.9, 1.1, 4)[:, None, None] * c.values[:, None]
    together = Coefficients(c.values, c.covariance, c.fiducial, c.fiducial_covariance, {}, scaled, c.fiducial_bootstrap)
    for coefficients, still in ((together, True), (c, False)):
        mixed, basis = mixture_by_fractions(coefficients, BASIS, {"a": log_background(x)})
        _, result = budget(mixed, basis)
        assert result.integration is not None
        assert (max(result.integration.std) < 1e-4) == still


def toy_fits(mixture: bool, toys: int, size: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Pulls and estimates [toys, P] of samples with a binomial number of background events, minimised from the truth."""
    pulls, estimates = [], []
    basis: Basis
    for toy, n in enumerate(np.random.default_rng(5).binomial(size, SHARE, toys)):
        x = events(size - n, n, seed=100 + toy)
        c, basis, truth = exact(x), BASIS, [TRUTH]
        if mixture:
            (c, basis), truth = mixture_by_fractions(c, BASIS, {"a": log_background(x)}), [TRUTH, SHARE]
        objective = NegativeTwoLogLikelihood.of(c, basis)
        minuit = Minuit(objective, *truth)
        minuit.errors = [0.05] * len(truth)
        minuit.migrad()
        theta = np.array(minuit.values)
        estimates.append(theta)
        pulls.append((theta - truth) / curvature_errors(objective.curvature(theta)))
    return np.array(pulls), np.array(estimates)


def test_fraction_and_angle_are_recovered() -> None:
    """200 samples of 300 events: means of estimates and pulls, widths of pulls within LIMIT errors (6 FALSE_ALARM)."""
    pulls, estimates = toy_fits(mixture=True, toys=200)
    for i, truth in enumerate((TRUTH, SHARE)):
        mean, error, _, _ = moments(estimates[:, i])
        assert abs(mean - truth) < LIMIT * error
        mean, mean_error, width, width_error = moments(pulls[:, i])
        assert abs(mean) < LIMIT * mean_error
        assert abs(width - 1) < LIMIT * width_error


def test_ignoring_the_background_biases() -> None:
    """The same without background in the model: θ̂ is off by more than LIMIT errors of 60 samples, and by half a σ."""
    _, estimates = toy_fits(mixture=False, toys=60)
    mean, error, spread, _ = moments(estimates[:, 0])
    assert abs(mean - TRUTH) > max(LIMIT * error, 0.5 * spread)


def test_fit_finds_the_global_minimum() -> None:
    """One sample of 600 events: θ̂ and f̂ within LIMIT errors, and the same minimum as that near the truth."""
    x = events(420, 180, seed=7)
    mixed, basis = mixture_by_fractions(exact(x), BASIS, {"a": log_background(x)})
    result = fit(NegativeTwoLogLikelihood.of(mixed, basis))
    assert result.valid
    assert (np.abs(result.theta - [TRUTH, SHARE]) < LIMIT * result.error).all()


def test_a_constraint_on_the_fraction_counts_as_another_measurement() -> None:
    """The errors of the fraction combine as those of two measurements where the likelihood is nearly a Gaussian."""
    x = events(420, 180, seed=7)
    objective = NegativeTwoLogLikelihood.of(*mixture_by_fractions(exact(x), BASIS, {"a": log_background(x)}))
    free, constrained = fit(objective), fit(joint(objective + NormalConstraint("f_a", SHARE, 0.02)))
    assert constrained.error[1] == pytest.approx((free.error[1] ** -2 + 0.02**-2) ** -0.5, rel=0.1)
    assert abs(constrained.theta[1] - SHARE) < abs(free.theta[1] - SHARE)


def test_another_process_is_a_background() -> None:
    x = events(30, 20, seed=1)
    c = exact(x, replicas=2)
    found = process_log_densities(c, BASIS, [0.4])
    np.testing.assert_allclose(found, np.log([signal_density(c, 0.4, r) for r in (0, 1)]), rtol=1e-12)
    c.values[1, 7] = 0
    with pytest.raises(InputError, match="event 7"):
        process_log_densities(c, BASIS, [0.4])


@pytest.mark.parametrize(
    ("densities", "problem"),
    [
        ({}, "at least one background"),
        ({"a": np.zeros(3)}, "shape"),
        ({"a": np.array([0.0, np.nan] + [0.0] * 8)}, "event 1"),
        ({"a": np.array([0.0] * 9 + [np.inf])}, "event 9"),
    ],
)
def test_unusable_densities_are_refused(densities: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        mixture_by_fractions(exact(events(5, 5, seed=1)), BASIS, densities)


def test_bounds_must_be_those_of_the_backgrounds() -> None:
    x = events(5, 5, seed=1)
    with pytest.raises(InputError, match="bounds are given for"):
        mixture_by_cross_sections(exact(x), BASIS, {"a": log_background(x)}, {"b": (0.0, 1.0)})


def test_a_hypothesis_with_a_luminosity_has_cross_sections_of_backgrounds() -> None:
    """The factor of the signal's rate is not that of the background; a strength neither."""
    x = events(30, 20, seed=8)
    factor = RateFactor(BASIS, (0.2, 0.1, 0.3))
    found = Hypothesis.of(
        exact(x), BASIS, {"a": log_background(x)}, bounds={"a": (0.01, 5.0)}, luminosity=7.0, rate=factor, strength=True
    )
    assert [p.name for p in found.basis.parameters] == ["theta", "mu", "sigma_a"]
    rate = 1.3 * float(factor.value([0.4]))
    b = BASIS.value([0.4])
    density = rate * exact(x).values[0] @ b + 0.8 * np.exp(log_background(x))
    mean = 7.0 * (rate * float(b @ FIDUCIAL) + 0.8)
    expected = -2 * np.log(density).sum() + 2 * 50 * np.log(mean / 7.0) - 2 * stats.poisson.logpmf(50, mean)
    assert float(found.likelihood().value([0.4, 1.3, 0.8])) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match="bounds"):
        Hypothesis.of(exact(x), BASIS, {"a": log_background(x)}, luminosity=7.0)
