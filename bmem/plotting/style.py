"""The look of all figures: one style file, one palette, one way to make figures and to save them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from bmem.artifacts import atomic_path

LEARNED = "#0072B2"
"""Colour of what bmem infers or has learned."""
REFERENCE = "#333333"
"""Colour of what is known: simulation, truth, nominal values."""
SECOND = "#D55E00"
"""Colour of a second curve, and of what needs attention."""
THIRD = "#009E73"
"""Colour of a third curve."""
QUIET = "#8C8C8C"
"""Colour of guides: levels, zero lines."""

COLUMN = 3.4
"""Width of a column of a paper in inches."""

FORMATS = ("pdf", "png")

_ROUND_STEPS = (1, 2, 2.5, 5, 10)


_OWN: Mapping[str, Any] = {}
"""No settings but those of bmem."""


class PlainNumbers(ScalarFormatter):
    """Numbers of an axis as text, the common factor as a formula; matplotlib typesets each number, which is slow."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos).replace(r"$\mathdefault{", "").replace("}$", "")


Panels = tuple[Axes, Axes]
"""Two panels with a common x axis, the upper one first."""


@contextmanager
def house_style(look: Mapping[str, Any] = _OWN) -> Iterator[None]:
    """Draw what is made inside the block in the style of bmem; the user's own matplotlib settings return afterwards.

    ``look`` are settings beyond it, those of an experiment say (``bmem.plotting.experiment``).
    """
    with as_file(files("bmem.plotting") / "bmem.mplstyle") as path, plt.style.context([path, dict(look)]):
        yield


def new_figure(height: float = 2.6, width: float = COLUMN) -> tuple[Figure, Axes]:
    """A figure of one panel, sizes in inches; call it inside ``with house_style():``."""
    figure, axes = plt.subplots(figsize=(width, height))
    _number(axes)
    return figure, axes


def new_panels(height: float = 3.2, width: float = COLUMN, ratio: float = 2.3) -> tuple[Figure, Panels]:
    """A figure of two panels with a common x axis, the upper one ``ratio`` times as high as the lower one."""
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(width, height), height_ratios=(ratio, 1))
    figure.get_layout_engine().set(hspace=0.0, h_pad=0.012)  # type: ignore[union-attr, call-arg]
    for axes in (upper, lower):
        _number(axes)
        prune: Any = "upper" if axes is lower else "lower"
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5 if axes is lower else 7, steps=_ROUND_STEPS, prune=prune))
    figure.align_ylabels([upper, lower])
    return figure, (upper, lower)


def _number(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PlainNumbers())


def save(figure: Figure, path_stem: Path, look: Mapping[str, Any] = _OWN) -> tuple[Path, ...]:
    """Write ``figure`` as ``path_stem``.pdf and .png (300 dpi), close it, and return the paths; ``look`` as for ``style``.

    Raises:
        ArtifactError: the files cannot be written.
    """
    stem = Path(path_stem)
    paths = tuple(stem.with_name(f"{stem.name}.{suffix}") for suffix in FORMATS)
    with house_style(look):
        for path, suffix in zip(paths, FORMATS, strict=True):
            # no date in the PDF: the same figure is the same file
            metadata = {"CreationDate": None} if suffix == "pdf" else {}
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=metadata)
            figure.set_layout_engine("none")  # it stays as it was laid out first: that takes as long as drawing
    plt.close(figure)
    return paths


def legend_above(axes: Axes, columns: int = 3, title: str = "", *, others: Sequence[Axes] = ()) -> None:
    """Put the legend above the panel, where it can hide no data; what is labelled in ``others`` comes after its own."""
    parts = [panel.get_legend_handles_labels() for panel in (axes, *others)]
    handles: list[Any] = [handle for part in parts for handle in part[0]]
    labels: list[Any] = [label for part in parts for label in part[1]]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2, "borderpad": 0.2}
    axes.legend(handles, labels, ncols=columns, alignment="left", title=title or None, title_fontsize=8, **place)
