"""Signs that a weight posterior should not be trusted as it stands."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from bmem.errors import TrustWarning
from bmem.training.settings import History

NATS_PER_WEIGHT = 0.05
"""Rise of the ELBO per random weight above which the fit is not finished: widths wrong by a factor e^δ cost δ²."""

WIDTH = 3.0
"""Posterior over prior width of a weight above which it is running away; data that say something make it less than 1."""


def warn_if_not_flat(history: History, rows: int, weights: int) -> None:
    """Warn if the training loss, a bound per row, still fell between the third and the last quarter of the epochs.

    A fall counts if it is above ``NATS_PER_WEIGHT`` and above three standard errors of the epochs' scatter.
    """
    losses = np.array(history.train_loss)
    quarter = len(losses) // 4
    if quarter < 2:
        warnings.warn(f"{len(losses)} epochs are too few to tell whether the ELBO is flat; use 8 or more", TrustWarning, 3)
        return
    before, after = losses[-2 * quarter : -quarter], losses[-quarter:]
    fall = float(before.mean() - after.mean())
    scatter = float(np.sqrt((_scatter(before) + _scatter(after)) / quarter))
    if fall * rows / weights > NATS_PER_WEIGHT and fall > 3 * scatter:
        warnings.warn(
            f"the ELBO is not flat: it rose by {fall * rows / weights:.3g} nats per weight in the last quarter of "
            f"{len(losses)} epochs (at most {NATS_PER_WEIGHT}); "
            "use more epochs, a higher learning_rate or a smaller batch_size",
            TrustWarning,
            3,
        )


def _scatter(losses: np.ndarray) -> float:
    """Variance about the line from epoch to epoch, from differences of neighbours."""
    return float(np.mean(np.diff(losses) ** 2) / 2)


def warn_if_wide(widths: Mapping[str, Tensor], prior_scales: Mapping[str, float]) -> None:
    """Warn of weights whose posterior is more than ``WIDTH`` times as wide as their prior."""
    wide = {name: float(value.max()) / prior_scales[name] for name, value in widths.items()}
    worst = {name: ratio for name, ratio in wide.items() if not ratio <= WIDTH}
    if worst:
        name = max(worst, key=lambda key: worst[key])
        warnings.warn(
            f"exploding log-variance: weights of {sorted(worst)} are up to {worst[name]:.3g} times as wide as their prior "
            f"(at most {WIDTH}); start from a point estimate, lower learning_rate or choose a smaller prior_scale",
            TrustWarning,
            3,
        )
