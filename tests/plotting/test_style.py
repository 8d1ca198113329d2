"""The style file, saving, and the axis labels of quantities."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from quantities import ALPHA

from bmem.errors import ArtifactError
from bmem.plotting.style import COLUMN, house_style, new_figure, new_panels, save
from bmem.plotting.ticks import percent_number, plain_number, set_log_ticks, set_ticks
from bmem.quantity import Quantity


def test_style_holds_inside_the_block_only():
    with plt.rc_context():
        plt.rcdefaults()
        before = dict(plt.rcParams)
        with house_style():
            assert plt.rcParams["xtick.direction"] == "in"
            assert plt.rcParams["axes.grid"] is False
            assert plt.rcParams["font.serif"] == ["STIXGeneral"]
            assert plt.rcParams["pdf.fonttype"] == 42
        assert dict(plt.rcParams) == before


def test_figures_are_one_column_wide():
    assert new_figure()[0].get_size_inches()[0] == COLUMN == 3.4
    figure, (upper, lower) = new_panels()
    assert figure.get_size_inches()[0] == COLUMN
    upper.set_xlim(2, 7)
    assert lower.get_xlim() == (2, 7)


def test_saved_as_pdf_and_png(tmp_path):
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1])
    pdf, png = save(figure, tmp_path / "out" / "a.b")
    assert (pdf.name, png.name) == ("a.b.pdf", "a.b.png")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert plt.imread(png).shape[1] >= 200 * COLUMN
    assert not plt.fignum_exists(figure.number)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.b.pdf", "a.b.png"]


def test_the_same_figure_is_the_same_file(tmp_path):
    contents = []
    for name in ("first", "second"):
        figure, axes = new_figure()
        axes.plot([0, 1], [0, 1])
        contents.append([path.read_bytes() for path in save(figure, tmp_path / name)])
    assert contents[0] == contents[1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="file"):
        save(new_figure()[0], tmp_path / "file" / "figure")


def test_labels_carry_units():
    assert ALPHA.label == r"$\alpha$ [°]"
    assert ALPHA.estimate_label == r"$\hat{\alpha}$ [°]"
    assert math.pi * ALPHA.scale == pytest.approx(180)
    assert Quantity("pt", "p_T", "GeV").label == "$p_T$ [GeV]"
    assert Quantity("eta", r"\eta").label == r"$\eta$"


def test_angles_have_round_ticks():
    _, axes = new_figure()
    axes.set_xlim(-180, 180)
    set_ticks(axes.xaxis, ALPHA)
    np.testing.assert_allclose(np.diff(axes.get_xticks()), 45)


def test_numbers_of_an_axis_are_text_and_their_factor_a_formula() -> None:
    """Each number used to be typeset as a formula, which took a third of the time of a report."""
    with house_style():
        figure, axes = new_figure()
        axes.set(xlim=(-1, 1), ylim=(0, 5e6))
        figure.canvas.draw()
        numbers = [label.get_text() for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert any(number.startswith("−") for number in numbers)
    assert not any("$" in number for number in numbers)
    assert r"\times" in axes.yaxis.get_offset_text().get_text()
    plt.close(figure)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (2e-6, 3e-3, ("$10^{-5}$", "0.001")),
        (3, 70, ("5", "10", "50")),
        (11, 19, ("12", "14", "18")),
        (0.4, 0.6, ("0.45", "0.55")),
    ],
)
def test_a_logarithmic_axis_has_numbers_however_short_it_is(low, high, expected):
    """From 11 to 19 it used to have none."""
    figure, axes = new_figure()
    axes.set(xscale="log", xlim=(low, high))
    set_log_ticks(axes)
    figure.canvas.draw()
    ticks = [t.label1.get_text() for t in axes.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    assert 3 <= len(ticks) <= 10
    assert set(expected) <= set(ticks)


@pytest.mark.parametrize(("low", "high", "step"), [(33, 53, 5), (-60, 60, 15), (-180, 180, 45), (0, 80, 10)])
def test_degrees_are_round_at_every_scale(low, high, step):
    _, axes = new_figure()
    axes.set_xlim(low, high)
    set_ticks(axes.xaxis, ALPHA)
    np.testing.assert_allclose(np.diff(axes.get_xticks()), step)


def test_numbers_are_written_alike_by_all():
    assert [plain_number(x) for x in (0, -5, 2e-7, 1e6, 0.25)] == ["0", "−5", r"$2 \times 10^{-7}$", "$10^{6}$", "0.25"]
    assert percent_number(0.005) == "0.5 %"
