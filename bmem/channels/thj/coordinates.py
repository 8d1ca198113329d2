"""Coordinates of tHj: residuals of x_reco given x_hard and back, in a frame that uses the symmetries of beams and detector.

Every factor of the Jacobian is kept: the frame of a residual depends only on the quantity that is conditioned on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmem import kinematics as kin


class Frame:
    """The frame of a reference point: turned so that φ_H = 0, and reflected so that y_j ≥ 0 and sin(φ_j - φ_H) ≥ 0.

    Both reflections are symmetries of beams and detector, so one frame in four has to be learned. ``y`` and ``s`` are the
    two signs [...].
    """

    def __init__(self, phi_h: Tensor, phi_j: Tensor, y_j: Tensor) -> None:
        self.phi_h = phi_h
        self.y = _sign(y_j)
        self.s = _sign(torch.sin(phi_j - phi_h))

    @classmethod
    def of(cls, row: Tensor) -> Frame:
        """That of x_hard or of the observables [..., D]: both have φ_H, φ_j, y_j in the same places."""
        return cls(row[..., 1], row[..., 4], row[..., 5])

    def rotate(self, px: Tensor, py: Tensor) -> tuple[Tensor, Tensor]:
        """Transverse components of a vector in this frame."""
        cos, sin = torch.cos(self.phi_h), torch.sin(self.phi_h)
        return px * cos + py * sin, self.s * (py * cos - px * sin)

    def unrotate(self, px: Tensor, py: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of ``rotate``."""
        cos, sin = torch.cos(self.phi_h), torch.sin(self.phi_h)
        py = self.s * py
        return px * cos - py * sin, px * sin + py * cos


def _sign(x: Tensor) -> Tensor:
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


_CORE = 0.05
"""Difference of rapidities that is typical of a jet that was measured well."""
_INSIDE = 1 - 2.0**-53
"""The largest number below 1."""


def _compressed(difference: Tensor) -> tuple[Tensor, Tensor]:
    """A difference of rapidities d, compressed beyond its core, and the logarithm of the slope: asinh(d / core).

    Where another jet is taken for the spectator, in one event of fifty, d is a hundred times larger than where it is not; in
    this coordinate both are within a few units.
    """
    return torch.asinh(difference / _CORE), -0.5 * torch.log(difference.square() + _CORE**2)


class _Within:
    """The pseudorapidity of a jet with |η| < ``limit``, relative to the rapidity y of a parton that may lie beyond.

    limit · atanh(η / limit) has no end, so that no density leaks beyond the limit; its difference from that of y, which is
    moved inside smoothly, is divided by the slope there, and so is η - y for a jet that was measured well.
    """

    _SHARPNESS, _LARGEST = 64, 0.9999

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def forward(self, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The residual, and the logarithm of its derivative with respect to η: -inf beyond the limit, no density there."""
        beyond, inside = eta.abs() >= self.limit, self._inside(y)
        share, slope = (eta / self.limit).clamp(-_INSIDE, _INSIDE), 1 / (1 - inside.square())
        residual, log_slope = _compressed(self.limit * (torch.atanh(share) - torch.atanh(inside)) / slope)
        return residual, torch.where(beyond, -torch.inf, log_slope - torch.log1p(-share.square()) - torch.log(slope))

    def inverse(self, residual: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """η of a residual, and the logarithm of its derivative with respect to the residual."""
        inside = self._inside(y)
        slope, difference = 1 / (1 - inside.square()), _CORE * torch.sinh(residual)
        stretched = torch.atanh(inside) + difference * slope / self.limit
        size = stretched.abs()
        log_square = 2 * (math.log(2) - size - torch.nn.functional.softplus(-2 * size))  # of 1 / cosh, which rounds to 0
        eta = self.limit * torch.tanh(stretched).clamp(-_INSIDE, _INSIDE)
        return eta, log_square + torch.log(slope) - _compressed(difference)[1]

    def _inside(self, y: Tensor) -> Tensor:
        """y / limit, moved into (-1, 1), and not so close to the ends that the slope would be lost in rounding."""
        share = y / self.limit
        inside = share / (1 + share.abs() ** self._SHARPNESS) ** (1 / self._SHARPNESS)
        return inside.clamp(-self._LARGEST, self._LARGEST)


class ThjReco:
    """Residuals of the observables of ``bmem.events.reconstruction`` given x_hard = (pT_H, φ_H, y_H, pT_j, φ_j, y_j, y_t).

    The spectator's pT enters through log(pT / pT_min - 1), so that no density leaks below the threshold ``jet_pt_min``, and
    its η so that none leaks beyond ``jet_eta_max``.
    """

    version = 2
    """Networks that were trained in others are not those of this class; without a number it was a plain difference in η."""
    circular = (False, True, False, False, True, False, False, False, False, False, False)
    n_features = 9

    def __init__(
        self, jet_pt_min: float = 25.0, jet_eta_max: float = 4.7, top_mass: float = 172.5, w_mass: float = 80.4
    ) -> None:
        self.jet_pt_min = jet_pt_min
        self.eta = _Within(jet_eta_max)
        self.log_masses = math.log(top_mass), math.log(w_mass)

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j, px_t, py_t, y_t, m_t, m_w = target.unbind(-1)
        hard_pt_h, hard_phi_h, hard_y_h, hard_pt_j, hard_phi_j, hard_y_j, hard_y_t = reference.unbind(-1)
        frame = Frame.of(reference)
        par, perp = frame.rotate(px_t, py_t)
        hard_par, hard_perp = frame.rotate(*hard_top(reference))
        above = pt_j / self.jet_pt_min - 1
        eta, log_slope = self.eta.forward(eta_j, hard_y_j)
        residual = [
            torch.log(pt_h / hard_pt_h),
            frame.s * kin.wrap(phi_h - hard_phi_h),
            frame.y * (y_h - hard_y_h),
            torch.log(above) - self._log_above(hard_pt_j),
            frame.s * kin.wrap(phi_j - hard_phi_j),
            frame.y * eta,
            par - hard_par,
            perp - hard_perp,
            frame.y * (y_t - hard_y_t),
            torch.log(m_t) - self.log_masses[0],
            torch.log(m_w) - self.log_masses[1],
        ]
        return torch.stack(residual, -1), log_slope - torch.log(pt_h * above * self.jet_pt_min * m_t * m_w)

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        r = residual.unbind(-1)
        hard_pt_h, hard_phi_h, hard_y_h, hard_pt_j, hard_phi_j, hard_y_j, hard_y_t = reference.unbind(-1)
        frame = Frame.of(reference)
        hard_par, hard_perp = frame.rotate(*hard_top(reference))
        above = torch.exp(r[3] + self._log_above(hard_pt_j))
        eta_j, log_eta = self.eta.inverse(frame.y * r[5], hard_y_j)
        target = [
            hard_pt_h * torch.exp(r[0]),
            kin.wrap(hard_phi_h + frame.s * r[1]),
            hard_y_h + frame.y * r[2],
            self.jet_pt_min * (1 + above),
            kin.wrap(hard_phi_j + frame.s * r[4]),
            eta_j,
            *frame.unrotate(r[6] + hard_par, r[7] + hard_perp),
            hard_y_t + frame.y * r[8],
            torch.exp(r[9] + self.log_masses[0]),
            torch.exp(r[10] + self.log_masses[1]),
        ]
        point = torch.stack(target, -1)
        return point, log_eta + torch.log(point[..., 0] * above * self.jet_pt_min * point[..., 9] * point[..., 10])

    def features(self, reference: Tensor) -> Tensor:
        """Invariants of x_hard under the symmetries: [..., 9]."""
        pt_h, phi_h, y_h, pt_j, phi_j, y_j, y_t = reference.unbind(-1)
        frame = Frame.of(reference)
        par, perp = frame.rotate(*hard_top(reference))
        delta = phi_j - phi_h
        columns = [torch.log(pt_h), frame.y * y_h, torch.log(pt_j), frame.y * y_j, torch.cos(delta), torch.sin(delta).abs()]
        return torch.stack([*columns, torch.log1p(torch.hypot(par, perp)), frame.y * y_t, par / (1 + pt_h)], -1)

    def _log_above(self, pt: Tensor) -> Tensor:
        """A smooth stand-in for log(pt / pt_min - 1) that stays finite below the threshold."""
        sharpness = 4.0
        return torch.log(torch.nn.functional.softplus(sharpness * (pt / self.jet_pt_min - 1)) / sharpness)


class ThjHard:
    """Residuals of x_hard given the 11 observables: the coordinates of the proposal."""

    circular = (False, True, False, False, True, False, False)
    n_features = 12

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j = reference[..., :6].unbind(-1)
        hard_pt_h, hard_phi_h, hard_y_h, hard_pt_j, hard_phi_j, hard_y_j, hard_y_t = target.unbind(-1)
        frame = Frame.of(reference)
        residual = [
            torch.log(hard_pt_h / pt_h),
            frame.s * kin.wrap(hard_phi_h - phi_h),
            frame.y * (hard_y_h - y_h),
            torch.log(hard_pt_j / pt_j),
            frame.s * kin.wrap(hard_phi_j - phi_j),
            frame.y * (hard_y_j - eta_j),
            frame.y * (hard_y_t - reference[..., 8]),
        ]
        return torch.stack(residual, -1), -torch.log(hard_pt_h * hard_pt_j)

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        r = residual.unbind(-1)
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j = reference[..., :6].unbind(-1)
        frame = Frame.of(reference)
        target = [
            pt_h * torch.exp(r[0]),
            kin.wrap(phi_h + frame.s * r[1]),
            y_h + frame.y * r[2],
            pt_j * torch.exp(r[3]),
            kin.wrap(phi_j + frame.s * r[4]),
            eta_j + frame.y * r[5],
            reference[..., 8] + frame.y * r[6],
        ]
        point = torch.stack(target, -1)
        return point, torch.log(point[..., 0] * point[..., 3])

    def features(self, reference: Tensor) -> Tensor:
        """Invariants of x_reco under the symmetries: [..., 12], with the transverse imbalance."""
        pt_h, phi_h, y_h, pt_j, phi_j, eta_j, px_t, py_t, y_t, m_t, m_w = reference.unbind(-1)
        frame = Frame.of(reference)
        par, perp = frame.rotate(px_t, py_t)
        delta = phi_j - phi_h
        cos, sin = torch.cos(delta), torch.sin(delta).abs()
        imbalance = torch.asinh((par + pt_h + pt_j * cos) / 20), torch.asinh((perp + pt_j * sin) / 20)
        columns = [torch.log(pt_h), frame.y * y_h, torch.log(pt_j), frame.y * eta_j, cos, sin]
        columns += [torch.log1p(torch.hypot(par, perp)), frame.y * y_t, torch.log(m_t), torch.log(m_w), *imbalance]
        return torch.stack(columns, -1)

    def component_signs(self, reference: Tensor) -> Tensor:
        """-1 for the components that are linear in κ_P where one, but not both, of the reflections was done: [..., 6].

        These are odd under a reflection (``ε(p_a, p_b, p_j, p_t)``), all others even.
        """
        frame = Frame(reference[..., 1], reference[..., 4], reference[..., 5])
        odd, even = frame.y * frame.s, torch.ones_like(frame.y)
        return torch.stack([even, even, odd, even, odd, even], -1)


def hard_top(x_hard: Tensor) -> tuple[Tensor, Tensor]:
    """Transverse momentum of the top from the balance of x_hard."""
    pt_h, phi_h, _, pt_j, phi_j = x_hard[..., :5].unbind(-1)
    return -pt_h * torch.cos(phi_h) - pt_j * torch.cos(phi_j), -pt_h * torch.sin(phi_h) - pt_j * torch.sin(phi_j)


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
