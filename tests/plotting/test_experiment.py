"""The label and look of an experiment, where mplhep is installed; a remedy where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.text import Text

from bmem.config import parse
from bmem.errors import ConfigError, InputError, MissingExtraError
from bmem.plotting.experiment import EXPERIMENTS, Experiment
from bmem.plotting.style import COLUMN, house_style, legend_above, new_figure, save


def test_without_mplhep_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mplhep", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bmem\[hep\]'"):
        Experiment("CMS")


def test_there_is_no_other_experiment() -> None:
    with pytest.raises(InputError, match="UA1"):
        Experiment("UA1")
    with pytest.raises(ConfigError, match=r"figures\.experiment"):
        parse({"figures": {"experiment": "UA1"}})
    assert all(parse({"figures": {"experiment": name}}).figures.experiment == name for name in EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_label_says_what_it_was_given_and_the_legend_makes_room(name: str, tmp_path: Path) -> None:
    """By itself mplhep adds "Simulation", to observed events too."""
    pytest.importorskip("mplhep")
    experiment = Experiment(name, "Preliminary")
    with house_style(experiment.look):
        figure, axes = new_figure()
        axes.plot([0, 1], [0, 1], label="line")
        legend_above(axes)
        experiment.mark(axes)
        figure.canvas.draw()
        words = [text for text in figure.findobj(Text) if text.get_text() in (name, "Preliminary")]
        assert len(words) == 2
        assert not any("Simulation" in text.get_text() for text in figure.findobj(Text))
        box = axes.get_legend().get_window_extent()
        assert all(not text.get_window_extent().overlaps(box) for text in words)
        assert box.y0 >= axes.get_window_extent().y1 - 1
        assert figure.get_size_inches()[0] == COLUMN
    assert len(save(figure, tmp_path / name, experiment.look)) == 2


def test_sizes_stay_those_of_a_column() -> None:
    pytest.importorskip("mplhep")
    with house_style():
        own = {key: plt.rcParams[key] for key in ("font.size", "figure.figsize", "xtick.major.size", "axes.unicode_minus")}
    with house_style(Experiment("CMS").look):
        assert own == {key: plt.rcParams[key] for key in own}
        assert plt.rcParams["font.family"] == ["sans-serif"]
