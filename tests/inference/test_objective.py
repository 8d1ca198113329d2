"""-2 log L against its definition, its derivatives against differences, and what it refuses."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import NormalConstraint
from likelihood_examples import ANGLE, MIXTURE, PLANE, RESOLVED, YUKAWA, counts, toy_sample
from scipy import stats
from scipy.special import logsumexp

from bmem.errors import InputError
from bmem.inference import objective as module
from bmem.inference.minima import fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood, effective_number, unusable_events
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients

BASIS = MorphingBasis.of(RESOLVED)
FIDUCIAL = RESOLVED.fiducial().numpy()


def sample(n: int = 40, seed: int = 1) -> np.ndarray:
    return toy_sample(RESOLVED, n, 0.8, seed)


def coefficients(values: np.ndarray, bootstrap: np.ndarray | None = None) -> Coefficients:
    replicas, events, components = values.shape
    return Coefficients(
        values=values,
        covariance=np.zeros((replicas, events, components, components)),
        fiducial=np.tile(FIDUCIAL, (replicas, 1)),
        fiducial_covariance=np.zeros((replicas, components, components)),
        bootstrap=bootstrap,
        fiducial_bootstrap=None if bootstrap is None else np.tile(FIDUCIAL, (replicas, bootstrap.shape[1], 1)),
    )


def plane_events() -> np.ndarray:
    return np.random.default_rng(2).uniform(0.1, 1.0, size=(30, 3))


def replicated() -> MarginalLikelihood:
    noise = np.random.default_rng(3).uniform(0.7, 1.3, size=(3, 40, 3))
    return MarginalLikelihood.of(coefficients(sample() * noise), BASIS)


CASES = {
    "shape": (NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS), [0.4]),
    "rate": (NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS, luminosity=12.0), [0.4]),
    "excluded": (NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS, 12.0, exclude=[3, 7]), [-2.0]),
    "plane": (NegativeTwoLogLikelihood(plane_events(), [1.0, 0.7, 0.4], PLANE), [0.2, 0.1]),
    "plane rate": (NegativeTwoLogLikelihood(plane_events(), [1.0, 0.7, 0.4], PLANE, luminosity=40.0), [0.2, 0.1]),
    "marginal": (replicated(), [0.4]),
}


def test_value_is_the_definition():
    objective = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS)
    b = BASIS.value([0.4])
    densities = [sum(b * event) / sum(b * FIDUCIAL) for event in sample()]
    assert objective.value([0.4]) == pytest.approx(-2 * np.log(densities).sum(), rel=1e-13)


def test_value_is_the_toys_density():
    import torch

    rng = torch.Generator().manual_seed(1)
    theta = torch.tensor([0.9], dtype=torch.float64)
    x_reco = RESOLVED.response(RESOLVED.sample(50, theta, rng).x, rng)
    objective = NegativeTwoLogLikelihood(RESOLVED.integrals(x_reco), FIDUCIAL, BASIS)
    assert objective.value([0.9]) == pytest.approx(-2 * float(RESOLVED.log_density(x_reco, theta).sum()), rel=1e-12)


def test_extended_adds_the_poisson_term():
    shape = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS)
    rate = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS, luminosity=12.0)
    expected = -2 * stats.poisson.logpmf(40, 12.0 * BASIS.value([0.4]) @ FIDUCIAL)
    assert rate.value([0.4]) - shape.value([0.4]) == pytest.approx(expected, rel=1e-11)


def test_excluded_events_still_count_for_the_rate():
    whole = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS, luminosity=12.0)
    part = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS, luminosity=12.0, exclude=np.arange(40) < 2)
    b = BASIS.value([0.4])
    missing = -2 * np.log(sample()[:2] @ b / (FIDUCIAL @ b)).sum()
    assert whole.value([0.4]) - part.value([0.4]) == pytest.approx(missing, rel=1e-11)
    assert part.n_events == 40
    assert part.excluded.tolist() == [0, 1]


def test_units_of_the_integrals_drop_out():
    one = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS)
    other = NegativeTwoLogLikelihood(1e-30 * sample(), FIDUCIAL, BASIS)
    grid = np.linspace(-3, 3, 7)[:, None]
    np.testing.assert_allclose(np.ptp(other.value(grid) - one.value(grid)), 0, atol=1e-9)


@pytest.mark.parametrize(("objective", "theta"), CASES.values(), ids=CASES.keys())
def test_derivatives_are_those_of_central_differences(objective, theta):
    theta, step = np.array(theta), 1e-5
    for i, e in enumerate(step * np.eye(len(theta))):
        first = (objective.value(theta + e) - objective.value(theta - e)) / (2 * step)
        second = (objective.gradient(theta + e) - objective.gradient(theta - e)) / (2 * step)
        np.testing.assert_allclose(objective.gradient(theta)[i], first, rtol=1e-7, atol=1e-6)
        np.testing.assert_allclose(objective.curvature(theta)[i], second, rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize(("objective", "theta"), CASES.values(), ids=CASES.keys())
def test_a_grid_is_the_same_as_its_points(objective, theta):
    grid = np.array(theta) + np.random.default_rng(4).uniform(-0.05, 0.05, size=(3, 2, len(theta)))
    values = objective.value(grid)
    assert values.shape == (3, 2)
    assert values[2, 1] == pytest.approx(float(objective.value(grid[2, 1])), rel=1e-13)


def test_memory_is_bounded_without_changing_the_result(monkeypatch):
    grid = np.linspace(-3, 3, 50)[:, None]
    whole = NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS).value(grid)
    monkeypatch.setattr(module, "_CHUNK", 100)
    np.testing.assert_allclose(NegativeTwoLogLikelihood(sample(), FIDUCIAL, BASIS).value(grid), whole, rtol=1e-13)


@pytest.mark.parametrize("case", ["shape", "excluded"])
def test_scores_move_with_the_integrals_as_the_jacobians_say(case):
    objective, theta = CASES[case]
    of_integrals, of_fiducial = objective.score_jacobians(theta)
    events = sample()
    kept = np.delete(np.arange(40), objective.excluded)
    for n, k in ((0, 0), (5, 2)):
        step = np.zeros_like(events)
        step[kept[n], k] = 1e-6
        up, down = (objective.with_integrals(events + s, FIDUCIAL).gradient(theta) for s in (step, -step))
        np.testing.assert_allclose(of_integrals[n, :, k], (up - down) / 2e-6, rtol=1e-6)
    step = np.array([0.0, 1e-6, 0.0])
    up, down = (objective.with_integrals(events, FIDUCIAL + s).gradient(theta) for s in (step, -step))
    np.testing.assert_allclose(of_fiducial[:, 1], (up - down) / 2e-6, rtol=1e-6)


def test_minuit_adds_a_constraint_and_uses_the_exact_gradient():
    """Twenty and thirty events of two components and a Gaussian constraint: the stationary point in closed form."""
    objective = NegativeTwoLogLikelihood(counts(20, 30), [1.0, 1.0], MIXTURE)
    assert objective.errordef == 1
    total = objective + NormalConstraint("share", 0.5, 0.05)
    assert total.has_grad
    minuit = Minuit(total, share=0.4)
    minuit.tol = 1e-4
    minuit.migrad()
    x = minuit.values["share"]
    assert minuit.valid
    assert minuit.ngrad > 0
    assert -20 / (1 - x) + 30 / x == pytest.approx((x - 0.5) / 0.05**2, abs=0.05)


def test_limits_come_from_the_bounds():
    minuit = Minuit(NegativeTwoLogLikelihood(counts(20, 30), [1.0, 1.0], MIXTURE), share=0.4)
    assert minuit.limits["share"] == (0.001, 0.999)


def test_the_marginal_likelihood_is_the_mean_of_the_normalised_likelihoods():
    """Up to a constant the average of the posterior densities under a flat prior, these by sums over 7200 points."""
    objective, theta = replicated(), np.array([-1.0, 0.4, 2.5])[:, None]
    fine = np.linspace(-np.pi, np.pi, 7201)[:-1, None]
    evidence = [logsumexp(-replica.value(fine) / 2) - np.log(7200) for replica in objective.replicas]
    densities = [np.exp(-r.value(theta) / 2 - z) for r, z in zip(objective.replicas, evidence, strict=True)]
    expected = -2 * np.log(np.mean(densities, axis=0)) - 2 * np.mean(evidence)
    np.testing.assert_allclose(objective.value(theta), expected, rtol=1e-12)


def test_a_single_replica_is_what_it_is():
    alone = replicated().replicas[0]
    for objective in (MarginalLikelihood([alone]), MarginalLikelihood([alone] * 3)):
        assert objective.value([0.4]) == pytest.approx(float(alone.value([0.4])), rel=1e-13)
        np.testing.assert_allclose(objective.gradient([0.4]), alone.gradient([0.4]), rtol=1e-12)
        np.testing.assert_allclose(objective.curvature([0.4]), alone.curvature([0.4]), rtol=1e-12)
    assert MarginalLikelihood([alone]).estimator is alone


def test_a_constant_gives_a_replica_no_weight():
    """Densities of one replica that are 1 % larger for every event, which at 10 000 events is a factor e^100 in L."""
    events = np.tile(sample(), (250, 1))
    other = np.stack([events, events**1.02])
    same = MarginalLikelihood.of(coefficients(other), BASIS)
    shifted = MarginalLikelihood.of(coefficients(other * np.array([1.0, 1.01])[:, None, None]), BASIS)
    assert shifted.shares([0.4]) == pytest.approx(same.shares([0.4]), rel=1e-6)
    result = fit(shifted)
    assert effective_number(shifted.shares(result.theta)) > 1.5
    assert result.theta == pytest.approx(fit(same).theta, abs=1e-8)
    alone = np.mean([fit(replica).theta for replica in shifted.replicas])
    assert result.theta[0] == pytest.approx(alone, abs=0.02 * result.error[0])
    near = result.theta + np.linspace(-0.1, 0.1, 2001)[:, None]
    assert result.floor == pytest.approx(shifted.value(near).min(), abs=1e-4)


def test_a_marginal_likelihood_does_not_underflow():
    big = np.tile(sample(), (200, 1))
    objective = MarginalLikelihood.of(coefficients(np.stack([big, 1.01 * big])), BASIS)
    assert np.isfinite(objective.value([0.4]))
    assert np.isfinite(objective.gradient([0.4])).all()


def test_events_without_positive_density_are_named():
    events = sample()
    events[[4, 9]] *= -1
    events[11, 0] = np.nan
    events[12, 1] = np.inf
    with pytest.raises(InputError, match=r"4 of 40 events .*\[4, 9, 11, 12\]"):
        NegativeTwoLogLikelihood(events, FIDUCIAL, BASIS)
    bad = unusable_events(coefficients(np.stack([sample(), events])), BASIS)
    assert bad.tolist() == [4, 9, 11, 12]
    objective = NegativeTwoLogLikelihood(events, FIDUCIAL, BASIS, exclude=bad)
    assert objective.excluded.tolist() == bad.tolist()
    with pytest.raises(InputError, match=r"1 of 40 events .*\[11\]"):
        NegativeTwoLogLikelihood(events, FIDUCIAL, BASIS, exclude=[4, 9, 12])


def test_resamples_are_searched_too():
    bootstrap = np.tile(sample(), (2, 5, 1, 1))
    bootstrap[1, 3, 17] = 0
    found = unusable_events(coefficients(np.tile(sample(), (2, 1, 1)), bootstrap), BASIS)
    assert found.tolist() == [17]


def test_a_density_that_is_negative_between_points_of_the_scan_is_found():
    """1 + a cos(α - φ) with φ half-way between two of the 360 points: positive on all of them, -1e-5 at its minimum."""
    phase = np.pi + np.pi / 360
    narrow = np.array([[1 - 1e-5, np.cos(phase), np.sin(phase), 0.0], [1.0, 0.0, 0.0, 0.0]])
    scan = YUKAWA.value(module.scan_grid((ANGLE,))) @ narrow[0]
    assert scan.min() > 0
    with pytest.raises(InputError, match=r"\[0\]"):
        NegativeTwoLogLikelihood(narrow, [1.0, 0.0, 0.0, 0.0], YUKAWA)


def test_a_density_that_is_not_positive_at_theta_is_refused():
    objective = NegativeTwoLogLikelihood(counts(2, 3), [1.0, 1.0], MIXTURE)
    with pytest.raises(InputError, match=r"\[2, 3, 4\]"):
        objective.value([-0.1])


def test_bad_input():
    with pytest.raises(InputError, match="no event"):
        NegativeTwoLogLikelihood(sample()[:0], FIDUCIAL, BASIS)
    with pytest.raises(InputError, match="3 components"):
        NegativeTwoLogLikelihood(sample()[:, :2], FIDUCIAL, BASIS)
    with pytest.raises(InputError, match="σ_fid"):
        NegativeTwoLogLikelihood(sample(), FIDUCIAL[:2], BASIS)
    with pytest.raises(InputError, match="σ_fid"):
        NegativeTwoLogLikelihood(sample(), -FIDUCIAL, BASIS)
    with pytest.raises(InputError, match="at least one"):
        MarginalLikelihood([])
