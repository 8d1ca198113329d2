"""How networks are shown: their training, and what they learned against events that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bmem.calibration.predictive import bin_edges
from bmem.likelihood.cross_section import FiducialCrossSection
from bmem.networks.classifier import reliability
from bmem.plotting.acceptance import Predictions, draw_acceptance, draw_reliability
from bmem.plotting.training import draw_losses
from bmem.plotting.transfer import draw_transfer
from bmem.quantity import Quantity
from bmem.reports.album import Album
from bmem.reports.page import Picture, Table
from bmem.reports.words import in_tex, with_unit
from bmem.training.settings import History

Array = NDArray[np.float64]
Shown = Sequence[tuple[int, Quantity]]
"""Columns of the observables that are drawn, and their names."""
_POSTERIOR = ".posterior"
_FIDUCIAL = r"$\sigma_\mathrm{fid}$"


def training_table(histories: Mapping[str, History]) -> Table:
    """Epochs, held-out loss and time of every training."""
    rows = []
    for name, history in histories.items():
        # what a posterior holds out its point estimate may have been trained on: no held-out loss
        quality = ("–", "–") if name.endswith(_POSTERIOR) else (history.best_epoch + 1, history.best_loss)
        rows.append((_named(name), len(history.train_loss), *quality, sum(history.seconds)))
    note = "Epochs and seconds of a posterior with several members are those of one of them."
    columns = ("network", "epochs", "best epoch", "held-out loss", "seconds")
    return Table("Training", columns, tuple(rows), note, {"seconds": 2})


def training_figures(album: Album, histories: Mapping[str, History]) -> list[Picture]:
    """Learning curves."""
    return [
        album.panel(f"training_{name}", f"Loss of the {_named(name)} during training.", _losses(history))
        for name, history in histories.items()
        if len(history.train_loss) > 1
    ]


def _losses(history: History) -> Callable[[Axes], object]:
    return lambda axes: draw_losses(axes, history)


def _named(training: str) -> str:
    name = training.removesuffix(_POSTERIOR).replace("_", " ")
    return f"{name} (posterior of its weights)" if training.endswith(_POSTERIOR) else name


def acceptance_table(predictions: Predictions) -> Table:
    """Is the learned acceptance calibrated on events that it has not seen?"""
    predicted, observed = predictions.predicted, predictions.accepted
    test = reliability(predicted, observed, bins=12)
    error = float(observed.std() / np.sqrt(len(observed)))
    row = (len(observed), float(observed.mean()), error, float(predicted.mean()), test.chi2, len(test.count), test.p_value)
    columns = ("validation events", "accepted fraction", "its error", "mean prediction", "χ² of reliability", "bins", "p")
    return Table("Acceptance", columns, (row,), digits={"its error": 2, "p": 2})


def acceptance_figures(album: Album, predictions: Predictions, x: Array, quantity: Quantity) -> list[Picture]:
    """Reliability of the acceptance, and the acceptance along a hard quantity ``x`` [N]."""
    edges = np.quantile(x, np.linspace(0, 0.995, 25))
    along = f"acceptance_{quantity.name}"
    return [
        album.panel(
            "acceptance_reliability",
            "Accepted fraction against the learned acceptance.",
            lambda axes: draw_reliability(axes, predictions, np.quantile(predictions.predicted, np.linspace(0, 1, 13))),
        ),
        album.panels(
            along,
            f"Acceptance against {in_tex(quantity)} of the hard event.",
            lambda panels: draw_acceptance(panels, predictions, x, edges, quantity),
        ),
    ]


def transfer_figures(album: Album, simulated: Array, learned: Array, shown: Shown) -> list[Picture]:
    """The learned transfer density [R, N, D] against simulated pairs [N, D], observable by observable."""
    what = f"Learned transfer density ({len(learned)} replicas) against {len(simulated)} validation events"
    return [
        _density(album, (f"transfer_{place[1].name}", f"{what}: {in_tex(place[1])}."), (simulated, learned), place)
        for place in shown
        if np.isfinite(simulated[:, place[0]]).any()
    ]


def background_figures(album: Album, name: str, events: Array, learned: Array, shown: Shown) -> list[Picture]:
    """The learned density of a background [R, M, D] against events [N, D] that it was not trained on."""
    what = f"Learned density of {name} against {len(events)} held-out events"
    labels = ("held-out events", "learned density")
    titles = [(f"background_{name}_{quantity.name}", f"{what}: {in_tex(quantity)}.") for _, quantity in shown]
    places = zip(titles, shown, strict=True)
    return [_density(album, title, (events, learned), place, labels) for title, place in places]


def _density(
    album: Album,
    title: tuple[str, str],
    samples: tuple[Array, Array],
    place: tuple[int, Quantity],
    labels: tuple[str, str] = ("simulation", "learned transfer"),
) -> Picture:
    """One observable of the known and the learned ``samples``; ``title`` is the name of the file and the caption."""
    (column, quantity), (known, learned) = place, samples
    edges = bin_edges(known[:, column], (0.002, 0.98), 30)
    return album.panels(
        *title,
        lambda panels: draw_transfer(panels, known[:, column], learned[..., column], edges, quantity, labels=labels),
    )


@dataclass(frozen=True)
class CrossSectionErrors:
    """How σ_fid was found, in words, and its errors: the ``columns``, and in fb the errors ``of`` it at a basis b [K]."""

    source: str
    columns: tuple[str, ...]
    of: Callable[[FiducialCrossSection, Array], tuple[Any, ...]]


def _of_learned(fiducial: FiducialCrossSection, b: Array) -> tuple[Any, ...]:
    values = fiducial.values @ b
    network = f"{1000 * values.std(ddof=1):.2g}" if len(values) > 1 else "not evaluated"
    return 1000 * float(np.sqrt(b @ fiducial.covariance.mean(0) @ b)), network


def _of_counted(fiducial: FiducialCrossSection, b: Array) -> tuple[Any, ...]:
    """One replica has the error in its covariance, several have it in their differences.

    The spread about their own mean, which ``counted_cross_section`` has already made up for: hence no N - 1 here.
    """
    return (1000 * float(np.sqrt(b @ fiducial.covariance.mean(0) @ b + (fiducial.values @ b).var())),)


LEARNED = CrossSectionErrors(
    "integrated with the learned acceptance", ("integration error [fb]", "network error [fb]"), _of_learned
)
COUNTED = CrossSectionErrors("counted from the accepted training events", ("statistical error [fb]",), _of_counted)


def cross_section_table(
    fiducial: FiducialCrossSection,
    total: Sequence[float],
    truths: Array,
    basis: Array,
    quantity: Quantity,
    *,
    errors: CrossSectionErrors,
) -> Table:
    """The ``total`` [T] and fiducial cross section in pb at some ``truths`` [T], where the basis is ``basis`` [T, K]."""
    rows = []
    for truth, sigma_total, b in zip(truths, total, basis, strict=True):
        sigma, place = float((fiducial.values @ b).mean()), round(float(quantity.printed(truth)), 3)
        rows.append((place, 1000 * sigma_total, 1000 * sigma, *errors.of(fiducial, b), sigma / sigma_total))
    columns = (with_unit(quantity.shown, quantity), "σ [fb]", f"{_FIDUCIAL} [fb]", *errors.columns, "acceptance")
    note = f"{_FIDUCIAL} {errors.source}; no branching ratios."
    return Table("Cross sections", columns, tuple(rows), note, dict.fromkeys(errors.columns, 2))


def suspicions(names: Mapping[str, Sequence[str]]) -> list[str]:
    """What was found doubtful about the posteriors over weights when they were fitted."""
    return [f"Posterior of the {_named(name)}: {suspicion}." for name, found in names.items() for suspicion in found]
