"""x_hard given all objects of an event: the coordinates of a proposal that reads the set.

The frame of the residuals needs one jet and a rapidity: the most energetic jet without a b-tag stands for that of the hard
event, and all others for the top quark. Where that choice is wrong the density of the residuals is wide, and what is known
beyond it the network reads from the set itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bmem import kinematics as kin
from bmem.channels.thj.coordinates import Frame, ThjHard
from bmem.channels.thj.objects import ThjObjects
from bmem.events.observation import Layout

_VALUES, _JET = 10, 7
_GEV = 20.0
"""Scale of the imbalance of an event."""


class ThjHardOfObjects:
    """Residuals of x_hard given a row of ``objects``, see ``bmem.likelihood.coordinates.Residuals``."""

    circular = ThjHard.circular

    def __init__(self, objects: ThjObjects) -> None:
        self.rows, self.higgs_mass, self.pt_min = objects.target, objects.higgs_mass, objects.cuts.jet_pt
        self.layout = Layout(_VALUES, self.rows.objects, _JET)
        self.n_features = self.layout.width
        self.of_observables = ThjHard()

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.of_observables.forward(target, self._summary(reference)[0])

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.of_observables.inverse(residual, self._summary(reference)[0])

    def features(self, reference: Tensor) -> Tensor:
        """Invariants of the event, then of each jet (log pT, η, cos φ, sin φ, m / pT, b-tag, whether the frame is its)."""
        summary, chosen = self._summary(reference)
        _, jets, mask = self.rows.unpack(reference)
        frame = Frame(summary[..., 1], summary[..., 4], summary[..., 5])
        pt, eta, phi, mass, tag = torch.where(mask.unsqueeze(-1) > 0.5, jets, 1.0).unbind(-1)
        y, s = frame.y.unsqueeze(-1), frame.s.unsqueeze(-1)
        delta = phi - frame.phi_h.unsqueeze(-1)
        columns = [torch.log(pt / self.pt_min), y * eta, torch.cos(delta), s * torch.sin(delta), mass / pt, tag, chosen]
        each = torch.stack(columns, -1) * mask.unsqueeze(-1)
        return torch.cat([self._values(summary, frame), each.flatten(-2), mask], -1)

    def component_signs(self, reference: Tensor) -> Tensor:
        """-1 for the components that are linear in κ_P where one, but not both, of the reflections was done: [..., 6]."""
        return self.of_observables.component_signs(self._summary(reference)[0])

    def _values(self, summary: Tensor, frame: Frame) -> Tensor:
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j, px, py, y_rest, m_rest, _ = summary.unbind(-1)
        par, perp = frame.rotate(px, py)
        delta = phi_j - phi_h
        cos, sin = torch.cos(delta), torch.sin(delta).abs()
        imbalance = torch.asinh((par + pt_h + pt_j * cos) / _GEV), torch.asinh((perp + pt_j * sin) / _GEV)
        columns = [torch.log(pt_h), frame.y * y_h, torch.log(pt_j), frame.y * eta_j, cos, sin]
        return torch.stack([*columns, frame.y * y_rest, torch.log(m_rest), *imbalance], -1)

    def _summary(self, reference: Tensor) -> tuple[Tensor, Tensor]:
        """What ``ThjHard`` reads [..., 11], and which jet stands for that of the hard event [..., n] (0 or 1)."""
        values, jets, mask = self.rows.unpack(reference)
        photons = kin.from_pt_eta_phi(*values.unflatten(-1, (2, 3)).unbind(-1)).sum(-2)
        photons = photons * (self.higgs_mass / kin.mass(photons).clamp(min=1.0)).unsqueeze(-1)
        pt, eta, phi, mass, tag = jets.unbind(-1)
        momenta = kin.from_pt_eta_phi(pt, eta, phi, mass) * mask.unsqueeze(-1)
        # a jet with a tag only where there is no other
        energy = torch.where(mask > 0.5, momenta[..., 0] * torch.where(tag > 0.5, 1e-6, 1.0), -1.0)
        places = torch.arange(mask.shape[-1], device=mask.device)
        chosen = (energy.argmax(-1, keepdim=True) == places).to(mask.dtype)
        spectator = (momenta * chosen.unsqueeze(-1)).sum(-2)
        rest = momenta.sum(-2) - spectator
        # a single jet leaves nothing: a little at rest keeps the numbers finite
        rest = rest + torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=rest.dtype, device=rest.device)
        columns = [kin.pt(photons), kin.phi(photons), kin.rapidity(photons)]
        columns += [kin.pt(spectator), kin.phi(spectator), kin.eta(spectator)]
        columns += [rest[..., 1], rest[..., 2], kin.rapidity(rest), kin.mass(rest).clamp(min=1.0)]
        return torch.stack([*columns, torch.ones_like(columns[0])], -1), chosen
