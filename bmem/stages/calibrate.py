"""Stage 5: bias, pulls and coverage over subsamples of known truth, beside those with x_hard known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from iminuit.util import describe

from bmem.artifacts import JsonFile, Product, Work
from bmem.calibration.sample import KIND, SampleCalibration, calibrate_sample
from bmem.calibration.subsamples import disjoint_subsamples
from bmem.inference.hypothesis import Hypothesis
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients, load_diagnostics
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import background_parents, log_densities
from bmem.stages.hypotheses import known_beside, listed
from bmem.stages.run import Run, plain
from bmem.stages.simulate import load_sample, measured_samples


def products(run: Run) -> list[Product[SampleCalibration]]:
    """The calibration of every sample."""
    return [_product(run, sample.name) for sample in measured_samples(run)]


def _product(run: Run, name: str) -> Product[SampleCalibration]:
    own = {key: plain(run.config.calibration)[key] for key in ("subsamples", "size")}
    settings: dict[str, Any] = {"calibration": own, "luminosity": None, "seed": run.config.seed}
    settings["background"] = listed(run.config)["background"]
    parents = {"coefficients": run.coefficients(name)} | background_parents(run)
    if not run.config.background:
        parents["yardstick"] = run.hard_coefficients(name)
    path, cost = run.calibration(name), (Work("subsample", own["subsamples"]),)
    return Product(name, path, KIND, settings, parents, lambda: _calibration(run, name), SampleCalibration.load, cost)


def _calibration(run: Run, name: str) -> JsonFile | None:
    """The calibration of a sample; None, and the reason is said, where it cannot be."""
    events, size = len(load_diagnostics(run.coefficients(name))["points"]), run.config.calibration.size
    truth = true_value(run, name)
    if truth is None:
        run.say(f"  {name}: the truth is not known, no calibration")
        return None
    if run.config.background and run.config.fit.luminosity is not None:
        run.say(f"  {name}: subsamples of a fixed size say nothing of cross sections, no calibration")
        return None
    if events < 3 * size:
        run.say(
            f"  [yellow]{name}: no calibration: {events} accepted events do not make 3 subsamples of {size}; give more "
            "events, or lower calibration.size[/]"
        )
        return None
    result = _calibrate(run, name, truth)
    shape = "" if run.config.fit.luminosity is None else ", of the shape alone: subsamples of a fixed size have no rate"
    run.say(f"  {name}: {result.line(run.config.first.quantity)}{shape}")
    return JsonFile(KIND, result.to_dict())


def _calibrate(run: Run, name: str, truth: float) -> SampleCalibration:
    # the resamples are for the error of one measurement; here they would only cost time
    reco = replace(Coefficients.load(run.coefficients(name)), bootstrap=None, fiducial_bootstrap=None)
    config = run.config.model_copy(update={"nuisance": ()})
    basis, section = MorphingBasis.of(run.process), config.calibration
    if run.config.nuisance:  # the events were simulated with them at 0, where they are held: their errors are external
        reco = reco.nominal(len(basis.value(np.zeros(len(basis.parameters)))))
    rows = disjoint_subsamples(reco.n_events, section.size, numpy_generator(run.config.seed, "subsamples", name))
    rows = rows[: section.subsamples]
    # no luminosity: subsamples of a fixed size say nothing of a rate, their coverage is that of the shape
    whole = Hypothesis.of(reco, basis, **known_beside(config, log_densities(run, name, reco.n_events)))
    # a constraint on the parameter itself would pull every sample to one value, whatever its truth
    whole = replace(whole, constraints=tuple(c for c in whole.constraints if basis.parameters[0].name not in describe(c)))
    theta = [truth, *(background.expected for background in run.config.background)]
    hard = None if run.config.background else Coefficients.load(run.hard_coefficients(name))
    return calibrate_sample(whole, rows, theta, hard)


def true_value(run: Run, name: str) -> float | None:
    """The stored parameter at which the events of a sample were made; None if it is unknown or not the same for all."""
    _, hard = load_sample(run, name)
    if hard is None or len(hard) == 0 or (hard.theta != hard.theta[0]).any():
        return None
    return float(hard.theta[0, 0])
