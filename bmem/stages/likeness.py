"""Whether the events of a sample look like the simulation at the fitted parameters, backgrounds included."""

from __future__ import annotations

import numpy as np

from bmem.calibration.record import Array
from bmem.calibration.two_sample import TwoSampleTest, two_sample_test
from bmem.config import BANK
from bmem.errors import RangeError
from bmem.measurement import Measurement
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import bank_name, observed
from bmem.stages.population import composition, weighted_bank
from bmem.stages.run import Run


def likeness_of(run: Run, name: str, result: Measurement) -> TwoSampleTest | str:
    """The two-sample test of the measured events against those of the bank, or the reason why there is none."""
    rng, x = numpy_generator(run.config.seed, "likeness", name), observed(run, name).x[: result.events].numpy()
    try:
        return two_sample_test(x, *_simulated(run, result), rng)
    except RangeError as error:
        run.say(f"  [yellow]{name}: not compared with the simulation: {error}[/]")
        return str(error)


def _simulated(run: Run, result: Measurement) -> tuple[Array, Array]:
    """Observables [N, D] of all events of the bank, with the weights [N] that make them a sample at the estimate."""
    theta, bank = result.fit.theta, weighted_bank(run)
    expected = composition(run, result.events, bank).expected(theta)
    own = expected[0] * bank.weights(theta[: len(bank.basis.parameters)])
    events, weights = [observed(run, BANK).x.numpy()], [own]
    for background, count in zip(run.config.background, expected[1:], strict=True):
        events.append(observed(run, bank_name(background)).x.numpy())
        weights.append(np.full(len(events[-1]), count / len(events[-1])))
    return np.concatenate(events), np.concatenate(weights)
