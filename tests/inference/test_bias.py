"""The bias of a method from validation events, against the shift of the estimate of a sample so large that it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.errors import InputError
from bmem.inference.bias import Validation
from bmem.inference.combine import budget
from bmem.inference.minima import fit
from bmem.inference.objective import NegativeTwoLogLikelihood, scan_grid
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.cross_section import mixture_coefficients
from bmem.process.toy import LinearGaussian
from bmem.rng import generator
from bmem.simulation.hard_events import events_at, uniform_events

FALSE_ALARM = 2e-5
TOY = LinearGaussian(phases=(0.0, 2.1, -2.1))
BASIS, SIGMA = MorphingBasis.of(TOY), TOY.fiducial().numpy()
DISPLACED = torch.tensor([0.08, -0.05])
"""Of the observables, about 1, in a likelihood that is wrong."""


def validation(n: int, displaced: torch.Tensor | float, repeats: int = 1) -> Validation:
    hard = uniform_events(TOY, n, 1, "validation").repeat(repeats)
    x = TOY.response(hard.x, generator(1, "response"))
    mixture = mixture_coefficients(TOY).numpy()
    exact = TOY.components(hard.x).numpy()
    return Validation(TOY.integrals(x - displaced).numpy(), exact, mixture, hard.numbers.numpy())


def sample(n: int, truth: float) -> torch.Tensor:
    return TOY.response(events_at(TOY, n, [truth], 2, "sample").x, generator(2, "response"))


@pytest.mark.parametrize("truth", [0.7, -1.0])
def test_is_the_shift_of_the_estimate(truth: float) -> None:
    """Of 20 000 events, whose fluctuation cancels between the exact and the displaced likelihood: within 4.3 of the error of
    both (false-alarm rate 2e-5), where the shift is 8 times as large or more, and 3 % of it for the second order."""
    x = sample(20_000, truth)
    exact = fit(NegativeTwoLogLikelihood(TOY.integrals(x).numpy(), SIGMA, BASIS))
    displaced = NegativeTwoLogLikelihood(TOY.integrals(x - DISPLACED).numpy(), SIGMA, BASIS)
    shift = fit(displaced).theta[0] - exact.theta[0]
    found = validation(20_000, DISPLACED).bias(displaced, BASIS, np.array([truth]))
    assert found is not None
    assert abs(shift) > 8 * found.error[0]
    # the sample has the events of the validation, and about the same error
    assert abs(found.shift[0] - shift) < stats.norm.isf(FALSE_ALARM / 2) * 1.5 * found.error[0] + 0.03 * abs(shift)


def test_an_exact_likelihood_has_none() -> None:
    """Within its error, at a false-alarm rate of 2e-5."""
    objective = NegativeTwoLogLikelihood(TOY.integrals(sample(500, 0.7)).numpy(), SIGMA, BASIS)
    everything = validation(20_000, 0.0)
    found = everything.bias(objective, BASIS, np.array([0.7]))
    assert found is not None
    assert abs(found.shift[0]) < stats.norm.isf(FALSE_ALARM / 2) * found.error[0]
    assert found.size[0] == pytest.approx(np.hypot(found.shift[0], found.error[0]))
    assert found.events == 20_000


@pytest.mark.parametrize("repeats", [1, 4])
def test_its_error_is_the_scatter_of_independent_validations(repeats: int) -> None:
    """40 parts of a sample: Σ (shift/error)² is χ² with 40 degrees of freedom, at both sides 1e-5."""
    objective = NegativeTwoLogLikelihood(TOY.integrals(sample(500, 0.7)).numpy(), SIGMA, BASIS)
    whole, parts = validation(16_000, 0.0, repeats), 40
    size = 16_000 * repeats // parts
    pulls = []
    for part in range(parts):
        rows = slice(part * size, (part + 1) * size)
        one = replace(whole, integrals=whole.integrals[rows], exact=whole.exact[rows], hard=whole.hard[rows])
        found = one.bias(objective, BASIS, np.array([0.7]))
        assert found is not None
        pulls.append(found.shift[0] / found.error[0])
    assert FALSE_ALARM / 2 < stats.chi2(parts).cdf(np.square(pulls).sum()) < 1 - FALSE_ALARM / 2


def test_it_is_in_the_budget_and_in_the_total() -> None:
    integrals = TOY.integrals(sample(500, 0.7)).numpy()
    coefficients = Coefficients.exact(integrals, SIGMA)
    without, found = budget(coefficients, BASIS)[1], budget(coefficients, BASIS, validation=validation(5000, DISPLACED))[1]
    assert without.bias is None
    assert found.bias is not None
    assert found.total[0] == pytest.approx(np.hypot(without.total[0], found.bias.size[0]))
    assert found.estimate == without.estimate  # it is not corrected


def test_nothing_is_said_from_too_few_events_or_without_a_curvature() -> None:
    integrals = TOY.integrals(sample(200, 0.7)).numpy()
    objective = NegativeTwoLogLikelihood(integrals, SIGMA, BASIS)
    assert validation(99, DISPLACED, repeats=3).bias(objective, BASIS, np.array([0.7])) is None
    grid = scan_grid(BASIS.parameters)
    worst = grid[objective.value(grid).argmax()]
    assert objective.curvature(worst)[0, 0] < 0
    assert validation(1000, DISPLACED).bias(objective, BASIS, worst) is None


def test_events_that_do_not_belong_together_are_refused() -> None:
    whole = validation(100, DISPLACED)
    with pytest.raises(InputError, match="do not belong together"):
        replace(whole, exact=whole.exact[:-1])
