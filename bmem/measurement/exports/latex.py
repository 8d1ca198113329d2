"""Results as a LaTeX table that needs no package."""

from __future__ import annotations

import math
from pathlib import Path

from bmem.artifacts import atomic_path
from bmem.inference.intervals import IntervalSet
from bmem.inference.rounding import MINUS, interval_text, number
from bmem.measurement.estimate import Estimate
from bmem.measurement.exports.rows import Results, estimates, sources
from bmem.measurement.parts import LEVELS

_SIGNS = {MINUS: "-", "°": r"^{\circ}", "∪": r"\cup", "±": r"\pm", "–": "{-}"}
_ESCAPED = str.maketrans({c: rf"\{c}" for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "~": r"\~{}", "^": r"\^{}"})


def write(results: Results, folder: Path) -> list[Path]:
    """``results.tex``: a tabular of every parameter with its profile intervals, and one of the errors by source."""
    path = folder / "results.tex"
    with atomic_path(path) as temporary:
        temporary.write_text(_estimates(results) + "\n" + _errors(results), encoding="utf-8")
    return [path]


def _estimates(results: Results) -> str:
    head = ["sample", "events", "estimate", *(rf"{100 * level:.1f}\,\%" for level in LEVELS)]
    rows = [
        [_words(sample), str(found.used), f"${_symbol(e)} {_value(e)}$", *(_region(e, region) for region in e.intervals)]
        for sample, found, e in estimates(results)
    ]
    return _tabular("Estimates and profile-likelihood intervals", head, rows)


def _errors(results: Results) -> str:
    names = sources(results)
    rows = [
        [_words(sample), f"${e.quantity.symbol}$", *(f"${_signs(e.source(source), e)}$" for source in names)]
        for sample, _, e in estimates(results)
    ]
    return _tabular("Standard deviations by source", ["sample", "parameter", *names], rows)


def _tabular(title: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [" & ".join(row) + r" \\" for row in [head, *rows]]
    lines.insert(1, r"\hline")
    return "\n".join([f"% {title}", rf"\begin{{tabular}}{{{'l' * len(head)}}}", *lines, r"\end{tabular}"]) + "\n"


def _symbol(e: Estimate) -> str:
    symbol = e.quantity.symbol
    return rf"\hat{{{symbol}}} =" if len(e.quantity.shown) == 1 else f"{symbol} ="


def _value(e: Estimate) -> str:
    """Rounded as everywhere; unequal sides above and below."""
    unit, value = _signs(e.quantity.suffix, e), _signs(number(e.value, e.places), e)
    if e.is_flat:
        return r"\mbox{not measured}"
    if e.sides is None:
        return value + (rf" \pm {number(e.total, e.places)}" if math.isfinite(e.total) else "") + unit
    low, high = (number(side, e.places) for side in e.sides)
    return value + (rf" \pm {low}" if low == high else rf"^{{+{high}}}_{{-{low}}}\,") + unit


def _region(e: Estimate, region: IntervalSet) -> str:
    text = interval_text(region, e.quantity, e.places + 1)
    return text if region.whole else f"${_signs(text, e)}$"


def _signs(text: str, e: Estimate) -> str:
    """Numbers as they are printed, for math mode."""
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    unit = e.quantity.unit
    return text.replace(f" {unit}", rf"\,\mathrm{{{unit}}}") if unit else text


def _words(text: str) -> str:
    return text.translate(_ESCAPED)
