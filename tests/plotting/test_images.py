"""Every figure looks as it did when somebody looked at it: its shapes are those of a stored image, and so are its words."""

from __future__ import annotations

import importlib
import json
import pkgutil
from types import ModuleType

import numpy as np
import pytest
from drawings import DRAWINGS, IMAGES, TEXTS, pixels, rendered, texts, written
from matplotlib.figure import Figure

import bmem.plotting

RMS = 2.0
"""Of colours between 0 and 255. From matplotlib 3.8 to 3.11 nothing differs; a line that is missing makes 4 and more."""
ANEW = "; if it should look so, run 'python tests/plotting/drawings.py', look at the image and commit it"


SAID = json.loads(TEXTS.read_text(encoding="utf-8"))


def difference(figure: Figure, name: str) -> float:
    """Root of the mean square, infinite if the size is another."""
    drawn, stored = pixels(rendered(figure)), pixels(IMAGES / f"{name}.png")
    return float(np.sqrt(((drawn - stored) ** 2).mean())) if drawn.shape == stored.shape else np.inf


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_looks_as_it_did_and_nothing_is_cut_off(name: str) -> None:
    figure = DRAWINGS[name][1]()
    seen = written(figure)
    assert texts(seen) == SAID[name], f"{name}{ANEW}"
    frame = figure.bbox.padded(1.5)  # pixels of rounding
    boxes = {text.get_text(): text.get_window_extent() for text in seen}
    inside = [frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in boxes.values()]
    assert all(inside), f"{name}: {[text for text, held in zip(boxes, inside, strict=True) if not held]}"
    assert difference(figure, name) < RMS, f"{name}.png{ANEW}"


def test_every_drawing_function_has_an_image() -> None:
    modules = [
        importlib.import_module(f"bmem.plotting.{info.name}") for info in pkgutil.iter_modules(bmem.plotting.__path__)
    ]
    own = {name for module in modules for name in vars(module) if _is_of(module, name)}
    parts = {"draw_counts", "draw_rare_counts", "draw_ratio"}  # of other figures
    assert {name for name in own if name.startswith("draw_")} - parts == set.union(
        *(found for found, _ in DRAWINGS.values())
    )


def _is_of(module: ModuleType, name: str) -> bool:
    return getattr(vars(module)[name], "__module__", "") == module.__name__


def test_a_missing_line_is_seen() -> None:
    """How the limit was chosen: one of the thin lines that a figure consists of is above it."""
    figure = DRAWINGS["belt"][1]()
    figure.axes[0].lines[-1].remove()
    assert difference(figure, "belt") > 2 * RMS
