"""Signs that a weight posterior should not be trusted as it stands."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from bmem.errors import TrustWarning
from bmem.pareto import pareto_k
from bmem.replicas.weights import LogPosterior
from bmem.training.settings import History

NATS_PER_WEIGHT = 0.05
"""Rise of the ELBO per random weight above which the fit is not finished: widths wrong by a factor e^δ cost δ²."""

WIDTH = 3.0
"""Posterior over prior width of a weight above which it is running away; data that say something make it less than 1."""

PARETO_K = 0.7
"""Shape of the tail of p/q above which q is too far from the posterior (Yao, Vehtari, Simpson, Gelman, arXiv:1802.02538)."""

R_HAT = 1.05
EFFECTIVE = 100
"""Chains with a larger R-hat, or fewer effective draws, of any weight are not yet the posterior (arXiv:1903.08008)."""

_CHECKED_WEIGHTS = 1000
_CHECKED_DRAWS = 200


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


def warn_if_far(target: LogPosterior, approximation: Distribution, rng: torch.Generator) -> None:
    """Warn if the ``approximation`` over the vector of weights is far from ``target``, by the Pareto k of their ratio.

    Only of up to 1000 weights: in thousands of dimensions k is above 0.7 however good each of them is.
    """
    if sum(value.numel() for value in target.like.values()) > _CHECKED_WEIGHTS:
        return
    device = next(iter(target.like.values())).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(int(torch.randint(1 << 31, (), generator=rng, device=rng.device)))
        vectors = approximation.sample((_CHECKED_DRAWS,))
        ratios = torch.stack([target(vector) for vector in vectors]) - approximation.log_prob(vectors)
    k = float(pareto_k(ratios.double().cpu().numpy()))
    if not k <= PARETO_K:
        warnings.warn(
            f"the approximation is far from the exact posterior: Pareto k = {k:.2f} (at most {PARETO_K}); choose one with "
            "more correlations (a larger rank, a full Laplace of the last layer), name fewer layers, or take NUTS or an "
            "ensemble",
            TrustWarning,
            3,
        )


def warn_if_not_mixed(samples: NDArray[np.float64], divergences: int) -> None:
    """Warn if chains [chains, draws, W] disagree, hold too few effective draws, or had steps that diverged."""
    import arviz

    chains = arviz.convert_to_dataset(samples)
    r_hat = float(arviz.rhat(chains).to_array().max())
    effective = float(arviz.ess(chains).to_array().min())
    if not r_hat <= R_HAT or not effective >= EFFECTIVE or divergences:
        warnings.warn(
            f"the chains are not yet the posterior: R-hat is up to {r_hat:.3f} (at most {R_HAT}), {effective:.0f} effective "
            f"draws (at least {EFFECTIVE}), {divergences} diverging steps (none); use more draws, a longer warm_up or a "
            "smaller prior_scale",
            TrustWarning,
            3,
        )
