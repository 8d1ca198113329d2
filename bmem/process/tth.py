"""pp → t t̄ H: the second process in which α shows, in the same convention as in tHj."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmem.errors import InputError
from bmem.events.record import HardEvents
from bmem.process.cascade import CascadeMap
from bmem.process.channels import HIGGS, TOP
from bmem.process.couplings import ElectroweakInputs
from bmem.process.leading_order import LeadingOrderProcess
from bmem.process.luminosity import Luminosity
from bmem.process.pdf import PDFGrid
from bmem.process.single_top_higgs import ALPHA, STANDARD
from bmem.process.strong_coupling import one_loop_alpha_s
from bmem.process.top_pair_partonic import PAIR_CHANNELS, PairChannel, PairCrossSection
from bmem.process.top_pair_squares import colour_lines, pair_basis, squared_components
from bmem.process.transverse import Particle, TransversePhaseSpace

HIGGS_TOP_ANTITOP = (2, 0, 1)
"""Order of the coordinates among (t, t̄, H): x_hard = (pT_H, φ_H, y_H, pT_t, φ_t, y_t, y_t̄)."""


class TTH(LeadingOrderProcess):
    """pp → t t̄ H by gluon exchange (α_s² y_t²): g g and q q̄ with q = u, d, s, c, both beam orders; all three undecayed.

    dσ(α) = κ_S² s_S + κ_P² s_P: the interference of the two couplings vanishes after the spin sum, so undecayed tops know
    only cos 2α, and neither the sign of α nor π - α from α. The basis has these two, K = 2; the four others of ``THJ`` would
    be zeros to integrate. The parameter is the same α, so that likelihoods of the two processes add.

    Args:
        sqrt_s: collision energy in GeV.
        alpha_s: strong coupling at the scale; by default from α_s(M_Z) = 0.130 of the PDF set with one loop, five flavours.
        pdf: parton densities; by default NNPDF2.3 QCD+QED LO, α_s(M_Z) = 0.130, see ``default_grid``.
        inputs: masses and couplings.
        scale: fixed renormalisation and factorisation scale in GeV; by default m_t + m_H / 2.

    Raises:
        InputError: not enough energy to make a pair and a Higgs, or a strong coupling that is not positive.
        RangeError: the scale lies outside the PDF grid.

    Example:
        >>> import torch
        >>> process = TTH()
        >>> x = torch.tensor([100.0, 0.3, 0.5, 60.0, -2.0, 0.5, 0.1], dtype=torch.float64)
        >>> process.components(x).shape
        torch.Size([2])
    """

    parameters = (ALPHA,)
    channels: tuple[PairChannel, ...] = PAIR_CHANNELS
    particles: tuple[str, ...] = ("parton along +z", "parton along -z", "top", "antitop", "Higgs")

    def __init__(
        self,
        sqrt_s: float = 13_000.0,
        alpha_s: float | None = None,
        pdf: PDFGrid | None = None,
        inputs: ElectroweakInputs = STANDARD,
        scale: float | None = None,
    ) -> None:
        if not sqrt_s > 2 * inputs.mt + inputs.mh:
            raise InputError(f"sqrt_s = {sqrt_s} GeV cannot make t t̄ H; give the collision energy in GeV")
        self.scale = inputs.mt + inputs.mh / 2 if scale is None else scale
        self.alpha_s = one_loop_alpha_s(self.scale) if alpha_s is None else alpha_s
        if not 0 < self.alpha_s < math.inf:
            raise InputError(f"alpha_s = {alpha_s} is not a coupling; give α_s at {self.scale:g} GeV, such as 0.113")
        self.sqrt_s, self.inputs = sqrt_s, inputs
        particles = Particle("t", inputs.mt), Particle("tbar", inputs.mt), Particle("h", inputs.mh)
        self.space = TransversePhaseSpace(sqrt_s, particles, HIGGS_TOP_ANTITOP)
        self._pdf = pdf
        if pdf is not None or scale is not None:
            _ = self.partonic  # a scale that the grid does not have shows now

    def _partonic(self, luminosity: Luminosity) -> PairCrossSection:
        return PairCrossSection(self.space, self.inputs, luminosity, self.alpha_s)

    def basis(self, theta: Tensor) -> Tensor:
        """(κ_S², κ_P²) with κ_S = cos α and κ_P = (2/3) sin α: [..., 1] → [..., 2]."""
        return pair_basis(theta[..., 0])

    def squared_amplitude(self, pdg: Sequence[int], momenta: ArrayLike | Tensor, alpha: ArrayLike | Tensor) -> Tensor:
        """|M|² in GeV⁻², summed over final and averaged over initial spins and colours [...].

        Args:
            pdg: codes of the five particles: (21, 21, 6, -6, 25), or (2, -2, 6, -6, 25) and the like.
            momenta: [..., 5, 4] in GeV in that order, in any frame, incoming ones with positive energy.
            alpha: CP phase in radians, broadcast against the leading axes of ``momenta``.

        Raises:
            InputError: unknown codes or a wrong shape.
        """
        components = squared_components(pdg, momenta, self.alpha_s, self.inputs)
        return (components * pair_basis(torch.as_tensor(alpha).to(components))).sum(-1)

    def colour_lines(self, hard: HardEvents, rng: torch.Generator) -> Tensor:
        """Colour and anticolour [N, 5, 2] of the particles of events, to shower them; see ``top_pair_squares.colour_lines``.

        Raises:
            InputError: the events have no particle codes.
        """
        if hard.pdg is None:
            raise InputError("these events have no particle codes; generate them, or read them from an event file")
        return colour_lines(hard.pdg, self.to_momenta(hard), hard.theta[:, 0], rng, self.inputs)

    def codes(self, channel: PairChannel) -> tuple[int, ...]:
        """(incoming, incoming, t, t̄, H)."""
        return channel.first, channel.second, TOP, -TOP, HIGGS

    def _peaks(self) -> Callable:
        return CascadeMap(self.space, HIGGS_TOP_ANTITOP)
