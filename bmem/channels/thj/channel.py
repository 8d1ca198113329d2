"""All that is known of pp → tHj, H → γγ, t → bjj, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from torch import Tensor

from bmem.channels.contract import Background
from bmem.events.reconstruction import Reconstruction
from bmem.events.record import RecoEvents
from bmem.events.selection import Selection, SelectionSettings
from bmem.inference.rate import RateFactor
from bmem.likelihood.background import ObservedReco
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coordinates import ThjHard, ThjReco
from bmem.likelihood.couplings import coupling_basis
from bmem.process import THJ
from bmem.process.backgrounds import DiphotonBackground
from bmem.process.decays import diphoton_coefficients, diphoton_width
from bmem.quantity import Quantity
from bmem.simulation.contract import Response
from bmem.simulation.parametric import ParametricResponse, ParametricSettings
from bmem.simulation.pythia import PythiaResponse, PythiaSettings

DEGREES = 57.29577951308232


@dataclass(frozen=True)
class ThjSettings:
    """Settings of the channel: collision energy, response, cuts."""

    sqrt_s: float = 13_000.0
    """Collision energy in GeV."""
    response: Literal["parametric", "pythia"] = "parametric"
    """Chain from hard event to reconstructed event."""
    parametric: ParametricSettings = field(default_factory=ParametricSettings)
    pythia: PythiaSettings = field(default_factory=PythiaSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)


class ThjChannel:
    """The channel ``thj``, see ``bmem.channels.contract.Channel``."""

    Settings: ClassVar[type] = ThjSettings
    title = "pp → tHj, H → γγ, t → bjj"
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

    def __init__(self, settings: ThjSettings = ThjSettings()) -> None:
        self.settings = settings
        self.selection = Selection(settings.selection)
        self.transfer = ThjReco(jet_pt_min=settings.selection.jet_pt)
        self.proposal = ThjHard()
        self.unconditional = ObservedReco(settings.selection.jet_pt)
        self.bases: Mapping[str, Any] = {"couplings": coupling_basis()}

    @cached_property
    def process(self) -> THJ:
        return THJ(self.settings.sqrt_s)

    @cached_property
    def response(self) -> Response:
        settings, space = self.settings, self.process.space
        if settings.response == "pythia":
            return PythiaResponse(settings.pythia, space)
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

    def observe(self, reco: RecoEvents) -> Tensor:
        """The observables [N, 11] of ``bmem.events.reconstruction``."""
        return Reconstruction()(reco)
