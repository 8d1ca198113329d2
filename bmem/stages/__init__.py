"""The six stages of a measurement; each reads the artifacts of the ones before and writes its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bmem.artifacts import Product, product
from bmem.stages import backgrounds, calibrate, ceiling, fit, integrate, period, population, prospects, simulate
from bmem.stages.report import write_report
from bmem.stages.run import Run
from bmem.stages.train import train_all

PRODUCTS: dict[str, Callable[[Run], list[Product[Any]]]] = {
    # files of backgrounds first, so that a wrong one shows at once
    "simulate": lambda run: [*backgrounds.event_products(run), *simulate.products(run)],
    "integrate": lambda run: [*integrate.products(run), *ceiling.ratio_products(run)],
    "fit": fit.products,
    "calibrate": lambda run: [
        *(product for room in (calibrate, ceiling, period, population, prospects) for product in room.products(run))
    ],
}
"""What each stage leaves in its folder."""


def _simulate(run: Run) -> None:
    _make("simulate")(run)
    if not run.checking:
        simulate.tell_what_is_not_measured(run)


def _train(run: Run) -> None:
    train_all(run)
    backgrounds.train_backgrounds(run)


def _make(name: str) -> Callable[[Run], None]:
    """The products of a stage, as far as they are missing."""
    return lambda run: run.engine.ensure(*PRODUCTS[name](run))


STAGES: dict[str, Callable[[Run], None]] = {
    "simulate": _simulate,
    "train": _train,
    "integrate": _make("integrate"),
    "fit": _make("fit"),
    "calibrate": _make("calibrate"),
    "report": write_report,
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


__all__ = ["PRODUCTS", "STAGES", "Run", "refuse_earlier"]
