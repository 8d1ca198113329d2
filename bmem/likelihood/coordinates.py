"""Coordinates in which the networks see a pair (x_reco, x_hard): differences in units of their resolution.

A well-measured quantity is blurred by a network that sees it raw. So the transfer density is
learned for residuals of x_reco with respect to x_hard, and the proposal for residuals of x_hard with respect to x_reco.
Every factor of the Jacobian is kept: the frame of a residual depends only on the quantity that is conditioned on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from bmem.events.observation import Layout


class Residuals(Protocol):
    """Residuals of a target given a reference, and back; a channel supplies two of them.

    ``circular`` tells which of the D residuals are angles in [-π, π), ``n_features`` is F. ``forward`` returns the residuals
    [..., D] and the log-Jacobian log|d residual / d target| [...]; ``inverse`` the target and log|d target / d residual|;
    ``features`` what a network conditioned on the reference reads, [..., F].
    """

    @property
    def circular(self) -> tuple[bool, ...]: ...

    @property
    def n_features(self) -> int: ...

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]: ...

    def features(self, reference: Tensor) -> Tensor: ...


class Difference:
    """target - reference, for points in the same space R^D: without symmetries."""

    def __init__(self, dim: int) -> None:
        self.circular = (False,) * dim
        self.n_features = dim

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return target - reference, torch.zeros_like(target[..., 0])

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return residual + reference, torch.zeros_like(residual[..., 0])

    def features(self, reference: Tensor) -> Tensor:
        return reference


class Varied:
    """Residuals of a target given a reference and ``count`` nuisance parameters after it, which only the features know."""

    def __init__(self, nominal: Residuals, count: int) -> None:
        self.nominal, self.count = nominal, count
        plain = getattr(nominal, "layout", None) or Layout(nominal.n_features)
        self.layout = replace(plain, values=plain.values + count)
        self.circular, self.n_features = nominal.circular, self.layout.width
        if hasattr(nominal, "target"):
            self.target = nominal.target

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.nominal.forward(target, reference[..., : -self.count])

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.nominal.inverse(residual, reference[..., : -self.count])

    def features(self, reference: Tensor) -> Tensor:
        x_hard, nu = reference[..., : -self.count], reference[..., -self.count :]
        values, objects = self.nominal.features(x_hard).tensor_split([self.layout.values - self.count], -1)
        return torch.cat([values, nu, objects], -1)


def nothing(like: Tensor) -> Tensor:
    """The condition [..., 0] of points [..., D] whose density depends on nothing."""
    return like[..., :0]
