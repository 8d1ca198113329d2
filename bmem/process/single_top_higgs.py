"""The process contract for single top + Higgs + quark, whatever its channels; see THJ and TBH."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmem.errors import InputError
from bmem.events.lhe import LHERecord
from bmem.events.record import HardEvents
from bmem.process import matrix_element
from bmem.process.amplitudes import morphing_basis
from bmem.process.channels import HIGGS, Channel
from bmem.process.contract import Parameter
from bmem.process.couplings import ElectroweakInputs
from bmem.process.generation import AdaptedMap, GenerationReport, Generator
from bmem.process.integration import CrossSection
from bmem.process.luminosity import Luminosity
from bmem.process.partonic import PartonicCrossSection
from bmem.process.pdf import PDFGrid, default_grid
from bmem.process.phase_space import HardKinematics, PhaseSpace, cartesian, check_dimension

STANDARD = ElectroweakInputs()
ALPHA = Parameter("alpha", (-math.pi, math.pi), 2 * math.pi, symbol=r"\alpha", unit="deg", scale=180 / math.pi, text="α")
"""The CP phase of the top Yukawa coupling: radians inside, degrees in print."""
logger = logging.getLogger(__name__)
CHUNK = 2**13
"""Points evaluated at once on a CPU: their intermediate results stay in the cache of a core."""
DEVICE_CHUNK = 2**20
"""Points evaluated at once on an accelerator."""


class SingleTopHiggs:
    """pp → t H q and t̄ H q through ``channels`` with the CP phase α of the top Yukawa coupling.

    Args:
        sqrt_s: collision energy in GeV.
        pdf: parton densities; by default NNPDF2.3 QCD+QED LO, α_s(M_Z) = 0.130, see ``default_grid``.
        inputs: masses and couplings.
        scale: fixed factorisation scale in GeV; by default (m_t + m_H) / 2.

    Raises:
        InputError: not enough energy to make a top and a Higgs.
        RangeError: the scale lies outside the PDF grid.
    """

    channels: tuple[Channel, ...]
    parameters: tuple[Parameter, ...] = (ALPHA,)
    particles: tuple[str, ...] = ("parton along +z", "parton along -z", "top", "Higgs", "jet")

    def __init__(
        self,
        sqrt_s: float = 13_000.0,
        pdf: PDFGrid | None = None,
        inputs: ElectroweakInputs = STANDARD,
        scale: float | None = None,
    ) -> None:
        if not sqrt_s > inputs.mt + inputs.mh:
            raise InputError(f"sqrt_s = {sqrt_s} GeV cannot make a top and a Higgs; give the collision energy in GeV")
        self.sqrt_s = sqrt_s
        self.inputs = inputs
        self.scale = (inputs.mt + inputs.mh) / 2 if scale is None else scale
        self.space = PhaseSpace(sqrt_s, inputs.mt, inputs.mh)
        self._pdf = pdf
        if pdf is not None or scale is not None:
            _ = self.partonic  # a scale that the grid does not have shows now

    @cached_property
    def partonic(self) -> PartonicCrossSection:
        """Densities of partons times those of their scattering; the default grid is read here, kinematics need none."""
        grid = PDFGrid.read(default_grid()) if self._pdf is None else self._pdf
        return PartonicCrossSection(self.space, self.inputs, Luminosity.of(self.channels, grid, self.scale))

    def basis(self, theta: Tensor) -> Tensor:
        """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²) with κ_S = cos α and κ_P = (2/3) sin α: [..., 1] → [..., 6]."""
        return morphing_basis(theta[..., 0])

    def components(self, x_hard: Tensor) -> Tensor:
        """dσ/d⁷x_hard in pb GeV⁻² as coefficients of ``basis``, summed over channels and beams: [..., 7] → [..., 6].

        Zero outside the phase space (x1 or x2 above 1, negative transverse momenta).

        Raises:
            InputError: the last axis is not 7 long.
        """
        return self._differential(x_hard, self.partonic.summed)

    def channel_components(self, x_hard: Tensor) -> Tensor:
        """The same per channel and beam order: [..., 7] → [..., channel, 2, 6], in the order of ``channels``.

        Raises:
            InputError: the last axis is not 7 long.
        """
        return self._differential(x_hard, self.partonic.per_channel)

    def squared_amplitude(self, pdg: Sequence[int], momenta: ArrayLike | Tensor, alpha: ArrayLike | Tensor) -> Tensor:
        """|M|² in GeV⁻², summed over final and averaged over initial spins and colours [...].

        Args:
            pdg: codes of the five particles, e.g. (2, 5, 1, 6, 25) for u b > d t h; in the s channel the b is fourth.
            momenta: [..., 5, 4] in GeV in that order, in any frame, incoming ones with positive energy.
            alpha: CP phase in radians, broadcast against the leading axes of ``momenta``.

        Raises:
            InputError: unknown codes or a wrong shape.
        """
        return matrix_element.squared_amplitude(pdg, momenta, alpha, self.inputs)

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
        return CrossSection.integrate(self._adapted)

    def sample(self, n: int, theta: Tensor, rng: torch.Generator) -> HardEvents:
        """``n`` unweighted events at ``theta``, [1] or [n, 1] with an α for each; see ``generate``."""
        events, report = self.generate(n, theta, rng)
        logger.info("%s: %s", type(self).__name__, report)
        return events

    def generate(self, n: int, theta: Tensor, rng: torch.Generator) -> tuple[HardEvents, GenerationReport]:
        """``n`` events and how their generation went.

        An event above the ceiling of the weights keeps the ratio as its weight; all others have weight 1. ``pdg`` is
        (incoming along +z, incoming along -z, top, Higgs, jet). The same generator state gives the same events.

        Raises:
            InputError: ``theta`` is neither [1] nor [n, 1], or is not finite.
        """
        theta = self._checked_theta(n, theta)
        u, weight, report = self._generator.generate(theta[:, 0], rng)
        turn = torch.rand(n, generator=rng, dtype=torch.float64)
        pick = torch.rand(n, generator=rng, dtype=torch.float64)
        parts = [self._finish(*chunk) for chunk in zip(*(part.split(CHUNK) for part in (u, theta, turn, pick)), strict=True)]
        x, pdg = (torch.cat(column) for column in zip(*parts, strict=True)) if parts else self._no_events()
        return HardEvents(x, theta, weight, pdg), report

    def to_momenta(self, hard: HardEvents) -> Tensor:
        """Laboratory momenta [N, 5, 4] of (incoming along +z, incoming along -z, top, Higgs, jet) in GeV."""
        point = self.space.kinematics(hard.x)
        return torch.stack([cartesian(p) for p in (*self.space.incoming(point), point.top, point.higgs, point.jet)], dim=-2)

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
        theta = torch.tensor([record.theta], dtype=x.dtype, device=x.device).expand(len(x), 1).clone()
        return HardEvents(x, theta, record.weight, record.pdg)

    @cached_property
    def _adapted(self) -> AdaptedMap:
        return AdaptedMap.adapt(self.partonic)

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
        return self.space.rotated(x, azimuth, swapped), self._codes[swapped.long(), channel]

    @cached_property
    def _codes(self) -> Tensor:
        """Particle codes [beam order, channel, 5]."""
        codes = torch.tensor([[c.first, c.second, c.top, HIGGS, c.jet] for c in self.channels])
        return torch.stack([codes, codes[:, [1, 0, 2, 3, 4]]])

    def _no_events(self) -> tuple[Tensor, Tensor]:
        return torch.empty(0, 7, dtype=torch.float64), torch.empty(0, 5, dtype=torch.int64)

    def _differential(self, x_hard: Tensor, partonic: Callable[[HardKinematics], Tensor]) -> Tensor:
        check_dimension(x_hard)
        flat = x_hard.reshape(-1, x_hard.shape[-1])
        parts = [
            self._chunk(chunk, partonic) for chunk in flat.split(CHUNK if x_hard.device.type == "cpu" else DEVICE_CHUNK)
        ]
        result = torch.cat(parts, dim=-1).movedim(-1, 0).contiguous()
        return result.reshape(*x_hard.shape[:-1], *result.shape[1:])

    def _chunk(self, x_hard: Tensor, partonic: Callable[[HardKinematics], Tensor]) -> Tensor:
        """[..., n] for n points: ``partonic`` times the measure within the phase space."""
        point = self.space.kinematics(x_hard)
        density = partonic(point._replace(x1=point.x1.clamp(max=1), x2=point.x2.clamp(max=1))) * self.space.measure(x_hard)
        return torch.where(self.space.outside(x_hard, point), torch.zeros_like(density), density)
