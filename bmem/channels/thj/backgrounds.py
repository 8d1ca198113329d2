"""Backgrounds whose density is stated: diphotons with jets, smooth in everything, and the photon pair's mass.

The observables of ``bmem.events.reconstruction`` know the Higgs boson's momentum, scaled to its mass; so the mass of the
photon pair m_γγ is free to tell signal from background. Both densities factorise, p(x, m) = p(x) p(m): the signal has a peak
(``MassPeak``), the background falls (``FallingMass``).

``DiphotonBackground`` is a closed form and not a learned density, so that a fit with it can be held against the truth. A
real background has a learned density (any ``ConditionalDensity`` trained on its events) in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy import special
from scipy.optimize import minimize
from torch import Tensor
from torch.distributions import Gamma
from torch.special import ndtri

from bmem.errors import InputError

WINDOW = (105.0, 160.0)
"""Range of m_γγ in GeV that is analysed."""


@dataclass(frozen=True)
class DiphotonBackground:
    """pp → γγ + jets as the eleven observables see it, with the density

        p(x) = Γ(pT_H) N(y_H) E(pT_j - pT_min) N(η_j) N(p⃗_t + p⃗_H + p⃗_j) N(y_t) N(log m_t) N(log m_W) / (m_t m_W (2π)²)

    Γ is a gamma distribution of shape 2, E an exponential one, N are Gaussians, that of η_j cut off at the detector's end;
    φ_H and φ_j are uniform, and the three jets taken for a top quark balance the rest up to ``imbalance``. Energies in GeV.
    """

    pt_h: float = 30.0
    """Scale of pT_H: its mean is twice this."""
    y_h: float = 1.1
    """Width of y_H."""
    pt_j: float = 35.0
    """Mean of pT_j above ``jet_pt_min``."""
    jet_pt_min: float = 25.0
    """The selection's threshold for jets."""
    eta_j: float = 2.2
    """Width of η_j ..."""
    eta_max: float = 4.7
    """... and the largest |η_j| of the selection."""
    imbalance: float = 18.0
    """Width of each component of the transverse imbalance."""
    y_t: float = 1.0
    """Width of y_t."""
    m_t: float = 175.0
    """Median of m_t ..."""
    log_m_t: float = 0.22
    """... and the width of its logarithm."""
    m_w: float = 84.0
    """Median of m_W ..."""
    log_m_w: float = 0.25
    """... and the width of its logarithm."""

    def __post_init__(self) -> None:
        bad = [f.name for f in fields(self) if not 0 < getattr(self, f.name) < math.inf]
        if bad:
            raise InputError(f"DiphotonBackground: {bad} must be finite and positive numbers")

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` events, observables [n, 11] in the order of ``OBSERVABLES`` (float64)."""
        u = torch.rand(n, 6, generator=rng, dtype=torch.float64, device=rng.device).clamp(min=1e-300)
        g = torch.randn(n, 6, generator=rng, dtype=torch.float64, device=rng.device)
        pt_h = -self.pt_h * torch.log(u[:, 0] * u[:, 1])
        pt_j = self.jet_pt_min - self.pt_j * torch.log(u[:, 2])
        phi_h, phi_j = (math.pi * (2 * u[:, i] - 1) for i in (3, 4))
        edge = _cdf(-self.eta_max / self.eta_j)
        eta_j = self.eta_j * ndtri(edge + u[:, 5] * (1 - 2 * edge))
        columns = [pt_h, phi_h, self.y_h * g[:, 0], pt_j, phi_j, eta_j]
        balance = _recoil(pt_h, phi_h, pt_j, phi_j)
        columns += [component + self.imbalance * g[:, 1 + i] for i, component in enumerate(balance)]
        masses = (self.m_t * torch.exp(self.log_m_t * g[:, 4]), self.m_w * torch.exp(self.log_m_w * g[:, 5]))
        return torch.stack([*columns, self.y_t * g[:, 3], *masses], -1)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) at observables [..., 11] → [...]; -inf where no event can be."""
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j, px_t, py_t, y_t, m_t, m_w = x.unbind(-1)
        above, balance = pt_j - self.jet_pt_min, _recoil(pt_h, phi_h, pt_j, phi_j)
        inside = (pt_h > 0) & (above >= 0) & (eta_j.abs() <= self.eta_max) & (m_t > 0) & (m_w > 0)
        gamma = Gamma(x.new_tensor(2.0), x.new_tensor(1 / self.pt_h), validate_args=False)
        parts = [
            gamma.log_prob(pt_h),
            _gaussian(y_h, self.y_h),
            -above / self.pt_j - math.log(self.pt_j),
            _gaussian(eta_j, self.eta_j) - math.log(1 - 2 * _cdf(-self.eta_max / self.eta_j)),
            _gaussian(px_t - balance[0], self.imbalance) + _gaussian(py_t - balance[1], self.imbalance),
            _gaussian(y_t, self.y_t),
            _gaussian(torch.log(m_t / self.m_t), self.log_m_t) - torch.log(m_t),
            _gaussian(torch.log(m_w / self.m_w), self.log_m_w) - torch.log(m_w),
        ]
        total = torch.stack(parts).sum(0) - 2 * math.log(2 * math.pi)
        return torch.where(inside, total, -torch.inf)


@dataclass(frozen=True)
class FallingMass:
    """m_γγ of the background: exponential with ``slope`` per GeV within ``window``."""

    slope: float = 0.02
    window: tuple[float, float] = WINDOW

    def __post_init__(self) -> None:
        if not (0 < self.slope < math.inf and self.window[0] < self.window[1]):
            raise InputError(f"FallingMass: slope {self.slope} must be positive and the window {self.window} rising")

    def log_density(self, m: Tensor) -> Tensor:
        """log p(m) per GeV, [...] → [...]; -inf outside the window."""
        low, high = self.window
        norm = math.log(-math.expm1(-self.slope * (high - low)) / self.slope)
        return torch.where((m >= low) & (m <= high), -self.slope * (m - low) - norm, -torch.inf)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` masses [n] in GeV."""
        u = torch.rand(n, generator=rng, dtype=torch.float64, device=rng.device)
        low, high = self.window
        return low - torch.log1p(u * math.expm1(-self.slope * (high - low))) / self.slope


@dataclass(frozen=True)
class MassPeak:
    """m_γγ of the signal: two Gaussians of one ``mean``, a ``core`` and, with the share ``tail_share``, a wider ``tail``.

    All in GeV; normalised within ``window``.
    """

    mean: float
    core: float
    tail: float
    tail_share: float
    window: tuple[float, float] = WINDOW

    @classmethod
    def fit(cls, masses: Tensor, window: tuple[float, float] = WINDOW) -> MassPeak:
        """The peak of largest likelihood for the ``masses`` [N] of simulated signal events that lie in the window.

        Raises:
            InputError: fewer than 100 of them do.
        """
        inside = masses[(masses >= window[0]) & (masses <= window[1])].double()
        if len(inside) < 100:
            raise InputError(f"the mass peak cannot be fitted to {len(inside)} events in {window} GeV; simulate more")
        spread = float(inside.std())

        def peak(p: np.ndarray) -> MassPeak:
            return cls(float(p[0]), float(np.exp(p[1])), float(np.exp(p[1]) + np.exp(p[2])), float(p[3]), window)

        found = minimize(
            lambda p: -float(peak(p).log_density(inside).mean()),
            [float(inside.mean()), math.log(0.8 * spread), math.log(0.8 * spread), 0.2],
            method="L-BFGS-B",
            bounds=[window, (-5, 5), (-5, 5), (0.0, 0.5)],
        )
        return peak(found.x)

    def log_density(self, m: Tensor) -> Tensor:
        """log p(m) per GeV, [...] → [...]; -inf outside the window."""
        low, high = self.window
        parts = [
            math.log(share) + _gaussian(m - self.mean, width) - math.log(self._contained(width))
            for share, width in ((1 - self.tail_share, self.core), (self.tail_share, self.tail))
            if share > 0
        ]
        return torch.where((m >= low) & (m <= high), torch.logsumexp(torch.stack(parts), 0), -torch.inf)

    def _contained(self, width: float) -> float:
        low, high = ((edge - self.mean) / width for edge in self.window)
        return _cdf(high) - _cdf(low)


def _recoil(pt_h: Tensor, phi_h: Tensor, pt_j: Tensor, phi_j: Tensor) -> tuple[Tensor, Tensor]:
    """Transverse momentum that balances the photon pair and the jet."""
    return -pt_h * torch.cos(phi_h) - pt_j * torch.cos(phi_j), -pt_h * torch.sin(phi_h) - pt_j * torch.sin(phi_j)


def _gaussian(x: Tensor, width: float) -> Tensor:
    """log N(x; 0, width²)."""
    return -0.5 * (x / width) ** 2 - math.log(width * math.sqrt(2 * math.pi))


def _cdf(z: float) -> float:
    return float(special.ndtr(z))
