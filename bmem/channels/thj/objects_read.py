"""What people read of an event that is observed as a set: its jets by number, its photons, and what they add up to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem import kinematics as kin
from bmem.events.observation import Layout
from bmem.quantity import Quantity

DEGREES = 57.29577951308232
_NUMBERED = 5
"""Jets that have names, at most."""
EVENT = (
    Quantity("pt_H", r"p_{T}^{\gamma\gamma}", "GeV"),
    Quantity("y_H", r"y_{\gamma\gamma}"),
    Quantity("m_H", r"m_{\gamma\gamma}", "GeV"),
    Quantity("n_jets", r"n_{\mathrm{jets}}"),
    Quantity("n_btags", r"n_{b}"),
    Quantity("ht", "H_{T}", "GeV"),
)


def quantities(objects: int) -> tuple[Quantity, ...]:
    """Names of what ``read`` gives, for events of so many jets at most."""
    found = list(EVENT)
    for i in range(1, min(objects, _NUMBERED) + 1):
        found += [
            Quantity(f"pt_j{i}", f"p_{{T}}^{{j{i}}}", "GeV"),
            Quantity(f"eta_j{i}", rf"\eta_{{j{i}}}"),
            Quantity(f"dphi_j{i}", rf"\Delta\phi_{{j{i},\gamma\gamma}}", "deg", DEGREES),
        ]
    return tuple(found)


def read(rows: Tensor, layout: Layout) -> Tensor:
    """The numbers [..., Q] that ``quantities`` names of rows [..., width]; NaN of a jet that is not there."""
    values, jets, mask = layout.unpack(rows)
    photons = kin.from_pt_eta_phi(*values.unflatten(-1, (2, 3)).unbind(-1)).sum(-2)
    pt, eta, phi, _, tag = jets.unbind(-1)
    columns = [kin.pt(photons), kin.rapidity(photons), kin.mass(photons), mask.sum(-1), (tag * mask).sum(-1)]
    columns.append((pt * mask).sum(-1))
    away = kin.wrap(phi - kin.phi(photons).unsqueeze(-1)).abs()
    each = torch.stack([pt, eta, away], -1)[..., :_NUMBERED, :]
    each = torch.where(mask[..., :_NUMBERED].unsqueeze(-1) > 0.5, each, math.nan)
    return torch.cat([torch.stack(columns, -1), each.flatten(-2)], -1)
