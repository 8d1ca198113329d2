"""The linear-Gaussian toy with 30 % background and two systematic effects on the signal, all densities in closed form.

The components of the signal change with ν_1 and ν_2 by some 10 % for a standard deviation; the share of the background is
known to 5 %. The tests of ``bmem.calibration`` use it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from iminuit.cost import NormalConstraint
from torch.distributions import MultivariateNormal

from bmem.calibration.composition import ByFractions, ByRate, Composition, Rate
from bmem.calibration.population import Population, SourceEvents
from bmem.calibration.reweighted import Reweighted
from bmem.inference.hypothesis import Hypothesis
from bmem.inference.objective import Basis
from bmem.inference.scale import AffineBasis, ProductBasis
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coefficients import Coefficients
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.rng import generator

TOY = LinearGaussian()
BACKGROUND = MultivariateNormal(torch.tensor([1.0, -0.5], dtype=torch.float64), 1.8 * torch.eye(2, dtype=torch.float64))
SHARE, SHARE_ERROR = 0.3, 0.05
EFFECTS = (Parameter("nu_1", (-3.0, 3.0)), Parameter("nu_2", (-3.0, 3.0)))
SLOPES = np.array([[0.15, -0.1, 0.0], [0.0, 0.12, -0.15]])
"""Relative change of the components by each effect."""
KNOWN = (
    NormalConstraint("nu_1", 0.0, 1.0),
    NormalConstraint("nu_2", 0.0, 1.0),
    NormalConstraint("f_other", SHARE, SHARE_ERROR),
)
NOMINAL = np.array([0.0, 0.0, SHARE])
RATE = (1.0, 0.15)
"""Cross section of the background and how well it is known, in pb."""


def signal_basis() -> Basis:
    """b_k(θ) (1 + ν_1 c_1k + ν_2 c_2k): products with (1, ν_1, ν_2)."""
    constant, slopes = np.eye(1, 3)[0], np.concatenate([np.zeros((2, 1)), np.eye(2)], axis=1)
    return ProductBasis(MorphingBasis.of(TOY), AffineBasis(EFFECTS, constant, slopes))


def extended(components: np.ndarray) -> np.ndarray:
    """s_k [N, 3] → [N, 9] for ``signal_basis``."""
    return np.concatenate([components, *(components * slope for slope in SLOPES)], axis=-1)


def coefficients(x: torch.Tensor) -> Coefficients:
    """Exact integrals of events x_reco [N, 2]."""
    return Coefficients.exact(extended(TOY.integrals(x).numpy()), extended(TOY.fiducial().numpy()))


def log_background(x: torch.Tensor) -> dict[str, np.ndarray]:
    return {"other": BACKGROUND.log_prob(x).numpy()}


def signal_events(n: int, theta: float, effects: np.ndarray, seed: int) -> torch.Tensor:
    """``n`` events x_reco made at θ and ν directly: those at ν = 0, accepted with the ratio of the densities."""
    rng = generator(seed, "direct")
    hard = TOY.sample(4 * n, torch.tensor([theta], dtype=torch.float64), rng).x
    b, s = TOY.basis(torch.tensor([theta], dtype=torch.float64)).numpy(), TOY.components(hard).numpy()
    ratio = (s * (1 + effects @ SLOPES)) @ b / (s @ b)
    kept = hard[torch.rand(len(hard), generator=rng, dtype=torch.float64).numpy() * 1.9 < ratio][:n]
    assert len(kept) == n
    assert ratio.max() < 1.9
    return TOY.response(kept, rng)


def background_events(n: int, seed: int) -> torch.Tensor:
    noise = torch.randn(n, 2, generator=generator(seed, "background"), dtype=torch.float64)
    return BACKGROUND.loc + noise @ BACKGROUND.scale_tril.T


@dataclass(frozen=True)
class ContaminatedBank:
    """Signal events made at three θ and ν = 0 in equal parts, and background events."""

    signal: torch.Tensor
    weighted: Reweighted
    background: torch.Tensor

    @classmethod
    def of(cls, signal: int, background: int, seed: int) -> ContaminatedBank:
        rng, thetas = generator(seed, "bank"), torch.tensor([0.0, 2.1, -2.1], dtype=torch.float64)
        hard = torch.cat([TOY.sample(signal // 3, theta[None], rng).x for theta in thetas])
        b = TOY.basis(thetas[:, None]).numpy()
        mixture = (b / (b @ TOY.fiducial().numpy())[:, None]).mean(axis=0)
        components = TOY.components(hard).numpy()
        exact = extended(components) / (components @ mixture)[:, None]
        weighted = Reweighted(signal_basis(), exact, extended(TOY.fiducial().numpy()))
        return cls(TOY.response(hard, rng), weighted, background_events(background, seed))

    def population(self, size: int = 100, luminosity: float | None = None) -> Population:
        """All of it, for samples of a fixed ``size`` or of a ``luminosity``."""
        sources = [
            SourceEvents(coefficients(self.signal), log_background(self.signal), self.weighted),
            SourceEvents(coefficients(self.background), log_background(self.background)),
        ]
        nominal = NOMINAL if luminosity is None else np.array([0.0, 0.0, RATE[0]])
        analysis = partial(hypothesis, luminosity=luminosity)
        return Population.of(sources, analysis, _composition(size, luminosity), nominal)


def hypothesis(c: Coefficients, logs: Mapping[str, np.ndarray], luminosity: float | None = None) -> Hypothesis:
    """What may be true of events with the signal's coefficients ``c``."""
    by_rate = luminosity is not None
    known = (*KNOWN[:2], NormalConstraint("sigma_other", *RATE)) if by_rate else KNOWN
    bounds = {"other": (0.0, 20.0) if by_rate else (1e-4, 0.9)}
    return Hypothesis.of(c, signal_basis(), logs, bounds=bounds, luminosity=luminosity, constraints=known)


def _composition(size: int, luminosity: float | None) -> Composition:
    if luminosity is None:
        return ByFractions(size, (3,))
    other = AffineBasis((Parameter("sigma_other", (0.0, 20.0)),), np.zeros(1), np.ones((1, 1)))
    signal = Rate(signal_basis(), extended(TOY.fiducial().numpy()), (0, 1, 2))
    return ByRate(luminosity, (signal, Rate(other, np.ones(1), (3,))))

