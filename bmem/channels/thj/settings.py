"""Settings of the channel: the section ``[channel]`` of a configuration, with everything in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from bmem.errors import ConfigError
from bmem.simulation.checks import check_numbers
from bmem.simulation.settings import DetectorSettings, PythiaSettings


@dataclass(frozen=True)
class DecaySettings:
    """Decays of top quark and W boson."""

    w_mass: float = 80.419
    """Mass of the W boson in GeV; its invariant mass follows a Breit-Wigner between 0 and the top mass less ``b_mass``."""
    w_width: float = 2.085
    """Width of the W boson in GeV."""
    b_mass: float = 4.7
    """Mass of the bottom quark in GeV."""
    charm_fraction: float = 0.5
    """Share of the hadronic W decays with a charm quark: W → cs̄ against W → ud̄."""

    def __post_init__(self) -> None:
        check_numbers(self, shares=("charm_fraction",))


@dataclass(frozen=True)
class ParametricSettings:
    """Settings of the parametric response: of the decays, of the detector, and of jets made of one parton."""

    decays: DecaySettings = field(default_factory=DecaySettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    jet_mass: float = 0.15
    """Mean of m/pT of the jet that a parton makes, as Pythia has it; m is Rayleigh, on top of the parton's own mass."""

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True)
class SelectionSettings:
    """Cuts on two isolated photons and on jets; momenta in GeV.

    Attributes:
        leading_photon_pt: smallest pT of the harder photon.
        photon_pt: smallest pT of the other photon.
        photon_eta: largest |η| of both photons.
        min_jets: smallest number of jets.
        jet_pt: smallest pT of a jet that counts.
        jet_eta: largest |η| of a jet that counts.
        min_btags: smallest number of b-tagged ones among these jets.
        btag_eta: largest |η| at which a b-tag counts.
    """

    leading_photon_pt: float = 35.0
    photon_pt: float = 25.0
    photon_eta: float = 2.5
    min_jets: int = 4
    jet_pt: float = 25.0
    jet_eta: float = 4.7
    min_btags: int = 1
    btag_eta: float = 2.5

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            whole = entry.name.startswith("min_")
            if not isinstance(value, int if whole else int | float) or not 0 <= value < math.inf:
                raise ConfigError(
                    f"selection: {entry.name} = {value!r} is not a {'whole' if whole else 'finite'} number >= 0"
                )
        if self.leading_photon_pt < self.photon_pt:
            raise ConfigError(
                f"selection: leading_photon_pt {self.leading_photon_pt} lies below photon_pt {self.photon_pt}; exchange them"
            )
        if self.min_btags > self.min_jets:
            raise ConfigError(
                f"selection: min_btags = {self.min_btags} of min_jets = {self.min_jets} jets can never be b-tagged; lower it"
            )


@dataclass(frozen=True)
class ThjSettings:
    """The channel: collision energy, response, cuts."""

    sqrt_s: float = 13_000.0
    """Collision energy in GeV."""
    pdf: Path | None = None
    """Parton densities, an LHAPDF grid (.dat) relative to the TOML; not set: NNPDF2.3, from Pythia or LHAPDF_DATA_PATH."""
    response: Literal["parametric", "pythia"] = "parametric"
    """Chain from hard event to reconstructed event."""
    parametric: ParametricSettings = field(default_factory=ParametricSettings)
    pythia: PythiaSettings = field(default_factory=PythiaSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    observation: Literal["observables", "objects"] = "observables"
    """What the networks read of an event: eleven observables after a choice of roles, or all its photons and jets."""
    max_jets: int | None = None
    """With objects: an event with more jets is not selected; not set: 4 of the parametric response, 7 of Pythia."""

    def __post_init__(self) -> None:
        if not 0 < self.sqrt_s < math.inf:
            raise ConfigError(f"sqrt_s = {self.sqrt_s!r} GeV must be a finite number > 0")
        idle = "pythia" if self.response == "parametric" else "parametric"
        if getattr(self, idle) != type(getattr(self, idle))():
            raise ConfigError(
                f"[channel.{idle}] has no effect with channel.response = {self.response!r}; take it out, or change the "
                "response"
            )
        self._check_objects()

    def _check_objects(self) -> None:
        most, fewest = self.most_jets, max(1, self.selection.min_jets)
        if self.observation == "observables" and self.max_jets is not None:
            raise ConfigError(
                "max_jets has no effect with channel.observation = 'observables'; take it out, or set observation = "
                "'objects'"
            )
        if most is not None and most < fewest:
            raise ConfigError(
                f"max_jets = {most} leaves no event with the {fewest} jets that are selected at least: raise it to more"
            )

    @property
    def most_jets(self) -> int | None:
        """Jets of a selected event, at most; None: any number."""
        if self.observation == "observables":
            return None
        return self.max_jets or {"parametric": 4, "pythia": 7}[self.response]
