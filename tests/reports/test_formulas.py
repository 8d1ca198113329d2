"""Formulas of a page are drawings in it; on a terminal they are letters."""

from __future__ import annotations

import re

import pytest

from bmem.reports.formulas import plain, typeset


def test_formulas_become_outlines_between_escaped_text() -> None:
    text = typeset(r"<b> & $p_{T}^{\gamma\gamma}$ > 25 $\mathrm{GeV}$")
    assert text.startswith("&lt;b&gt; &amp; <svg")
    assert text.count("</svg>") == 2
    assert "$" not in text
    assert 'aria-label="p_T^γγ"' in text
    assert all(set(outline) <= set("MLQCZ0123456789.- ") for outline in re.findall(r'd="([^"]*)"', text))


def test_a_formula_stands_on_its_line() -> None:
    """The bottom of p lies below the line, that of x on it."""

    def depth(tex: str) -> float:
        return float(re.search(r"vertical-align: (-?[\d.]+)em", typeset(tex))[1])

    assert depth("$p$") < -0.1
    assert depth("$x$") == pytest.approx(0, abs=0.03)


def test_what_cannot_be_set_stays_as_it_is() -> None:
    assert typeset(r"$\nosuchcommand{<}$") == r"$\nosuchcommand{&lt;}$"
    assert typeset("5 $ and no more") == "5 $ and no more"


@pytest.mark.parametrize(
    ("tex", "letters"),
    [(r"$\hat{\alpha}$", "α"), (r"$\sigma_\mathrm{fid}$", "σ_fid"), (r"$\sqrt{s}$ = 13", "s = 13"), ("$y_{bjj}$", "y_bjj")],
)
def test_letters_for_a_terminal(tex: str, letters: str) -> None:
    assert plain(tex) == letters
