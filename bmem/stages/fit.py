"""Stage 4: the parameter from the first events of each sample, with its intervals and uncertainty budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bmem import artifacts
from bmem.artifacts import Product, Work
from bmem.calibration.goodness import Goodness, goodness_of_fit
from bmem.chain import hypotheses, validation
from bmem.config import BANK, VALIDATION, FitSection
from bmem.errors import RangeError
from bmem.inference import export
from bmem.inference.bias import Validation
from bmem.inference.hypothesis import Hypothesis
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement, measure_hypothesis
from bmem.measurement.record import KIND
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import background_parents, bank_name, log_densities, observed
from bmem.stages.belt import known_as, load_bank, measured_with_belt
from bmem.stages.hypotheses import known_beside, listed
from bmem.stages.integrate import AVAILABLE, tells_bias
from bmem.stages.likeness import likeness_of
from bmem.stages.population import is_needed, measured_with_population
from bmem.stages.run import Run, plain
from bmem.stages.simulate import UNREAD, is_observed, measured_events, measured_samples

_OF_THE_SIGNAL = "it is of the signal's density, not of a sample with backgrounds"


def products(run: Run) -> list[Product[Measurement]]:
    """The measurement of every sample."""
    return [_product(run, sample.name) for sample in measured_samples(run)]


def _product(run: Run, name: str) -> Product[Measurement]:
    settings: dict[str, Any] = {"fit": _known_as(run.config.fit) | {"events": measured_events(run, name)}}
    settings |= listed(run.config)
    parents = {"coefficients": run.coefficients(name)} | background_parents(run)
    if _validated(run):
        parents |= {"validation": run.coefficients(VALIDATION)}
    if run.config.belt.bank_events:
        settings |= {"belt": known_as(run.config.belt)}
        if is_needed(run.config):
            settings["belt"]["nuisances"] = run.config.belt.nuisances
            parents |= {bank_name(b): run.coefficients(bank_name(b)) for b in run.config.background}
        parents |= {"bank": run.coefficients(BANK)}

    def make() -> Measurement:
        result = _measured(run, name)
        draws = result.to_arviz(numpy_generator(run.config.seed, "arviz", name))
        export.save(draws, run.inference_data(name), {"seed": run.config.seed}, parents)
        for remark in result.left_out:
            run.say(f"  [yellow]{name}: {remark}[/]")
        run.say(f"  {name}: {result.line}")
        return result

    return Product(name, run.fit(name), KIND, settings, parents, make, Measurement.load, (Work("fit", 1),))


def _known_as(section: FitSection) -> dict[str, Any]:
    """As artifacts have always known the section: free couplings by a flag of their own."""
    bases = [name for name in section.bases if name != "couplings"]
    return plain(section) | {"bases": bases, "couplings": "couplings" in section.bases}


def _measured(run: Run, name: str) -> Measurement:
    """The measurement of a sample, by the belt, too, and with the goodness of fit, if there is a bank."""
    signal = _integrals(run, name)
    result = measure_hypothesis(*_hypotheses(run, name, signal), validation=_validation(run))
    result = replace(result, **_origin_of_events(run, name, result.events))
    if result.excluded:
        lost = list(result.excluded)
        run.say(f"  [yellow]{len(lost)} events have no usable density and are left out: {lost}[/]")
    return _held_against_bank(run, name, result, signal) if run.config.belt.bank_events else result


def hypotheses_of(run: Run, name: str) -> tuple[Hypothesis, dict[str, Hypothesis]]:
    """What is fitted to a sample, and what else is asked of the same integrals, by name."""
    return _hypotheses(run, name, _integrals(run, name))


def _hypotheses(run: Run, name: str, signal: Coefficients) -> tuple[Hypothesis, dict[str, Hypothesis]]:
    known = known_beside(run.config, log_densities(run, name, signal.n_events))
    return hypotheses(signal, run.channel, run.config.fit, **known)


def _integrals(run: Run, name: str) -> Coefficients:
    return Coefficients.load(run.coefficients(name), slice(0, measured_events(run, name)))


def _validated(run: Run) -> bool:
    """Whether validation events are there that tell the bias; not in folders that were integrated by an earlier bmem."""
    there = all(artifacts.exists(path) for path in (run.coefficients(VALIDATION), run.events(VALIDATION)))
    return tells_bias(run) and there


def _validation(run: Run) -> Validation | None:
    """The validation events that tell the bias of the method; None where they are not integrated."""
    if not _validated(run):
        return None
    found, x_hard = Coefficients.load(run.coefficients(VALIDATION)), observed(run, VALIDATION).x_hard
    assert x_hard is not None  # they are simulated
    return validation(run.process, found, x_hard[: found.n_events])


def _origin_of_events(run: Run, name: str, measured: int) -> dict[str, Any]:
    """How many events the sample has, whether they were observed, and how many were not read."""
    there = artifacts.exists(run.events(name))
    return {
        "available": artifacts.read_header(run.coefficients(name)).settings.get(AVAILABLE, measured),
        "observed": is_observed(run, name),
        "unread": artifacts.read_header(run.events(name)).settings.get(UNREAD, 0) if there else 0,
    }


def _held_against_bank(run: Run, name: str, result: Measurement, signal: Coefficients) -> Measurement:
    """With the intervals by the belt, the goodness of fit and the likeness, or the reasons why there are none."""
    belt = (measured_with_population if is_needed(run.config) else measured_with_belt)(run, result)
    goodness = _OF_THE_SIGNAL if run.config.background else _goodness(run, signal)
    found: dict[str, Any] = {"belt": belt, "goodness": goodness, "likeness": likeness_of(run, name, result)}
    refused = {what: reason for what, reason in found.items() if isinstance(reason, str)}
    return replace(result, **{what: one for what, one in found.items() if what not in refused}, refused=refused)


def _goodness(run: Run, signal: Coefficients) -> Goodness | str:
    """The test against toys from the bank, or the reason why there is none."""
    try:
        return goodness_of_fit(signal, load_bank(run), run.seed("goodness"))
    except RangeError as error:
        run.say(f"  [yellow]no goodness of fit: {error}[/]")
        return str(error)
