"""Learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from bmem.plotting.style import LEARNED, REFERENCE, SECOND, legend_above
from bmem.training.settings import History

_FEW_EPOCHS = 10


def draw_losses(axes: Axes, history: History) -> dict[str, Any]:
    """Draw training and validation loss against the epoch, counted from 1, and mark the epoch whose weights were kept.

    Returns "training", "validation" and "best".
    """
    epochs, best = np.arange(1, len(history.train_loss) + 1), history.best_epoch
    artists: dict[str, Any] = {}
    (artists["training"],) = axes.plot(epochs, history.train_loss, color=LEARNED, label="training")
    (artists["validation"],) = axes.plot(epochs, history.validation_loss, color=SECOND, label="held out")
    (artists["best"],) = axes.plot(
        best + 1, history.best_loss, "o", ms=4.5, mfc="white", mec=REFERENCE, zorder=4, label=f"kept (epoch {best + 1})"
    )
    axes.set(xlabel="epoch", ylabel="loss", xlim=(0.5, len(epochs) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) <= _FEW_EPOCHS:
        axes.xaxis.set_minor_locator(NullLocator())
    legend_above(axes)
    return artists
