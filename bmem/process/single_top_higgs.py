"""The process contract for single top + Higgs + quark, whatever its channels; see THJ and TBH."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numpy.typing import ArrayLike
from torch import Tensor

from bmem.errors import InputError
from bmem.process import matrix_element
from bmem.process.amplitudes import morphing_basis
from bmem.process.channels import HIGGS, PartonicChannel
from bmem.process.contract import Parameter
from bmem.process.couplings import ElectroweakInputs
from bmem.process.leading_order import LeadingOrderProcess
from bmem.process.luminosity import Luminosity
from bmem.process.mapping import PeakMap
from bmem.process.partonic import PartonicCrossSection
from bmem.process.pdf import PDFGrid
from bmem.process.phase_space import PhaseSpace

STANDARD = ElectroweakInputs()
ALPHA = Parameter("alpha", (-math.pi, math.pi), 2 * math.pi, symbol=r"\alpha", unit="deg", scale=180 / math.pi, text="α")
"""The CP phase of the top Yukawa coupling: radians inside, degrees in print."""


class SingleTopHiggs(LeadingOrderProcess):
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

    channels: tuple[PartonicChannel, ...]
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

    def _partonic(self, luminosity: Luminosity) -> PartonicCrossSection:
        return PartonicCrossSection(self.space, self.inputs, luminosity)

    def basis(self, theta: Tensor) -> Tensor:
        """(1, κ_S, κ_P, κ_S², κ_S κ_P, κ_P²) with κ_S = cos α and κ_P = (2/3) sin α: [..., 1] → [..., 6]."""
        return morphing_basis(theta[..., 0])

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

    odd = (2,)
    """The κ_P component is T-odd."""

    def codes(self, channel: PartonicChannel) -> tuple[int, ...]:
        """(incoming, incoming, top, Higgs, jet)."""
        return channel.first, channel.second, channel.top, HIGGS, channel.jet

    def _peaks(self) -> PeakMap:
        return PeakMap(self.space, self.inputs.mw)
