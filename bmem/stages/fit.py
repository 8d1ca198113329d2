"""Stage 4: the parameter from the first events of each sample, with its intervals and uncertainty budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bmem import artifacts
from bmem.artifacts import Product, Work
from bmem.calibration.goodness import Goodness, goodness_of_fit
from bmem.chain import hypotheses
from bmem.channels.nuisances import described
from bmem.config import BANK, FitSection
from bmem.errors import RangeError
from bmem.inference import export
from bmem.likelihood.coefficients import Coefficients
from bmem.measurement import Measurement, measure
from bmem.measurement.record import KIND
from bmem.rng import numpy_generator
from bmem.stages.backgrounds import background_parents, log_densities
from bmem.stages.belt import load_bank, measured_with_belt
from bmem.stages.hypotheses import known_beside
from bmem.stages.integrate import AVAILABLE
from bmem.stages.run import Run, plain
from bmem.stages.simulate import UNREAD, is_observed, measured_events, measured_samples


def products(run: Run) -> list[Product[Measurement]]:
    """The measurement of every sample."""
    return [_product(run, sample.name) for sample in measured_samples(run)]


def _product(run: Run, name: str) -> Product[Measurement]:
    lists = {key: [plain(entry) for entry in getattr(run.config, key)] for key in ("constraint", "background")}
    lists["nuisance"] = [described(entry) | {"value": entry.value, "error": entry.error} for entry in run.config.nuisance]
    settings: dict[str, Any] = {"fit": _known_as(run.config.fit) | {"events": measured_events(run, name)}} | lists
    parents = {"coefficients": run.coefficients(name)} | background_parents(run)
    if run.config.belt.bank_events:
        settings |= {"belt": plain(run.config.belt)}
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
    config = run.config
    signal = Coefficients.load(run.coefficients(name), slice(0, measured_events(run, name)))
    backgrounds = log_densities(run, name, signal.n_events)
    known = known_beside(config, backgrounds)
    result = measure(*hypotheses(signal, run.channel, config.fit, **known))
    result = replace(result, **_origin_of_events(run, name, signal.n_events))
    if result.excluded:
        lost = list(result.excluded)
        run.say(f"  [yellow]{len(lost)} events have no usable density and are left out: {lost}[/]")
    return _held_against_bank(run, result, signal) if config.belt.bank_events else result


def _origin_of_events(run: Run, name: str, measured: int) -> dict[str, Any]:
    """How many events the sample has, whether they were observed, and how many were not read."""
    there = artifacts.exists(run.events(name))
    return {
        "available": artifacts.read_header(run.coefficients(name)).settings.get(AVAILABLE, measured),
        "observed": is_observed(run, name),
        "unread": artifacts.read_header(run.events(name)).settings.get(UNREAD, 0) if there else 0,
    }


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
