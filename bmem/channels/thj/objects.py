"""tHj as a set of objects: two photons and all jets, without roles, on the unit cube in the frame of x_hard.

An observation is a row (pT_1, η_1, φ_1, pT_2, η_2, φ_2) of the two leading photons, then the jets (pT, η, φ, m, b-tag) by
falling pT, in GeV and radians. Each coordinate has exactly the range that the selection leaves it, given those before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem import kinematics as kin
from bmem.channels.thj.coordinates import Frame, hard_top
from bmem.channels.thj.settings import SelectionSettings
from bmem.errors import InputError
from bmem.events.observation import Layout
from bmem.events.record import RecoEvents
from bmem.events.target import Tag, Target
from bmem.transforms.elementwise import HeavyTail, Moebius

PHOTONS, JET = 6, 5
_SCALES = {"pt_1": 0.05, "eta_2": 0.05, "phi_2": 0.05, "pt_2": 0.02}
"""Widths of the residuals of photons, of the order of the resolution: the splines take up what is left of it."""
_MASS = 0.15
"""m / pT of a usual jet."""


class ThjObjects:
    """Coordinates of photons and jets given x_hard = (pT_H, φ_H, y_H, pT_j, φ_j, y_j, y_t), see ``Residuals``.

    Photon 1: direction, then log pT less what H → γγ gives in that direction; pT above its threshold. Photon 2: direction
    less that of p_H - p_1, then log pT less what m_γγ = m_H gives; pT between its threshold and pT_1. These are precise
    where the Higgs boson is: residuals in units of a resolution, cut off where the selection ends.
    Jets: 1 - pT_min / pT, η and φ in the frame, m / (m + 0.15 pT), b-tag.

    Args:
        cuts: of the selection.
        max_jets: places for jets; an event with more is refused.
        higgs_mass: in GeV.
    """

    circular = (False, True, False, False, True, False, False, False, True, False, False)
    layout = Layout(0, 3, 7)
    n_features = layout.width

    def __init__(self, cuts: SelectionSettings | None = None, max_jets: int = 8, higgs_mass: float = 125.0) -> None:
        self.cuts = cuts = cuts or SelectionSettings()
        self.fewest = max(1, cuts.min_jets)
        if max_jets < self.fewest:
            raise InputError(f"max_jets = {max_jets} is less than the {self.fewest} jets that are selected; raise it")
        half = 0.5 * min(1.0, cuts.btag_eta / cuts.jet_eta)
        tag = Tag(1, 0.5 - half, 0.5 + half, cuts.min_btags)
        self.target = Target(PHOTONS, max_jets, JET, fewest=self.fewest, falling=True, tag=tag)
        self.higgs_mass = higgs_mass

    def observe(self, reco: RecoEvents) -> Tensor:
        """Observations [N, width] (float64) of selected events, with the jets that the selection keeps.

        Raises:
            InputError: an event has fewer than two photons, too few jets, or more than there are places for.
        """
        photons, jets = reco.photons, reco.jets
        few = (photons.mask.sum(-1) < 2) | (jets.mask.sum(-1) < self.fewest)
        if few.any():
            event = int(few.nonzero()[0])
            raise InputError(
                f"event {event} has {int(photons.mask[event].sum())} photons and {int(jets.mask[event].sum())} jets; the "
                f"density of all objects needs 2 and {self.fewest}: apply the selection first"
            )
        values = torch.stack([photons.feature(name)[:, :2] for name in ("pt", "eta", "phi")], -1).flatten(1)
        features = [jets.feature(name) for name in ("pt", "eta", "phi", "mass")]
        tag = (jets.feature("btag") > 0.5) & (jets.feature("eta").abs() < self.cuts.btag_eta)
        features.append(tag.to(features[0].dtype))
        return self.target.pack(values.double(), torch.stack(features, -1).double(), jets.mask)

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        values, jets, mask = self.target.unpack(target)
        frame = Frame(reference[..., 1], reference[..., 4], reference[..., 5])
        photons, log_photons = self._photons(values, reference, frame)
        there = mask > 0.5
        placed, log_jets = self._jets(jets, there, frame)
        row = torch.cat([photons, placed.flatten(-2), mask], -1)
        return row, log_photons + torch.where(there, log_jets, 0.0).sum(-1)

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        values, jets, mask = self.target.unpack(residual)
        frame = Frame(reference[..., 1], reference[..., 4], reference[..., 5])
        there = mask > 0.5
        row = torch.cat(
            [
                self._photons_back(values, reference, frame),
                self._jets_back(jets, there, frame).flatten(-2),
                there.to(residual.dtype),
            ],
            -1,
        )
        return row, -self.forward(row, reference)[1]

    def features(self, reference: Tensor) -> Tensor:
        """The Higgs boson, top quark and jet of x_hard as tokens (log pT, y, cos φ, sin φ, which of them): [..., 24]."""
        pt_h, phi_h, y_h, pt_j, phi_j, y_j, y_t = reference.unbind(-1)
        frame = Frame(phi_h, phi_j, y_j)
        top = frame.rotate(*hard_top(reference))
        pt_t = torch.hypot(*top).clamp(min=1e-3)
        delta = phi_j - phi_h
        columns = [
            torch.stack([pt_h, pt_t, pt_j], -1).log(),
            frame.y.unsqueeze(-1) * torch.stack([y_h, y_t, y_j], -1),
            torch.stack([torch.ones_like(pt_h), top[0] / pt_t, torch.cos(delta)], -1),
            torch.stack([torch.zeros_like(pt_h), top[1] / pt_t, torch.sin(delta).abs()], -1),
        ]
        which = torch.eye(3, dtype=reference.dtype, device=reference.device).expand(*pt_h.shape, 3, 3)
        tokens = torch.cat([torch.stack(columns, -1), which], -1)
        return torch.cat([tokens.flatten(-2), torch.ones_like(columns[0])], -1)

    def _photons(self, values: Tensor, reference: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        """[..., 6] on the cube, in the order η_1, φ_1, pT_1, η_2, φ_2, pT_2, and the log-Jacobian [...]."""
        cuts = self.cuts
        pt_1, eta_1, phi_1, pt_2, eta_2, phi_2 = values.unbind(-1)
        first = self._first(eta_1, phi_1, reference)
        wanted_eta, wanted_phi = _direction(*_second(pt_1, eta_1, phi_1, reference, self.higgs_mass))
        second = self._pair(pt_1, eta_1 - eta_2, phi_1 - phi_2)
        edge = torch.full_like(eta_1, cuts.photon_eta)
        turned, log_turned = _stretched(frame.s * kin.wrap(phi_2 - wanted_phi), 1 / _SCALES["phi_2"])
        columns = [
            ((frame.y * eta_1 + edge) / (2 * edge), -torch.log(2 * edge)),
            _turns(frame.s * (phi_1 - frame.phi_h)),
            _bounded(pt_1.log(), first, _SCALES["pt_1"], _log(cuts.leading_photon_pt, pt_1), None),
            _bounded(frame.y * eta_2, frame.y * wanted_eta, _SCALES["eta_2"], -edge, edge),
            (turned, log_turned),
            _bounded(pt_2.log(), second, _SCALES["pt_2"], _log(cuts.photon_pt, pt_2), pt_1.log()),
        ]
        allowed = (eta_1.abs() <= edge) & (eta_2.abs() <= edge) & (pt_1 >= cuts.leading_photon_pt)
        allowed = allowed & (pt_2 >= cuts.photon_pt) & (pt_2 <= pt_1)
        log_jacobian = torch.stack([log for _, log in columns]).sum(0) - pt_1.log() - pt_2.log()
        return torch.stack([u for u, _ in columns], -1), log_jacobian.masked_fill(~allowed, -math.inf)

    def _photons_back(self, u: Tensor, reference: Tensor, frame: Frame) -> Tensor:
        cuts, edge = self.cuts, torch.full_like(u[..., 0], self.cuts.photon_eta)
        eta_1 = frame.y * (2 * u[..., 0] - 1) * edge
        phi_1 = kin.wrap(frame.phi_h + frame.s * 2 * math.pi * u[..., 1])
        first = self._first(eta_1, phi_1, reference)
        pt_1 = _unbounded(u[..., 2], first, _SCALES["pt_1"], _log(cuts.leading_photon_pt, first), None).exp()
        pt_1 = pt_1.clamp(min=cuts.leading_photon_pt)
        wanted_eta, wanted_phi = _direction(*_second(pt_1, eta_1, phi_1, reference, self.higgs_mass))
        eta_2 = frame.y * _unbounded(u[..., 3], frame.y * wanted_eta, _SCALES["eta_2"], -edge, edge)
        eta_2 = torch.maximum(torch.minimum(eta_2, edge), -edge)
        phi_2 = kin.wrap(wanted_phi + frame.s * _unstretched(u[..., 4], 1 / _SCALES["phi_2"]))
        second = self._pair(pt_1, eta_1 - eta_2, phi_1 - phi_2)
        pt_2 = _unbounded(u[..., 5], second, _SCALES["pt_2"], _log(cuts.photon_pt, pt_1), pt_1.log()).exp()
        return torch.stack([pt_1, eta_1, phi_1, torch.minimum(pt_2.clamp(min=cuts.photon_pt), pt_1), eta_2, phi_2], -1)

    def _first(self, eta: Tensor, phi: Tensor, reference: Tensor) -> Tensor:
        """log pT of a photon from the Higgs boson of x_hard in a direction: p · p_H = m_H² / 2."""
        pt_h, phi_h, y_h = reference[..., :3].unbind(-1)
        across = torch.sqrt(pt_h.square() + self.higgs_mass**2) * torch.cosh(eta - y_h) - pt_h * torch.cos(phi - phi_h)
        return 2 * math.log(self.higgs_mass) - torch.log(2 * across)

    def _pair(self, pt_1: Tensor, delta_eta: Tensor, delta_phi: Tensor) -> Tensor:
        """log pT of the other photon from m_γγ = m_H."""
        # cosh - 1 and 1 - cos apart, as of their difference nothing is left for close photons.
        angle = 2 * (torch.sinh(delta_eta / 2).square() + torch.sin(delta_phi / 2).square())
        return 2 * math.log(self.higgs_mass) - torch.log(2 * pt_1 * angle.clamp(min=1e-9))

    def _jets(self, jets: Tensor, there: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        """Jets [..., n, 5] on the cube (0 in empty places), and the log-Jacobian of each [..., n]."""
        low, edge = self.cuts.jet_pt, self.cuts.jet_eta
        pt, eta, phi, mass, tag = jets.unbind(-1)
        pt = torch.where(there, pt, 2 * low)
        turned, log_turned = _turns(frame.s.unsqueeze(-1) * (phi - frame.phi_h.unsqueeze(-1)))
        usual = _MASS * pt
        placed = [1 - low / pt, 0.5 + frame.y.unsqueeze(-1) * eta / (2 * edge), turned, mass / (mass + usual), tag]
        log_jacobian = math.log(low / (2 * edge)) - 2 * pt.log() + log_turned + usual.log() - 2 * torch.log(mass + usual)
        outside = (pt < low) | (eta.abs() > edge) | (mass < 0)
        kept = torch.where(there.unsqueeze(-1), torch.stack(placed, -1), 0.0)
        return kept, log_jacobian.masked_fill(outside, -math.inf)

    def _jets_back(self, u: Tensor, there: Tensor, frame: Frame) -> Tensor:
        pt = self.cuts.jet_pt / (1 - u[..., 0])
        jets = [
            pt,
            frame.y.unsqueeze(-1) * (2 * u[..., 1] - 1) * self.cuts.jet_eta,
            kin.wrap(frame.phi_h.unsqueeze(-1) + frame.s.unsqueeze(-1) * 2 * math.pi * u[..., 2]),
            _MASS * pt * u[..., 3] / (1 - u[..., 3]),
            u[..., 4].round(),
        ]
        return torch.where(there.unsqueeze(-1), torch.stack(jets, -1), 0.0)


def _log(value: float, like: Tensor) -> Tensor:
    return torch.full_like(like, math.log(value))


def _second(pt: Tensor, eta: Tensor, phi: Tensor, reference: Tensor, mass: float) -> tuple[Tensor, Tensor, Tensor]:
    """Momentum of the Higgs boson less that of the first photon."""
    pt_h, phi_h, y_h = reference[..., :3].unbind(-1)
    pz = torch.sqrt(pt_h.square() + mass**2) * torch.sinh(y_h) - pt * torch.sinh(eta)
    return pt_h * torch.cos(phi_h) - pt * torch.cos(phi), pt_h * torch.sin(phi_h) - pt * torch.sin(phi), pz


def _direction(px: Tensor, py: Tensor, pz: Tensor) -> tuple[Tensor, Tensor]:
    """η and φ."""
    return torch.asinh(pz / torch.hypot(px, py).clamp(min=1e-3)), torch.atan2(py, px)


def _turns(angle: Tensor) -> tuple[Tensor, Tensor]:
    """An angle as a part of a turn in [0, 1), and the log-Jacobian."""
    return torch.remainder(angle / (2 * math.pi), 1.0), torch.full_like(angle, -math.log(2 * math.pi))


def _stretched(angle: Tensor, stretch: float) -> tuple[Tensor, Tensor]:
    """The same after a stretch around 0."""
    wide, log_wide = Moebius(angle.new_tensor([stretch]))(angle.unsqueeze(-1))
    turned, log_turned = _turns(wide.squeeze(-1))
    return turned, log_turned + log_wide


def _unstretched(turned: Tensor, stretch: float) -> Tensor:
    return Moebius(turned.new_tensor([1 / stretch]))(2 * math.pi * turned.unsqueeze(-1))[0].squeeze(-1)


def _bounded(x: Tensor, centre: Tensor, scale: float, low: Tensor, high: Tensor | None) -> tuple[Tensor, Tensor]:
    """x [...] between low and high by a heavy-tailed distribution around ``centre``, cut off there: u [...], log du/dx."""
    first, last = _below((low - centre) / scale), _end(high, centre, scale)
    u, log_density = HeavyTail()(((x - centre) / scale).unsqueeze(-1))
    return (u.squeeze(-1) - first) / (last - first), log_density - math.log(scale) - torch.log(last - first)


def _unbounded(u: Tensor, centre: Tensor, scale: float, low: Tensor, high: Tensor | None) -> Tensor:
    """The inverse of ``_bounded``."""
    first, last = _below((low - centre) / scale), _end(high, centre, scale)
    return centre + scale * HeavyTail().inverse((first + u * (last - first)).unsqueeze(-1))[0].squeeze(-1)


def _end(high: Tensor | None, centre: Tensor, scale: float) -> Tensor:
    return torch.ones_like(centre) if high is None else _below((high - centre) / scale)


def _below(z: Tensor) -> Tensor:
    """Probability below z."""
    return HeavyTail()(z.unsqueeze(-1))[0].squeeze(-1)
