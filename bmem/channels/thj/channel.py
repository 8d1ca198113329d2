"""All that is known of pp → tHj, H → γγ, t → bjj, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
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
from bmem.channels.thj.nuisances import (
    BTagEfficiency,
    DetectorKind,
    FactorisationScale,
    JetEnergyResolution,
    JetEnergyScale,
    Mistag,
    PartonDensities,
    PhotonEnergyScale,
)
from bmem.channels.thj.objects import ThjObjects
from bmem.channels.thj.objects_hard import ThjHardOfObjects
from bmem.channels.thj.objects_read import quantities, read
from bmem.channels.thj.reconstruction import Reconstruction
from bmem.channels.thj.response import ParametricResponse, pythia_response
from bmem.channels.thj.selection import Selection
from bmem.channels.thj.settings import ThjSettings
from bmem.errors import ConfigError
from bmem.events.record import RecoEvents
from bmem.inference.rate import RateFactor
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coordinates import Residuals
from bmem.likelihood.polynomial import PolynomialBasis
from bmem.process import THJ, PDFGrid
from bmem.process.decays import diphoton_coefficients, diphoton_width
from bmem.quantity import Quantity
from bmem.simulation.contract import Response
from bmem.simulation.pythia import PythiaResponse

DEGREES = 57.29577951308232


class ThjChannel:
    """The channel ``thj``, see ``bmem.channels.contract.Channel``.

    An observation is eleven observables, or with ``observation = "objects"`` the set of all photons and jets.
    """

    Settings: ClassVar[type] = ThjSettings
    shown: tuple[str, ...] = ("pt_H", "y_H", "pt_j", "eta_j", "m_t", "m_W", "y_t")
    title = "pp → tHj, H → γγ, t → bjj"
    parameters = THJ.parameters
    observables: tuple[Quantity, ...] = (
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
    nuisances: ClassVar[Mapping[str, type]] = {
        "parton_densities": PartonDensities,
        "factorisation_scale": FactorisationScale,
        "jet_energy_scale": JetEnergyScale,
        "jet_energy_resolution": JetEnergyResolution,
        "photon_energy_scale": PhotonEnergyScale,
        "btag_efficiency": BTagEfficiency,
        "mistag": Mistag,
    }
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
        cuts = settings.selection
        self.selection = Selection(cuts, settings.most_jets)
        self.acceptance = ThjReco(cuts.jet_pt, cuts.jet_eta)
        self.transfer: Residuals = self.acceptance
        self.proposal: Residuals = ThjHard()
        self.unconditional: Residuals | None = ObservedReco(cuts.jet_pt)
        self.objects = None if settings.most_jets is None else ThjObjects(cuts, settings.most_jets)
        if self.objects is not None:
            self.transfer, self.proposal, self.unconditional = self.objects, ThjHardOfObjects(self.objects), None
            self.observables = quantities(self.objects.target.objects)
            self.shown = tuple(quantity.name for quantity in self.observables if not quantity.name.startswith("dphi"))
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

    def varied_response(self, kinds: Mapping[str, DetectorKind]) -> Response:
        """The response with the effects of nuisance parameters of the detector, by their names."""
        response, effects = self.response, tuple((name, kind.effect) for name, kind in kinds.items())
        assert isinstance(response, ParametricResponse | PythiaResponse)
        return replace(response, effects=effects)

    @cached_property
    def rate(self) -> Mapping[str, RateFactor]:
        """Of H → γγ."""
        of_phase = MorphingBasis(self.process.parameters, diphoton_width)
        return {"process": RateFactor(of_phase, (1.0,)), "couplings": RateFactor(coupling_basis(), diphoton_coefficients())}

    @property
    def conditions(self) -> str:
        """The collision energy."""
        return rf"$\sqrt{{s}}$ = {self.settings.sqrt_s / 1000:g} TeV"

    @property
    def backgrounds(self) -> Mapping[str, Background]:
        if self.objects is not None:
            return {}
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
        selection = settings["selection"] | {"max_jets": self.settings.most_jets}
        response = self.settings.response
        return {"process": process, response: settings[response], "selection": selection}

    def display(self, reco: RecoEvents, row: int) -> Iterator[DisplayObject]:
        """Photons and jets of an event."""
        return displayed(reco, row)

    def observe(self, reco: RecoEvents) -> Tensor:
        """The observables [N, 11] of ``bmem.channels.thj.reconstruction``, or rows of ``bmem.channels.thj.objects``."""
        return Reconstruction()(reco) if self.objects is None else self.objects.observe(reco)

    def readable(self, x: Tensor) -> Tensor:
        """The ``observables`` [..., D] of observations [..., width]."""
        return x if self.objects is None else read(x, self.objects.target)
