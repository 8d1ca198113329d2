"""Formulas in the text of a page: what stands between dollars is drawn as inline SVG, so that the page needs no network.

Matplotlib sets them, with the fonts that it ships: a symbol looks as it does on the axes of the figures.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from markupsafe import Markup, escape
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

_FORMULA = re.compile(r"\$([^$]+)\$")
_SIZE = 100.0
"""Units of a drawing in one em."""
_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


def typeset(text: object) -> Markup:
    """``text`` for HTML, its formulas ($...$) drawn; one that matplotlib cannot set stays as it is written."""
    parts = _FORMULA.split(str(text))
    return Markup("").join(_formula(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def plain(text: str) -> str:
    """``text`` with its formulas in letters, for a terminal or a description: ``$p_{T}^{\\gamma\\gamma}$`` is ``p_T^γγ``."""
    return _FORMULA.sub(lambda found: _in_letters(found[1]), text)


def _in_letters(tex: str) -> str:
    tex = re.sub(r"\\(mathrm|mathit|text|hat|sqrt)\b", "", tex)
    return re.sub(r"[{}]|\\[,;! ]", "", re.sub(r"\\([A-Za-z]+) ?", lambda found: _letter(found[1]), tex))


def _letter(name: str) -> str:
    try:
        return unicodedata.lookup(f"GREEK {'CAPITAL' if name[0].isupper() else 'SMALL'} LETTER {name.upper()}")
    except KeyError:
        return name


@lru_cache(maxsize=1024)
def _formula(tex: str) -> Markup:
    try:
        drawn = TextPath((0, 0), f"${tex}$", size=_SIZE, prop=FontProperties(math_fontfamily="stix"))
    except ValueError:
        return Markup(escape(f"${tex}$"))
    box = drawn.get_extents()
    x, y, width, height = (round(value, 1) for value in (box.x0, -box.y1, box.width, box.height))
    shape = f"width: {width / _SIZE:.3f}em; height: {height / _SIZE:.3f}em; vertical-align: {box.y0 / _SIZE:.3f}em"
    return Markup(
        f'<svg class="formula" role="img" aria-label="{escape(_in_letters(tex))}" viewBox="{x} {y} {width} {height}" '
        f'style="{shape}"><path d="{_outline(drawn)}"/></svg>'
    )


def _outline(drawn: Path) -> str:
    """The outline in the language of SVG, whose y axis points down."""
    pieces = []
    for points, code in drawn.iter_segments(simplify=False):
        numbers = "" if code == Path.CLOSEPOLY else " ".join(f"{x:.1f} {-y:.1f}" for x, y in points.reshape(-1, 2))
        pieces.append(_COMMANDS[code] + numbers)
    return "".join(pieces)
