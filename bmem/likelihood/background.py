"""Coordinates for a density of the observables alone, conditioned on nothing: for backgrounds learned from events."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem import kinematics as kin


class ObservedReco:
    """Residuals of the observables of ``bmem.events.reconstruction`` without a reference (conditions [..., 0]).

    Angles are turned so that φ_H = 0 but for φ_H itself; of the three jets taken for a top quark the transverse momentum is
    replaced by the imbalance of the event. As for the transfer, no density leaks below the threshold ``jet_pt_min``.
    """

    circular = (False, True, False, False, True, False, False, False, False, False, False)
    n_features = 0

    def __init__(self, jet_pt_min: float = 25.0, top_mass: float = 172.5, w_mass: float = 80.4) -> None:
        self.jet_pt_min = jet_pt_min
        self.log_masses = math.log(top_mass), math.log(w_mass)

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j, px_t, py_t, y_t, m_t, m_w = target.unbind(-1)
        above, delta = pt_j / self.jet_pt_min - 1, kin.wrap(phi_j - phi_h)
        cos, sin = torch.cos(phi_h), torch.sin(phi_h)
        residual = [
            torch.log(pt_h),
            kin.wrap(phi_h),
            y_h,
            torch.log(above),
            delta,
            eta_j,
            px_t * cos + py_t * sin + pt_h + pt_j * torch.cos(delta),
            py_t * cos - px_t * sin + pt_j * torch.sin(delta),
            y_t,
            torch.log(m_t) - self.log_masses[0],
            torch.log(m_w) - self.log_masses[1],
        ]
        return torch.stack(residual, -1), -torch.log(pt_h * above * self.jet_pt_min * m_t * m_w)

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        r = residual.unbind(-1)
        pt_h, above, phi_h = torch.exp(r[0]), torch.exp(r[3]), r[1]
        pt_j, m_t, m_w = self.jet_pt_min * (1 + above), *(torch.exp(r[9 + i] + self.log_masses[i]) for i in (0, 1))
        par, perp = r[6] - pt_h - pt_j * torch.cos(r[4]), r[7] - pt_j * torch.sin(r[4])
        cos, sin = torch.cos(phi_h), torch.sin(phi_h)
        top = [par * cos - perp * sin, par * sin + perp * cos]
        target = [pt_h, kin.wrap(phi_h), r[2], pt_j, kin.wrap(phi_h + r[4]), r[5], *top, r[8], m_t, m_w]
        return torch.stack(target, -1), torch.log(pt_h * above * self.jet_pt_min * m_t * m_w)

    def features(self, reference: Tensor) -> Tensor:
        """Nothing, [..., 0]."""
        return reference


def nothing(like: Tensor) -> Tensor:
    """The condition [..., 0] of points [..., D]."""
    return like[..., :0]
