"""The page in a real browser: on a screen, a tablet and a phone nothing is cut, all images and formulas are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import WIDTHS, check, opened

from bmem.plotting.style import house_style, new_figure, save
from bmem.reports.page import Caution, Chapter, Headline, Page, Picture, Table, write_page

NAMES = ("signal_at_0", "signal_at_45", "signal_at_135", "control_region")
REGION = "[−53.8°, −42.4°] ∪ [32.6°, 60.5°]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with long words, many columns, formulas, figures of both widths."""
    folder = tmp_path_factory.mktemp("page")
    with house_style():
        figure, axes = new_figure()
        axes.plot([0, 1], [0, 1])
        png = save(figure, folder / "figure")[1]
    rows = tuple((name, *["−0.47 ± 0.19"] * len(NAMES)) for name in ("bias [°]", "spread with the hard event known [°]"))
    long = tuple(
        (i, 0.0313, r"a sentence that is longer than most, on $\sigma_\mathrm{fid}$", *["512"] * 6) for i in range(9)
    )
    tables = (
        Table("Subsamples", ("", *NAMES), rows, "A note. " * 20),
        Table(r"$\sigma_k$", ("event", "effective fraction", *"abcdefg"), long),
    )
    pictures = (Picture(png, r"$p_{T}^{\gamma\gamma}$ of events.", "figure.pdf"), Picture(png, "", wide=True))
    heads = tuple(
        Headline(f"α̂ of {n}", "46 ± 6°", (("68.3 %, highest density", REGION),), (("weights", "6°"),)) for n in NAMES
    )
    cautions = tuple(
        Caution(f"{name}: in 9 of the 50 fitted events the integral is inaccurate.", "Calibration") for name in NAMES
    )
    write_page(
        folder / "report.html",
        Page(
            "Measurement of α",
            made="28 November 2026, 12:44 UTC · bmem 0.1.0 (revision 976d32497152) · Linux-6.18.44-x86_64-with-glibc2.36",
            headlines=heads,
            warnings=cautions,
            chapters=(Chapter("Calibration", "Text. " * 50, tables, pictures), Chapter("Networks")),
            configuration='key = "' + "x" * 300 + '"',
            provenance={f"networks/{name}.safetensors": "ab" * 32 for name in NAMES},
        ),
    )
    return folder / "report.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_or_missing(page: Path, width: int, tmp_path: Path) -> None:
    shown = opened(page, width, tmp_path)
    check(shown, width)
    assert (shown.images, shown.formulas) == (2, 1 + 9 + 1)


@pytest.mark.parametrize(
    ("break_it", "where"),
    [
        (lambda text: text.replace("data:image/png;base64,", "data:image/png;base64,no"), "missing"),
        (lambda text: text.replace('<div class="scroll">', "<div>"), "outside"),
    ],
)
def test_faults_are_found(page: Path, break_it, where: str, tmp_path: Path) -> None:
    """Images that cannot be shown, and a table that is as wide as it wants to be."""
    broken = tmp_path / "broken.html"
    broken.write_text(break_it(page.read_text(encoding="utf-8")), encoding="utf-8")
    assert getattr(opened(broken, 390, tmp_path), where)
