"""The six stages of a measurement; each reads the artifacts of the ones before and writes its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bmem.artifacts import product
from bmem.stages.backgrounds import read_backgrounds, train_backgrounds
from bmem.stages.calibrate import calibrate_all
from bmem.stages.fit import fit_all
from bmem.stages.integrate import integrate_all
from bmem.stages.report import report
from bmem.stages.run import Run
from bmem.stages.simulate import simulate_all
from bmem.stages.train import train_all


def _simulate(run: Run) -> None:
    read_backgrounds(run)  # first, so that a wrong file shows at once
    simulate_all(run)


def _train(run: Run) -> None:
    train_all(run)
    train_backgrounds(run)


STAGES: dict[str, Callable[[Run], None]] = {
    "simulate": _simulate,
    "train": _train,
    "integrate": integrate_all,
    "fit": fit_all,
    "calibrate": calibrate_all,
    "report": report,
}

FOLDERS = {"simulate": "events", "train": "networks", "integrate": "likelihood", "fit": "fit", "calibrate": "calibration"}
"""Where each stage leaves its artifacts; the report is no artifact."""


def refuse_earlier(run: Run, names: Iterable[str]) -> None:
    """Make sure that nothing is there of an earlier run of some stages.

    Raises:
        ArtifactError: one left an artifact, or an unfinished piece in its cache.
    """
    for name in names:
        product.refuse_earlier(run.out / FOLDERS.get(name, name), run.cache(name))


__all__ = ["STAGES", "Run", "refuse_earlier"]
