"""pp → n particles at leading order, whatever the process: parton densities times |M|², integrated and generated.

A process says what its channels, components, phase space and map are. Differential and total cross section, unweighted
events and their way to momenta and back follow.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.events.lhe import LHERecord
from bmem.events.record import HardEvents
from bmem.process.contract import Parameter
from bmem.process.generation import AdaptedMap, GenerationReport, Generator, Partonic
from bmem.process.integration import CrossSection
from bmem.process.luminosity import Luminosity, Partons
from bmem.process.pdf import PDFGrid, default_grid
from bmem.process.phase_space import cartesian
from bmem.rng import uniform

logger = logging.getLogger(__name__)
CHUNK = 2**13
"""Points evaluated at once on a CPU: their intermediate results stay in the cache of a core."""
DEVICE_CHUNK = 2**20
"""Points evaluated at once on an accelerator."""


class LeadingOrderProcess(ABC):
    """What is common to the processes of this package.

    Attributes:
        sqrt_s: collision energy in GeV.
        particles: names of the incoming and outgoing particles, in the order of the momenta.
        channels: partonic channels, in the order of the results.
        space: coordinates x_hard [..., D] and momenta of its n outgoing particles.
        scale: at which the parton densities are taken, in GeV.
        odd: components that a reflection p_y → -p_y turns around.
    """

    parameters: tuple[Parameter, ...]
    particles: tuple[str, ...]
    channels: tuple[Partons, ...]
    sqrt_s: float
    space: Any
    scale: float
    _pdf: PDFGrid | None
    odd: tuple[int, ...] = ()

    @cached_property
    def partonic(self) -> Partonic:
        """Densities of partons times those of their scattering; the default grid is read here, kinematics need none."""
        return self._partonic(Luminosity.of(self.channels, self.pdf, self.scale))

    @cached_property
    def pdf(self) -> PDFGrid:
        """The parton densities."""
        return PDFGrid.read(default_grid()) if self._pdf is None else self._pdf

    @abstractmethod
    def _partonic(self, luminosity: Luminosity) -> Partonic:
        """Components of dσ / (dx1 dx2 dΦ) at points of ``space``."""

    @abstractmethod
    def basis(self, theta: Tensor) -> Tensor:
        """b_k(α): [..., 1] → [..., K]."""

    @abstractmethod
    def codes(self, channel: Any) -> tuple[int, ...]:
        """PDG codes of a channel's particles, the incoming first, then in the order of the momenta."""

    @abstractmethod
    def _peaks(self) -> Callable[[Tensor], tuple[Any, Tensor]]:
        """The map from the unit cube to points of ``space``."""

    def components(self, x_hard: Tensor) -> Tensor:
        """dσ/dx_hard in pb per unit of x_hard as coefficients of ``basis``: [..., D] → [..., K].

        Summed over channels and beams. Zero outside the phase space (x1 or x2 above 1, negative transverse momenta).

        Raises:
            InputError: the last axis does not hold the coordinates.
        """
        return self._differential(x_hard, self.partonic.summed)

    def channel_components(self, x_hard: Tensor) -> Tensor:
        """The same per channel and beam order: [..., D] → [..., channel, 2, K], in the order of ``channels``.

        Raises:
            InputError: the last axis does not hold the coordinates.
        """
        return self._differential(x_hard, self.partonic.per_channel)

    def cross_section(self, alpha: float | Tensor, channel: str | None = None) -> tuple[float, float]:
        """σ(α) and its integration error in pb, without cuts.

        Args:
            alpha: in radians, a number or a tensor of one.
            channel: the name of one of ``channels``, such as ``u b > d t h``; all of them by default.

        Raises:
            InputError: no such channel, or α is not finite.
        """
        return self.total.at(float(alpha), channel)

    @cached_property
    def total(self) -> CrossSection:
        """σ_k of every channel, integrated once."""
        return CrossSection.integrate(self._adapted, self.odd)

    def sample(self, n: int, theta: Tensor, rng: torch.Generator) -> HardEvents:
        """``n`` unweighted events at ``theta``, [1] or [n, 1] with an α for each, on its device; see ``generate``."""
        events, report = self.generate(n, theta, rng)
        logger.info("%s: %s", type(self).__name__, report)
        return events

    def generate(self, n: int, theta: Tensor, rng: torch.Generator) -> tuple[HardEvents, GenerationReport]:
        """``n`` events and how their generation went.

        An event above the ceiling of the weights keeps the ratio as its weight; all others have weight 1. ``pdg`` is
        (incoming along +z, incoming along -z, then the outgoing ones). The same generator state gives the same events.

        Raises:
            InputError: ``theta`` is neither [1] nor [n, 1], or is not finite.
        """
        theta = self._checked_theta(n, theta)
        u, weight, report = self._generator.generate(theta[:, 0], rng)
        turn, pick = uniform((n,), rng, theta), uniform((n,), rng, theta)
        parts = [self._finish(*chunk) for chunk in zip(*(part.split(CHUNK) for part in (u, theta, turn, pick)), strict=True)]
        x, pdg = (torch.cat(column) for column in zip(*parts, strict=True))
        return HardEvents(x, theta, weight, pdg), report

    def to_momenta(self, hard: HardEvents) -> Tensor:
        """Laboratory momenta [N, 2 + n, 4] in GeV, in the order of ``pdg``."""
        incoming = self.space.incoming(self.space.kinematics(hard.x))
        return torch.cat([torch.stack([cartesian(p) for p in incoming], dim=-2), self.space.to_momenta(hard.x)[0]], dim=-2)

    def to_hard(self, record: LHERecord) -> HardEvents:
        """The hard events of an LHE record.

        Raises:
            InputError: the record mixes several α, or was made at another collision energy.
        """
        if record.theta is None:
            raise InputError("the LHE record does not say at which α it was made; read it with an explicit theta")
        if abs(record.sqrt_s - self.sqrt_s) > 1e-6 * self.sqrt_s:
            raise InputError(f"the LHE record is of {record.sqrt_s:g} GeV, the process of {self.sqrt_s:g} GeV; set sqrt_s")
        x = self.space.from_momenta(record.momenta[:, 2:])[0]
        theta = x.new_tensor(record.theta).expand(len(x), -1).clone()
        return HardEvents(x, theta, record.weight, record.pdg)

    @cached_property
    def _adapted(self) -> AdaptedMap:
        return AdaptedMap.adapt(self.partonic, self._peaks(), self._basis_of_angles)

    def _basis_of_angles(self, alpha: Tensor) -> Tensor:
        """No lambda: a process goes to workers, which takes names."""
        return self.basis(alpha[..., None])

    @cached_property
    def _generator(self) -> Generator:
        return Generator.prepare(self._adapted)

    def _checked_theta(self, n: int, theta: Tensor) -> Tensor:
        if tuple(theta.shape) not in {(1,), (n, 1)} or not bool(torch.isfinite(theta).all()):
            raise InputError(f"theta has shape {tuple(theta.shape)}; expected finite angles of shape (1,) or ({n}, 1)")
        return theta.double().expand(n, 1).clone()

    def _finish(self, u: Tensor, theta: Tensor, turn: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
        """x_hard and pdg of accepted points: draw channel, beam order (half of ``turn``) and azimuth."""
        point, _ = self._adapted.points(u)
        squared = (self.partonic.per_channel(point, (0,))[:, 0] * self.basis(theta).T).sum(1).T.contiguous()
        shares = squared.cumsum(1) / squared.sum(1, keepdim=True)
        channel = torch.searchsorted(shares, pick[:, None]).flatten().clamp(max=len(self.channels) - 1)
        swapped = turn >= 0.5
        x = self.space.coordinates(point)
        azimuth = 2 * math.pi * torch.remainder(2 * turn, 1.0)
        return self.space.rotated(x, azimuth, swapped), self._codes.to(x.device)[swapped.long(), channel]

    @cached_property
    def _codes(self) -> Tensor:
        """Particle codes [beam order, channel, 2 + n]."""
        codes = torch.tensor([self.codes(channel) for channel in self.channels], device="cpu")
        return torch.stack([codes, codes[:, [1, 0, *range(2, codes.shape[1])]]])

    def _differential(self, x_hard: Tensor, partonic: Callable[[Any], Tensor]) -> Tensor:
        self.space.check(x_hard)
        flat = x_hard.reshape(-1, x_hard.shape[-1])
        parts = [
            self._chunk(chunk, partonic) for chunk in flat.split(CHUNK if x_hard.device.type == "cpu" else DEVICE_CHUNK)
        ]
        result = torch.cat(parts, dim=-1).movedim(-1, 0).contiguous()
        return result.reshape(*x_hard.shape[:-1], *result.shape[1:])

    def _chunk(self, x_hard: Tensor, partonic: Callable[[Any], Tensor]) -> Tensor:
        """[..., n] for n points: ``partonic`` times the measure within the phase space."""
        point = self.space.kinematics(x_hard)
        density = partonic(point._replace(x1=point.x1.clamp(max=1), x2=point.x2.clamp(max=1))) * self.space.measure(x_hard)
        return torch.where(self.space.outside(x_hard, point), torch.zeros_like(density), density)
