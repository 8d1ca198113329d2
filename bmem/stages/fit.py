"""Stage 4: the parameter from the first events of each sample, with its intervals and uncertainty budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bmem.calibration.goodness import Goodness, goodness_of_fit
from bmem.config import BANK
from bmem.errors import RangeError
from bmem.inference import export
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients, load_diagnostics
from bmem.measurement import Measurement, measure
from bmem.measurement.record import KIND
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import background_parents, log_densities
from bmem.stages.belt import load_bank, measured_with_belt
from bmem.stages.hypotheses import hypothesis_of
from bmem.stages.run import Run, plain


def fit_all(run: Run) -> None:
    """Fit every sample that has no result yet."""
    for sample in run.config.sample:
        lists = {name: [plain(entry) for entry in getattr(run.config, name)] for name in ("constraint", "background")}
        settings: dict[str, Any] = {"fit": plain(run.config.fit)} | lists
        parents = {"coefficients": run.coefficients(sample.name)} | background_parents(run)
        if run.config.belt.bank_events:
            settings |= {"belt": plain(run.config.belt)}
            parents |= {"bank": run.coefficients(BANK)}
        path = run.fit(sample.name)
        if run.done(path, KIND, settings, parents):
            continue
        result = _measured(run, sample.name)
        draws = result.to_arviz(numpy_generator(run.config.seed, "arviz", sample.name))
        export.save(draws, run.inference_data(sample.name), {"seed": run.config.seed}, parents)
        result.save(path, settings, parents)
        run.say(f"  {sample.name}: {result.line}")


def _measured(run: Run, name: str) -> Measurement:
    """The measurement of a sample, by the belt, too, and with the goodness of fit, if there is a bank."""
    config, basis = run.config, MorphingBasis.of(run.process)
    signal = Coefficients.load(run.coefficients(name), slice(0, config.fit.events))
    backgrounds = log_densities(run, name, signal.n_events)
    further = {}
    if config.fit.couplings:
        further["couplings"] = hypothesis_of(config, signal, run.channel.bases["couplings"], backgrounds)
    if config.fit.strength:
        further["strength"] = hypothesis_of(config, signal, basis, backgrounds, strength=True)
    available = len(load_diagnostics(run.coefficients(name))["points"])
    result = measure(hypothesis_of(config, signal, basis, backgrounds), further, available)
    if result.excluded:
        lost = list(result.excluded)
        run.say(f"  [yellow]{len(lost)} events have no usable density and are left out: {lost}[/]")
    return _held_against_bank(run, result, signal) if config.belt.bank_events else result


def _held_against_bank(run: Run, result: Measurement, signal: Coefficients) -> Measurement:
    """With the intervals by the belt and the goodness of fit, or the reasons why there are none."""
    belt, goodness = measured_with_belt(run, result), _goodness(run, signal)
    refused = {name: found for name, found in (("belt", belt), ("goodness", goodness)) if isinstance(found, str)}
    return replace(
        result,
        belt=None if isinstance(belt, str) else belt,
        goodness=None if isinstance(goodness, str) else goodness,
        refused=refused,
    )


def _goodness(run: Run, signal: Coefficients) -> Goodness | str:
    """The test against toys from the bank, or the reason why there is none."""
    try:
        return goodness_of_fit(signal, load_bank(run), run.seed("goodness"))
    except RangeError as error:
        run.say(f"  [yellow]no goodness of fit: {error}[/]")
        return str(error)
