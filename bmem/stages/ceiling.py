"""Part of stages 3 and 5, if ``[ratio] learn`` is set: learned ratios of all samples, and the ceiling of the information."""

from __future__ import annotations

from typing import Any

from bmem.artifacts import JsonFile, Product
from bmem.calibration.ceiling import KIND, Ceiling, ceiling_at
from bmem.likelihood import coefficients
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.likelihood.ratio import ratio_coefficients
from bmem.replicas import Replicas
from bmem.stages.backgrounds import mixed, observed
from bmem.stages.calibrate import true_value
from bmem.stages.integrate import truth_is_kept, wanted
from bmem.stages.run import Run
from bmem.stages.simulate import measured_samples
from bmem.stages.train import RATIO, build


def ratio_products(run: Run) -> list[Product[Coefficients]]:
    """The learned ratios of the events that are integrated, of every sample without background."""
    if not run.config.ratio.learn:
        return []
    return [_ratios(run, sample.name) for sample in measured_samples(run) if not mixed(run, sample.name)]


def products(run: Run) -> list[Product[Ceiling]]:
    """The ceiling of every sample whose hard events are known."""
    if not run.config.ratio.learn:
        return []
    return [_ceiling(run, sample.name) for sample in measured_samples(run) if truth_is_kept(run, sample.name)]


def _ratios(run: Run, name: str) -> Product[Coefficients]:
    def make() -> Coefficients:
        ratio = Replicas.load(run.network(RATIO), build(run, RATIO)).to(run.device)
        return ratio_coefficients(ratio, observed(run, name).x[: wanted(run, name)].to(run.device))

    settings: dict[str, Any] = {"events": wanted(run, name)}
    parents = {"events": run.events(name), RATIO: run.network(RATIO)}
    path = run.ratio_coefficients(name)
    return Product(f"{name}, ratios", path, coefficients.KIND, settings, parents, make, Coefficients.load)


def _ceiling(run: Run, name: str) -> Product[Ceiling]:
    files = {"coefficients": run.coefficients(name), RATIO: run.ratio_coefficients(name)}
    files["yardstick"] = run.hard_coefficients(name)

    def make() -> JsonFile | None:
        truth = true_value(run, name)
        if truth is None:
            return None
        likelihood, ratio, hard = (Coefficients.load(file) for file in files.values())
        found = ceiling_at(likelihood, ratio, hard, MorphingBasis.of(run.process), truth)
        run.say(f"  {name}: {100 * found.share[0]:.0f} % of the information that a regression on what is observed keeps")
        return JsonFile(KIND, found.to_dict())

    return Product(name, run.ceiling(name), KIND, {}, files, make, Ceiling.load)
