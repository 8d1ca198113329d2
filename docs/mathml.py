"""Formulas as MathML, which browsers draw themselves: the pages need neither a script nor a network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

_AS_CHARACTERS = {'<mi mathvariant="script">L</mi>': "<mi>ℒ</mi>"}
"""Browsers know no variants of letters."""

_FUNCTION = re.compile(r"<mi>(?:log|sin|cos|exp)</mi>(?!<mo stretchy=\"false\">&#x00028;)")
"""Names of functions whose argument has no parentheses: a space belongs between the two."""


def drawn(formula: str, display: str) -> str:
    """TeX as MathML, "inline" or as a "block"."""
    markup: str = convert(formula, display=display)
    for written, meant in _AS_CHARACTERS.items():
        markup = markup.replace(written, meant)
    return _FUNCTION.sub(r'<mrow>\g<0><mspace width="0.17em"/></mrow>', markup)


def inline(translator: Any, node: nodes.math) -> None:
    """A formula in a line."""
    translator.body.append(drawn(node.astext(), "inline"))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula by itself; where it is too wide for a narrow screen it scrolls, not the page."""
    formula = drawn(node.astext(), "block")
    translator.body.append(f'<div class="formula" style="overflow-x: auto; padding: 0.5em 0">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
