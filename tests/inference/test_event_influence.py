"""Influence: one-step shifts against refits, likelihood-ratio pulls against the sample without the event, doubts by name."""

import json
from typing import Any, cast

import numpy as np
import pytest
from iminuit.cost import NormalConstraint
from likelihood_examples import MIXTURE, PLANE, RESOLVED, YUKAWA, counts, toy_sample

from bmem.errors import InputError
from bmem.inference.constraints import Joint
from bmem.inference.event_influence import OUTSIDE, Influence, influence, left_out, ratio_pulls
from bmem.inference.minima import difference, fit
from bmem.inference.objective import MarginalLikelihood, NegativeTwoLogLikelihood
from bmem.integration.diagnostics import Flag
from bmem.likelihood.basis import MorphingBasis

BASIS = MorphingBasis.of(RESOLVED)
SIGMA = RESOLVED.fiducial().numpy()
EVENTS = 80


@pytest.fixture(scope="module")
def integrals():
    return toy_sample(RESOLVED, EVENTS, 0.7, seed=5)


def shape(integrals):
    return NegativeTwoLogLikelihood(integrals, SIGMA, BASIS)


def extended(integrals):
    exclude = [3, 40]
    return NegativeTwoLogLikelihood(integrals, SIGMA, BASIS, EVENTS / 2.5, exclude)


def marginal(integrals):
    flatter = (integrals + integrals.mean(axis=1, keepdims=True)) / 2
    return MarginalLikelihood([shape(integrals), shape(flatter), shape(0.8 * integrals + 0.2 * flatter**1.1)])


def refits(objective, result, events):
    thetas = [left_out(objective, event).nearest(result.theta).theta for event in events]
    return difference(np.array(thetas), result.theta, objective.parameters)


@pytest.mark.parametrize("likelihood", [shape, extended, marginal])
def test_one_step_is_the_refit(integrals, likelihood):
    """Over all events the shifts agree with refits within 8 % of the largest one, which is what a second step would add."""
    objective = likelihood(integrals)
    result = fit(objective)
    found = influence(objective, result)
    exact = refits(objective, result, found.events)
    assert len(found.events) == EVENTS - len(objective.excluded)
    assert np.abs(exact).max() > 0.1 * result.error[0]
    np.testing.assert_allclose(found.shift, exact, atol=0.08 * np.abs(exact).max())
    assert np.corrcoef(found.shift[:, 0], exact[:, 0])[0, 1] > 0.995


def test_two_parameters_of_a_multinomial():
    """Leaving out an event of component 1 of n = (50, 30, 20): θ̂ = (n1, n2)/n, exactly known before and after."""
    objective = NegativeTwoLogLikelihood(counts(50, 30, 20), np.ones(3), PLANE)
    found = influence(objective, fit(objective))
    n = np.array([50.0, 30.0, 20.0])
    for component, row in ((0, 0), (1, 50), (2, 99)):
        after = (n - np.eye(3)[component]) / 99
        np.testing.assert_allclose(found.shift[row], after[1:] - n[1:] / 100, atol=3e-4)


def test_the_drivers_are_the_largest_shifts():
    """Four events of 40 speak for the rare component: without one of them the score at 0.1 is 36/0.9 - 3/0.1 = 10, the
    information 36/0.81 + 3/0.01."""
    objective = NegativeTwoLogLikelihood(counts(36, 4), np.ones(2), MIXTURE)
    result = fit(objective)
    first = influence(objective, result).drivers(4)
    assert {driver.event for driver in first} == {36, 37, 38, 39}
    assert first[0].shift[0] == pytest.approx(-10 / (36 / 0.81 + 3 / 0.01), rel=1e-3)
    assert first[0].relative == pytest.approx(abs(first[0].shift[0]) / result.error[0])
    assert first[0].doubts == ()


def test_an_event_that_carries_the_curvature_has_an_infinite_influence():
    """-2 log of (1 + 0.9 cos α)(1 - 0.3 cos α) has its minimum at 0; without the first event that is a maximum."""
    integrals = np.array([[1.0, 0.9, 0.0, 0.0], [1.0, -0.3, 0.0, 0.0]])
    objective = NegativeTwoLogLikelihood(integrals, np.array([1.0, 0, 0, 0]), YUKAWA)
    found = influence(objective, fit(objective))
    assert np.isnan(found.shift[0, 0])
    assert np.isfinite(found.shift[1, 0])
    assert found.drivers(1)[0].event == 0
    assert np.isinf(found.drivers(1)[0].relative)


def test_an_influence_is_json():
    integrals = np.array([[1.0, 0.9, 0.0, 0.0], [1.0, -0.3, 0.0, 0.0]])
    objective = NegativeTwoLogLikelihood(integrals, np.array([1.0, 0, 0, 0]), YUKAWA)
    found = influence(objective, fit(objective), {"outside": np.array([False, True])})
    back = Influence.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    for name in ("theta", "error", "events", "shift"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    assert back.parameters == found.parameters
    assert [(d.event, d.doubts) for d in back.drivers()] == [(d.event, d.doubts) for d in found.drivers()]
    with pytest.raises(InputError, match="not the dictionary of an influence"):
        Influence.from_dict({"theta": [1.0]})


def test_doubts_are_those_of_the_events_that_are_kept(integrals):
    objective = extended(integrals)
    flags = np.zeros(EVENTS, int)
    flags[[3, 10]] = Flag.LOW_ESS | Flag.INACCURATE
    outside = np.arange(EVENTS) == 50
    found = influence(objective, fit(objective), {"flags": flags, "outside": outside, "points": flags})
    assert set(found.doubts) == {OUTSIDE, "low ess", "inaccurate"}
    assert found.events[found.doubtful].tolist() == [10, 50]
    by_event = {driver.event: driver.doubts for driver in found.drivers(EVENTS)}
    assert by_event[10] == ("low ess", "inaccurate")
    assert by_event[50] == (OUTSIDE,)
    assert 3 not in by_event


@pytest.mark.parametrize("likelihood", [shape, extended, marginal])
def test_ratio_pulls_are_differences_of_samples(integrals, likelihood):
    objective = likelihood(integrals)
    pulls = ratio_pulls(objective, [0.7], [-0.9])
    kept = np.delete(integrals, [*objective.excluded, 17], axis=0)
    replicas = objective.replicas if isinstance(objective, MarginalLikelihood) else [objective]
    parts = [np.delete(r.integrals, 17 - (3 in objective.excluded), axis=0) for r in replicas]
    assert len(parts[0]) == len(kept)
    sigma, luminosity = SIGMA, replicas[0].luminosity
    if luminosity is None:
        without = [NegativeTwoLogLikelihood(p, sigma, BASIS) for p in parts]
    else:  # two events stay counted in the rate though they are excluded from the shape
        padded = np.concatenate([parts[0], np.ones((2, 3))])
        rows = [len(padded) - 2, len(padded) - 1]
        without = [NegativeTwoLogLikelihood(padded, sigma, BASIS, luminosity, rows)]
    rest, objective = MarginalLikelihood(without).estimator, objective.estimator
    whole = float(objective.value([0.7]) - objective.value([-0.9]))
    row = np.flatnonzero(np.delete(np.arange(EVENTS), objective.excluded) == 17)[0]
    assert pulls[row] == pytest.approx(whole - float(rest.value([0.7]) - rest.value([-0.9])), abs=1e-9)


def test_ratio_pulls_add_up_in_one_replica(integrals):
    objective = shape(integrals)
    total = float(objective.value([0.7]) - objective.value([-0.9]))
    assert ratio_pulls(objective, [0.7], [-0.9]).sum() == pytest.approx(total)
    assert total < 0


def test_what_cannot_be_asked_is_refused(integrals):
    objective = extended(integrals)
    result = fit(objective)
    with pytest.raises(InputError, match="not among those of the fit"):
        left_out(objective, [3])
    with pytest.raises(InputError, match="known of 5 events"):
        influence(objective, result, {"outside": np.zeros(5, bool)})
    with pytest.raises(InputError, match="not of str"):
        ratio_pulls(cast(Any, "likelihood"), [0.0], [1.0])


@pytest.mark.parametrize("likelihood", [shape, marginal])
def test_constraints_stay_when_an_event_goes(integrals, likelihood):
    """Refits of the constrained likelihood without the event, to 8 % of the largest shift; the error is constrained."""
    objective = likelihood(integrals)
    constraint = NormalConstraint(objective.parameters[0].name, 0.9, 0.15)
    result = fit(Joint([objective], [constraint]))
    found = influence(objective, result, constraints=[constraint])

    def refit(event):
        gone = np.delete(np.arange(EVENTS), event)
        replicas = [objective] if likelihood is shape else objective.replicas
        less = MarginalLikelihood([shape(replica.integrals[gone]) for replica in replicas])
        return fit(Joint([less], [constraint])).nearest(result.theta).theta

    events = range(0, EVENTS, 4)
    exact = difference(np.array([refit(event) for event in events]), result.theta, objective.parameters)
    np.testing.assert_allclose(found.shift[::4], exact, atol=0.08 * np.abs(exact).max())
    np.testing.assert_allclose(found.error, result.error)
    assert np.abs(found.shift).max() < np.abs(influence(objective, fit(objective)).shift).max()
