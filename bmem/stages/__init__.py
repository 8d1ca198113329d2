"""The six stages of a measurement; each reads the artifacts of the ones before and writes its own."""

from __future__ import annotations

from collections.abc import Callable

from bmem.stages.calibrate import calibrate_all
from bmem.stages.fit import fit_all
from bmem.stages.integrate import integrate_all
from bmem.stages.report import report
from bmem.stages.run import Run
from bmem.stages.simulate import simulate_all
from bmem.stages.train import train_all

STAGES: dict[str, Callable[[Run], None]] = {
    "simulate": simulate_all,
    "train": train_all,
    "integrate": integrate_all,
    "fit": fit_all,
    "calibrate": calibrate_all,
    "report": report,
}

__all__ = ["STAGES", "Run"]
