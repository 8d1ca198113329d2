"""All that is known of pp → tHj, H → γγ, t → bjj, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from bmem import artifacts
from bmem.channels.contract import Background, DisplayObject
from bmem.channels.thj.backgrounds import DiphotonBackground
from bmem.channels.thj.bases import coupling_basis
from bmem.channels.thj.coordinates import ObservedReco, ThjHard, ThjReco
from bmem.channels.thj.display import displayed
from bmem.channels.thj.lhe import ThjLHE
from bmem.channels.thj.reconstruction import Reconstruction
from bmem.channels.thj.response import ParametricResponse, pythia_response
from bmem.channels.thj.selection import Selection
from bmem.channels.thj.settings import ThjSettings
from bmem.errors import ConfigError
from bmem.events.record import RecoEvents
from bmem.inference.rate import RateFactor
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process import THJ, PDFGrid
from bmem.process.decays import diphoton_coefficients, diphoton_width
from bmem.quantity import Quantity
from bmem.simulation.contract import Response

DEGREES = 57.29577951308232


class ThjChannel:
    """The channel ``thj``, see ``bmem.channels.contract.Channel``."""

    Settings: ClassVar[type] = ThjSettings
    shown = ("pt_H", "y_H", "pt_j", "eta_j", "m_t", "m_W", "y_t")
    title = "pp → tHj, H → γγ, t → bjj"
    parameters = THJ.parameters
    observables = (
        Quantity("pt_H", r"p_{T}^{\gamma\gamma}", "GeV"),
        Quantity("phi_H", r"\phi_{\gamma\gamma}", "deg", DEGREES),
        Quantity("y_H", r"y_{\gamma\gamma}"),
        Quantity("pt_j", r"p_{T}^{j}", "GeV"),
        Quantity("phi_j", r"\phi_{j}", "deg", DEGREES),
        Quantity("eta_j", r"\eta_{j}"),
        Quantity("px_t", r"p_{x}^{bjj}", "GeV"),
        Quantity("py_t", r"p_{y}^{bjj}", "GeV"),
        Quantity("y_t", r"y_{bjj}"),
        Quantity("m_t", r"m_{bjj}", "GeV"),
        Quantity("m_W", r"m_{jj}", "GeV"),
    )
    hard_quantities = (
        Quantity("pt_h", "p_{T}^{H}", "GeV"),
        Quantity("phi_h", r"\phi_{H}", "deg", DEGREES),
        Quantity("y_h", "y_{H}"),
        Quantity("pt_j", "p_{T}^{j}", "GeV"),
        Quantity("phi_j", r"\phi_{j}", "deg", DEGREES),
        Quantity("y_j", "y_{j}"),
        Quantity("y_t", "y_{t}"),
    )

    def __init__(self, settings: ThjSettings | None = None) -> None:
        self.settings = settings = settings or ThjSettings()
        self.selection = Selection(settings.selection)
        self.transfer = ThjReco(settings.selection.jet_pt, settings.selection.jet_eta)
        self.proposal = ThjHard()
        self.unconditional = ObservedReco(settings.selection.jet_pt)
        self.lhe = ThjLHE()
        self.bases: Mapping[str, PolynomialBasis] = {"couplings": coupling_basis()}

    @cached_property
    def process(self) -> THJ:
        pdf = self.settings.pdf
        return THJ(self.settings.sqrt_s, None if pdf is None else PDFGrid.read(pdf))

    @cached_property
    def response(self) -> Response:
        settings, space = self.settings, self.process.space
        if settings.response == "pythia":
            return pythia_response(settings.pythia, space)
        return ParametricResponse(settings.parametric, space)

    @cached_property
    def rate(self) -> Mapping[str, RateFactor]:
        """Of H → γγ."""
        of_phase = MorphingBasis(self.process.parameters, diphoton_width)
        return {"process": RateFactor(of_phase, (1.0,)), "couplings": RateFactor(coupling_basis(), diphoton_coefficients())}

    @property
    def backgrounds(self) -> Mapping[str, Background]:
        cuts = self.settings.selection
        return {"diphoton": DiphotonBackground(jet_pt_min=cuts.jet_pt, eta_max=cuts.jet_eta)}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The keys under which artifacts have always had these settings; of a grid name and checksum, for it may move.

        Raises:
            ConfigError: there is no such grid.
        """
        settings, pdf = asdict(self.settings), self.settings.pdf
        process = {"name": "thj", "sqrt_s": settings["sqrt_s"], "pdf": None}
        if pdf is not None:
            if not pdf.is_file():
                raise ConfigError(f"{pdf}: there is no such file; correct 'pdf' of [channel], or leave it out")
            process["pdf"] = {"file": pdf.name, "sha256": artifacts.checksum(pdf)}
        return {"process": process, **{name: settings[name] for name in (self.settings.response, "selection")}}

    def display(self, reco: RecoEvents, row: int) -> Iterator[DisplayObject]:
        """Photons and jets of an event."""
        return displayed(reco, row)

    def observe(self, reco: RecoEvents) -> Tensor:
        """The observables [N, 11] of ``bmem.events.reconstruction``."""
        return Reconstruction()(reco)
