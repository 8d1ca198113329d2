"""Figures of a report, drawn in the style of bmem and saved beside the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bmem.plotting.experiment import Experiment
from bmem.plotting.style import house_style, new_figure, new_panels, save
from bmem.reports.page import Picture


@dataclass(frozen=True)
class Album:
    """Saves figures into ``folder``, which lies beside the page, with the label and look of an ``experiment`` if any."""

    folder: Path
    experiment: Experiment | None = None

    @property
    def look(self) -> dict[str, Any]:
        """As ``bmem.plotting.style.style`` takes it."""
        return {} if self.experiment is None else self.experiment.look

    def panel(self, name: str, caption: str, draw: Callable[[Any], Any], height: float = 2.6) -> Picture:
        """What ``draw`` draws on one axes."""
        with house_style(self.look):
            figure, axes = new_figure(height=height)
            draw(axes)
            return self.add(figure, name, caption)

    def panels(
        self, name: str, caption: str, draw: Callable[[Any], Any], height: float = 3.2, ratio: float = 2.3
    ) -> Picture:
        """What ``draw`` draws on two panels with a common x axis."""
        with house_style(self.look):
            figure, axes = new_panels(height=height, ratio=ratio)
            draw(axes)
            return self.add(figure, name, caption)

    def add(self, figure: Figure, name: str, caption: str, wide: bool = False) -> Picture:
        """Save and close a ``figure``, which may be ``wide``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.experiment is not None:
            with house_style(self.look):
                self.experiment.mark(figure.axes[0])
        paths = {path.suffix: path for path in save(figure, self.folder / name, self.look)}
        pdf = f"{self.folder.name}/{name}.pdf" if ".pdf" in paths else ""
        return Picture(paths[".png"], caption, pdf, wide)
