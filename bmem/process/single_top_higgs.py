"""The process contract for single top + Higgs + quark, whatever its channels; see THJ and TBH."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmem.process import matrix_element
from bmem.process.channels import Channel
from bmem.process.contract import Parameter
from bmem.process.couplings import ElectroweakInputs
from bmem.process.luminosity import Luminosity
from bmem.process.partonic import PartonicCrossSection
from bmem.process.pdf import PDFGrid, pythia_grid
from bmem.process.phase_space import HardKinematics, PhaseSpace, check_dimension

CHUNK = 2**14
"""Points evaluated at once: their intermediate results stay in the cache of a core."""


class SingleTopHiggs:
    """pp → t H q and t̄ H q through ``channels`` with the CP phase α of the top Yukawa coupling.

    Args:
        sqrt_s: collision energy in GeV.
        pdf: parton densities; by default NNPDF2.3 QCD+QED LO, α_s(M_Z) = 0.130, of the Pythia wheel.
        inputs: masses and couplings.
        scale: fixed factorisation scale in GeV; by default (m_t + m_H) / 2.
    """

    channels: tuple[Channel, ...]
    parameters = (Parameter("alpha", (-math.pi, math.pi), 2 * math.pi),)

    def __init__(
        self,
        sqrt_s: float = 13_000.0,
        pdf: PDFGrid | None = None,
        inputs: ElectroweakInputs = ElectroweakInputs(),
        scale: float | None = None,
    ) -> None:
        self.sqrt_s = sqrt_s
        self.inputs = inputs
        self.scale = (inputs.mt + inputs.mh) / 2 if scale is None else scale
        self.space = PhaseSpace(sqrt_s, inputs.mt, inputs.mh)
        grid = PDFGrid.read(pythia_grid()) if pdf is None else pdf
        self.partonic = PartonicCrossSection(self.space, inputs, Luminosity.of(self.channels, grid, self.scale))

    def basis(self, theta: Tensor) -> Tensor:
        """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²) with κ_S = cos α and κ_P = (2/3) sin α: [..., 1] → [..., 6]."""
        alpha = theta[..., 0]
        scalar, pseudo = torch.cos(alpha), (2 / 3) * torch.sin(alpha)
        return torch.stack([torch.ones_like(scalar), scalar, pseudo, scalar**2, scalar * pseudo, pseudo**2], dim=-1)

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

    def _differential(self, x_hard: Tensor, partonic: Callable[[HardKinematics], Tensor]) -> Tensor:
        check_dimension(x_hard)
        flat = x_hard.reshape(-1, x_hard.shape[-1])
        parts = [self._differential_chunk(chunk, partonic) for chunk in flat.split(CHUNK)]
        result = torch.cat(parts)
        return result.reshape(*x_hard.shape[:-1], *result.shape[1:])

    def _differential_chunk(self, x_hard: Tensor, partonic: Callable[[HardKinematics], Tensor]) -> Tensor:
        point = self.space.kinematics(x_hard)
        outside, measure = self.space.outside(x_hard, point), self.space.measure(x_hard)
        density = partonic(point._replace(x1=point.x1.clamp(max=1), x2=point.x2.clamp(max=1)))
        scale = measure.reshape(-1, *[1] * (density.ndim - 1))
        return torch.where(outside.reshape(scale.shape), torch.zeros_like(density), scale * density)
