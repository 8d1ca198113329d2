"""Decays t → b W → b q q̄' and H → γγ, isotropic in each rest frame (no spin correlations), batched over events."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bmem.kinematics import boost, mass
from bmem.simulation.checks import check_numbers

LIGHT, CHARM, BOTTOM = 0, 4, 5
"""Flavours of partons and jets; LIGHT stands for gluons and u, d, s quarks."""


@dataclass(frozen=True)
class DecaySettings:
    """Decays of top quark and W boson."""

    w_mass: float = 80.419
    """Mass of the W boson in GeV; its invariant mass follows a Breit-Wigner between 0 and the top mass less ``b_mass``."""
    w_width: float = 2.085
    """Width of the W boson in GeV."""
    b_mass: float = 4.7
    """Mass of the bottom quark in GeV."""
    charm_fraction: float = 0.5
    """Share of the hadronic W decays with a charm quark: W → cs̄ against W → ud̄."""

    def __post_init__(self) -> None:
        check_numbers(self, shares=("charm_fraction",))


def decay(parent: Tensor, masses: tuple[Tensor | float, Tensor | float], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Isotropic two-body decay.

    Args:
        parent: [N, 4] four-vectors.
        masses: of the two daughters, numbers or [N].
        rng: source of the two random numbers of each event.

    Returns:
        the daughters, [N, 4] each.
    """
    m, (m1, m2) = mass(parent), masses
    e1 = (m**2 + m1**2 - m2**2) / (2 * m)
    p = torch.sqrt(torch.clamp(e1**2 - m1**2, min=0.0))
    cos, phi = torch.rand(2, parent.shape[0], generator=rng, dtype=parent.dtype, device=parent.device)
    cos, phi = 2 * cos - 1, 2 * math.pi * phi
    sin = torch.sqrt(1 - cos**2)
    direction = torch.stack([sin * torch.cos(phi), sin * torch.sin(phi), cos], dim=-1)
    momentum = p[:, None] * direction
    first = boost(torch.cat([e1[:, None], momentum], dim=-1), parent)
    return first, parent - first


def breit_wigner(settings: DecaySettings, largest: Tensor, rng: torch.Generator) -> Tensor:
    """W masses [N] from the relativistic Breit-Wigner in s, truncated to [0, ``largest``] (per event, [N])."""
    m, width = settings.w_mass, settings.w_width
    low = math.atan(-m / width)
    high = torch.atan((largest**2 - m**2) / (m * width))
    u = torch.rand(largest.shape, generator=rng, dtype=largest.dtype, device=largest.device)
    return torch.sqrt(torch.clamp(m**2 + m * width * torch.tan(low + u * (high - low)), min=0.0))


def top_decay(top: Tensor, settings: DecaySettings, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Decay tops [N, 4] to b, q, q̄': four-vectors [N, 3, 4] and flavours [N, 3]; a charm quark is the second."""
    w_mass = breit_wigner(settings, mass(top) - settings.b_mass, rng)
    b, w = decay(top, (settings.b_mass, w_mass), rng)
    up, down = decay(w, (0.0, 0.0), rng)
    charm = torch.rand(top.shape[0], generator=rng, dtype=top.dtype, device=top.device) < settings.charm_fraction
    flavour = torch.zeros(top.shape[0], 3, dtype=torch.int64, device=top.device)
    flavour[:, 0] = BOTTOM
    flavour[:, 1] = torch.where(charm, CHARM, LIGHT)
    return torch.stack([b, up, down], dim=1), flavour


def higgs_decay(higgs: Tensor, rng: torch.Generator) -> Tensor:
    """The two photons [N, 2, 4] of H → γγ."""
    return torch.stack(decay(higgs, (0.0, 0.0), rng), dim=1)
